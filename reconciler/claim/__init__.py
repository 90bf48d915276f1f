"""Decodes what exposed VirtualServices ask for, checks it, and finds their addresses; pure."""

from reconciler.claim.clusters import claim
from reconciler.claim.live import LiveClaims, Wake

__all__ = ["LiveClaims", "Wake", "claim"]

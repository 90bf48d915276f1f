"""Decodes what exposed VirtualServices ask for, checks it, and finds their addresses; pure."""

from reconciler.claim.clusters import claim

__all__ = ["claim"]

"""All claims of one cluster; pure. A fault in one object never changes another one's claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.claim.live import LiveClaims
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.settings import Settings


def claim(
    view: ClusterView,
    settings: Settings,
    head: Mapping[UnitId, UnitAddresses],
    now: datetime,
) -> ClusterClaims:
    """What one cluster asks for. `head` are the addresses that HEAD has, by unit.

    Of a cluster that could not be read nothing is claimed and nothing follows.
    """
    if isinstance(view.objects, Unknown):
        return ClusterClaims(view=view)
    return replace(LiveClaims(view, settings).claims(None, head, now), view=view)

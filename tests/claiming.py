"""Claims of one VirtualService in a small cluster, for tests of `reconciler.claim`."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.claim import claim
from reconciler.codes import Code
from reconciler.model.claims import ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import (
    DestinationRule,
    EndpointSlice,
    Node,
    Service,
    VirtualService,
)
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.settings import Settings
from tests.builders import NOW, node, service, settings, view, virtual_service

Object = VirtualService | Service | Node | EndpointSlice | DestinationRule
ORDERS = UnitId(cluster="eu1", namespace="shop", name="orders")


def claims(
    *objects: Object,
    head: Mapping[UnitId, UnitAddresses] | None = None,
    under: Settings | None = None,
) -> ClusterClaims:
    """All claims of cluster eu1 with these objects."""
    return claim(view(*objects), under or settings(), head or {}, NOW)


def outcome(
    source: VirtualService | None = None,
    *objects: Object,
    head: Mapping[UnitId, UnitAddresses] | None = None,
    under: Settings | None = None,
) -> Wanted | Rejection:
    """What became of one VirtualService; without objects beside `shop/db` on one node."""
    rest = objects or (service(), node())
    found = claims(source or virtual_service(), *rest, head=head, under=under)
    (only,) = found.claims
    return only.outcome


def granted(
    source: VirtualService | None = None,
    *objects: Object,
    head: Mapping[UnitId, UnitAddresses] | None = None,
    under: Settings | None = None,
) -> Wanted:
    """As `outcome`, for wishes that must be granted."""
    found = outcome(source, *objects, head=head, under=under)
    assert isinstance(found, Wanted), found
    return found


def refused(
    source: VirtualService | None = None,
    *objects: Object,
    under: Settings | None = None,
) -> Rejection:
    """As `outcome`, for wishes that must be rejected."""
    found = outcome(source, *objects, under=under)
    assert isinstance(found, Rejection), found
    return found


def code(
    source: VirtualService | None = None,
    *objects: Object,
    under: Settings | None = None,
) -> Code | None:
    """The code of a rejection, `None` when the wish is granted."""
    found = outcome(source, *objects, under=under)
    return found.code if isinstance(found, Rejection) else None


def addresses(found: Wanted | UnitAddresses) -> dict[str, list[str]]:
    """Addresses as text, by destination key."""
    where = found.addresses if isinstance(found, Wanted) else found
    return {
        located.destination.key: [str(each) for each in located.addresses]
        for route in where.routes
        for located in route.located
    }

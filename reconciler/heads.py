"""What HEAD serves, read from the first lines of its files; pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.headers import parse_addresses
from reconciler.model.repository import Head
from reconciler.model.units import UnitAddresses, UnitId

Served = Mapping[UnitId, UnitAddresses]


def served_addresses(head: Head) -> Mapping[str, Served]:
    """Addresses of every unit at HEAD by cluster: the sticky input of the next claims."""
    found: dict[str, dict[UnitId, UnitAddresses]] = {}
    for path in sorted(head.files):
        if not path.startswith("manifests/") or not path.endswith(".endpoints.yaml"):
            continue
        addresses = parse_addresses(head.files[path].data)
        if addresses is not None:
            of_cluster = found.setdefault(addresses.unit.cluster, {})
            of_cluster.setdefault(addresses.unit, addresses)
    return found

"""Reads weighted destinations of a route, as Istio resolves them; pure.

Weights are as in Istio: a single destination needs none (1 then); among several an absent
weight is 0, because Istio's own clients leave out zeros when they write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.claim.refusals import Refused, fields, is_whole, items, quoted, text
from reconciler.codes import Code
from reconciler.names import is_label

MAX_DESTINATIONS = 16
MAX_WEIGHT = 1_000_000
_LOCAL = (("svc",), ("svc", "cluster", "local"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One destination as written. `port` is 0 where the Service's only port is meant."""

    namespace: str
    service: str
    port: int
    weight: int
    subset: str
    where: str


def read_targets(value: object, where: str, namespace: str) -> tuple[Target, ...]:
    """The destinations of one route, in order of their names. Raises Refused."""
    entries = items(value, where)
    if not entries:
        what = "has no destination; add one or remove the route"
        raise Refused(Code.NO_ROUTE, where, what)
    if len(entries) > MAX_DESTINATIONS:
        what = f"{len(entries)} destinations; at most {MAX_DESTINATIONS} in one route"
        raise Refused(Code.TOO_MANY_DESTINATIONS, where, what)
    alone = len(entries) == 1
    found = tuple(
        _target(raw, f"{where}[{index}]", namespace, alone)
        for index, raw in enumerate(entries)
    )
    if not any(each.weight for each in found):
        what = "all weights are 0; give at least one destination a positive weight"
        raise Refused(Code.INVALID_WEIGHTS, where, what)
    return tuple(sorted(found, key=_order))


def resolve(host: str, namespace: str) -> tuple[str, str] | None:
    """(namespace, Service) of `svc`, `svc.ns`, `svc.ns.svc` or `svc.ns.svc.cluster.local`."""
    service, *rest = host[:300].split(".")
    if rest:
        namespace, *suffix = rest
        if suffix and tuple(suffix) not in _LOCAL:
            return None
    valid = is_label(service) and is_label(namespace)
    return (namespace, service) if valid else None


def _order(target: Target) -> tuple[str, str, int, str]:
    return (target.namespace, target.service, target.port, target.subset)


def _target(raw: object, where: str, namespace: str, alone: bool) -> Target:
    entry = fields(raw, where)
    place = f"{where}.destination"
    destination = fields(entry.get("destination"), place)
    host = text(destination.get("host"), f"{place}.host")
    resolved = resolve(host, namespace)
    if resolved is None:
        what = f"{quoted(host)}: expected a Service of this cluster, as svc or svc.namespace"
        raise Refused(Code.INVALID_DESTINATION, f"{place}.host", what)
    return Target(
        namespace=resolved[0],
        service=resolved[1],
        port=_port(destination.get("port"), f"{place}.port"),
        weight=_weight(entry, where, alone),
        subset=_subset(destination, place),
        where=place,
    )


def _port(value: object, where: str) -> int:
    if value is None:
        return 0
    number = fields(value, where).get("number")
    if not isinstance(number, int) or not is_whole(number, 1, 65535):
        what = f"{quoted(number)}: expected a port number of the Service"
        raise Refused(Code.INVALID_DESTINATION, f"{where}.number", what)
    return number


def _weight(entry: Mapping[object, object], where: str, alone: bool) -> int:
    value = entry.get("weight")
    if value is None:
        return 1 if alone else 0
    if not isinstance(value, int) or not is_whole(value, 0, MAX_WEIGHT):
        what = f"{quoted(value)}: expected an integer from 0 to {MAX_WEIGHT}"
        raise Refused(Code.INVALID_WEIGHTS, f"{where}.weight", what)
    return value


def _subset(destination: Mapping[object, object], place: str) -> str:
    value = destination.get("subset")
    if value is None or value == "":
        return ""
    if not is_label(text(value, f"{place}.subset")):
        what = f"{quoted(value)}: expected the name of a subset (a DNS label)"
        raise Refused(Code.SUBSET_UNSUPPORTED, f"{place}.subset", what)
    return str(value)

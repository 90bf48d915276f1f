"""Settings that fit the schema and still cannot be meant; pure.

The checks read the plain document, not validated Settings: so a person sees these faults
together with all others. What is not in its form is left to the schema.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from reconciler.names import is_dns_name, is_label
from reconciler.ports import PortRange, parse_ranges
from reconciler.printable import one_line

Path = tuple[str | int, ...]
Fault = tuple[Path, str]

API_HOSTNAME = "{cluster}.k8s.{domain}"


def contradictions(document: object) -> Iterator[Fault]:
    """(path of the value, what is wrong with it) of every fault."""
    settings = _mapping(document)
    gateways = _sequence(settings.get("gateways"))
    yield from _twice("gateways", gateways)
    yield from _twice("inventories", _sequence(settings.get("inventories")))
    yield from _shares(_sequence(settings.get("inventories")))
    for index, gateway in enumerate(gateways):
        yield from _ports(("gateways", index, "ports"), _mapping(gateway).get("ports"))
    names = [str(_mapping(each).get("name")) for each in gateways]
    if names and all(map(is_label, names)):
        yield from _references(settings, names)
        yield from _one_place_twice(settings, gateways)
    yield from _hostname(settings)


def _twice(what: str, entries: Sequence[object]) -> Iterator[Fault]:
    """Names that must be unique. Both places are meant, the later one is named."""
    names = [_mapping(each).get("name") for each in entries]
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            yield (
                (what, index, "name"),
                f"the name {one_line(name, 63)} is taken by {what}[{names.index(name)}]",
            )


def _shares(inventories: Sequence[object]) -> Iterator[Fault]:
    """A shared name has one entry, which names its own foundation and others that there are."""
    entries = [_mapping(each) for each in inventories]
    known = {str(e.get("name")) for e in entries if "cloudFoundry" in e}
    seen: set[object] = set()
    for index, entry in enumerate(entries):
        shares = _mapping(_mapping(entry.get("cloudFoundry")).get("shares"))
        for name, weights in shares.items():
            path = ("inventories", index, "cloudFoundry", "shares", str(name))
            of = {str(each) for each in _mapping(weights)}
            if name in seen:
                yield (
                    path,
                    "is shared by another inventory already, expected one of them",
                )
            elif lost := sorted(of - known):
                what = (
                    f"{one_line(lost[0], 63)} is no inventory of the kind cloudFoundry"
                )
                yield path, what
            elif str(entry.get("name")) not in of:
                yield (
                    path,
                    f"expected {one_line(str(entry.get('name')), 63)} among its shares",
                )
            elif not 0 < len(of) <= 16 or not any(_mapping(weights).values()):
                yield path, "expected 1 to 16 shares, one of them above 0"
            seen.add(name)


def _references(
    settings: Mapping[str, object], gateways: Sequence[str]
) -> Iterator[Fault]:
    """Gateways that others name must exist."""
    known = one_line(f"expected one of {', '.join(dict.fromkeys(gateways))}", 200)
    for index, tenant in enumerate(_sequence(settings.get("tenants"))):
        for place, name in enumerate(_sequence(_mapping(tenant).get("gateways"))):
            if isinstance(name, str) and name not in gateways:
                path = ("tenants", index, "gateways", place)
                yield path, f"there is no gateway {one_line(name, 63)}, {known}"
    for index, name in enumerate(_sequence(settings.get("foreignGateways"))):
        if isinstance(name, str) and name in gateways:
            what = (
                f"{one_line(name, 63)} is a gateway of this repository, expected others"
            )
            yield ("foreignGateways", index), what
    name = _mapping(settings.get("apis")).get("gateway")
    if isinstance(name, str) and name not in gateways:
        yield ("apis", "gateway"), f"there is no gateway {one_line(name, 63)}, {known}"


def _one_place_twice(
    settings: Mapping[str, object], gateways: Sequence[object]
) -> Iterator[Fault]:
    """Among gateways that share routes a `host:port` must say which one is meant."""
    default = f"tcp.{settings.get('domain')}"
    places = {
        str(_mapping(each).get("name")): (
            str(_mapping(each).get("host") or default),
            _numbers(_ranges(_mapping(_mapping(each).get("ports")).get("range"))),
        )
        for each in gateways
    }
    for index, tenant in enumerate(_sequence(settings.get("tenants"))):
        if _mapping(tenant).get("placement") not in ("overflow", "spread"):
            continue
        named = [str(each) for each in _sequence(_mapping(tenant).get("gateways"))]
        known = [each for each in dict.fromkeys(named) if each in places]
        for one, other in itertools.combinations(known, 2):
            same_host = places[one][0] == places[other][0]
            if same_host and places[one][1] & places[other][1]:
                what = (
                    f"{one} and {other} have one host and ports in common, expected "
                    "different hosts or ranges where placement may choose either"
                )
                yield ("tenants", index, "placement"), what
                break


def _ports(path: Path, value: object) -> Iterator[Fault]:
    """`static` lies in the range; `exclude` may name what other ranges would hold.

    The TLS port and ports that proxies need may lie in the range: they are skipped.
    """
    ports = _mapping(value)
    whole = _numbers(_ranges(ports.get("range")))
    if not whole:
        return
    for each in _ranges(ports.get("static")):
        if not whole.issuperset(each):
            yield (*path, "static"), f"{each} is not inside of the range"
    most = ports.get("max")
    if isinstance(most, int) and not isinstance(most, bool) and most > len(whole):
        yield (*path, "max"), f"the range has only {len(whole)} ports (found {most})"
    if whole <= _numbers(_ranges(ports.get("exclude"))):
        yield (*path, "exclude"), "excludes the whole range, expected some ports left"


def _ranges(value: object) -> tuple[PortRange, ...]:
    if value is None:
        return ()
    try:
        return parse_ranges(value)
    except ValueError:
        return ()


def _numbers(ranges: tuple[PortRange, ...]) -> frozenset[int]:
    return frozenset(itertools.chain.from_iterable(ranges))


def _hostname(settings: Mapping[str, object]) -> Iterator[Fault]:
    """`{cluster}` is a label of its own, the rest is fixed and lies below the domain.

    So no two clusters meet on one name, and the one wildcard record answers for all of them.
    """
    domain = settings.get("domain")
    hostname = _mapping(settings.get("apis")).get("hostname")
    if not isinstance(hostname, str) or not isinstance(domain, str):
        return
    labels = hostname.replace("{domain}", domain).split(".")
    name = ".".join("a" if label == "{cluster}" else label for label in labels)
    if labels.count("{cluster}") != 1 or not is_dns_name(name):
        what = f"expected a DNS name with {{cluster}} once as a label, such as {API_HOSTNAME}"
        yield ("apis", "hostname"), f"{what} (found {hostname[:100]!r})"
    elif not name.endswith(f".{domain}"):
        what = f"expected a name below the domain {domain}, such as {API_HOSTNAME}"
        yield ("apis", "hostname"), f"{what} (found {hostname[:100]!r})"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()

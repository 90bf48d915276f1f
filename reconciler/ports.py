"""Port ranges and the numbers that are never allocated; pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_RANGE = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?\Z")

# Istio's and Envoy Gateway's own listeners inside the proxy pod.
PROXY_RANGES = ((15000, 15090), (19000, 19003))
# Envoy Gateway binds a listener below 1024 at this offset inside the pod.
PRIVILEGED_SHIFT = 10000
PRIVILEGED_END = 1024


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return (
            str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        )


def parse_ranges(value: object) -> tuple[PortRange, ...]:
    """Ranges from `20000-29999`, a number, or a list of such; sorted. Raises ValueError."""
    items = value if isinstance(value, (list, tuple)) else [value]
    ranges = tuple(sorted(_parse_range(item) for item in items))
    for before, after in itertools.pairwise(ranges):
        if after.first <= before.last:
            raise ValueError(f"{before} and {after} overlap")
    return ranges


def _parse_range(item: object) -> PortRange:
    if isinstance(item, PortRange):
        return item
    text = (
        str(item) if isinstance(item, (int, str)) and not isinstance(item, bool) else ""
    )
    match = _RANGE.match(text)
    if match is None:
        raise ValueError("expected a port or a range such as 20000-29999")
    first = int(match[1])
    last = int(match[2] or match[1])
    if last > 65535 or first > last:
        raise ValueError(f"{text} is no range of ports 1-65535 in ascending order")
    return PortRange(first, last)


def contains(ranges: Iterable[PortRange], port: int) -> bool:
    """Whether any of the ranges holds the port."""
    return any(port in each for each in ranges)


def never_allocatable(tls_port: int) -> frozenset[int]:
    """Ports that the proxies need whatever the settings say.

    `tls_port` is the gateway's shared TLS port; below 1024 it is bound at 10000 + p.
    """
    own = {port for first, last in PROXY_RANGES for port in range(first, last + 1)}
    own.add(tls_port)
    if tls_port < PRIVILEGED_END:
        own.add(tls_port + PRIVILEGED_SHIFT)
    own.update(
        (10080, 10443)
    )  # the usual privileged listeners, whoever adds them later
    return frozenset(own)

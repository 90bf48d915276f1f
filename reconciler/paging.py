"""One paged list of a Kubernetes API on its way, and what it may cost; pure.

A list proves absence only when it is whole: all pages of one resourceVersion, none of them
twice, none of them missing. Anything else is an error, never a shorter list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.kubeerrors import KubeError, TooLarge
from reconciler.model.clusters import Why

Json = Mapping[str, Any]
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one API server may cost: seconds, bytes, items. Defaults fit 10,000 exposures.

    A page counts as it came. `*_values` are commas and opening brackets: each value of JSON
    needs one, and a byte or two can become a hundred in memory. `received_bytes` and
    `kept_bytes` count for all lists of one reading: what came, and what is kept of it in memory.
    A watch has lines, and bytes per second after a burst.
    """

    request_seconds: float = 30.0
    connect_seconds: float = 10.0
    page_items: int = 500
    page_bytes: int = 4 * _MIB
    page_values: int = 300_000
    object_values: int = 1_200_000
    pages: int = 2_000
    thin_pages: int = 100
    items: int = 100_000
    received_bytes: int = 512 * _MIB
    kept_bytes: int = 48 * _MIB
    line_bytes: int = 4 * _MIB
    watch_burst: int = 32 * _MIB
    watch_rate: int = _MIB // 2


@dataclass(slots=True, kw_only=True)
class Spent:
    """What the lists of one reading of a server have cost so far."""

    received_bytes: int = 0
    kept_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Reading:
    """One list on its way: what pages must have in common, and what was used up."""

    where: str
    limits: Limits
    spent: Spent
    page_items: int = 0
    token: str = ""
    version: str = ""
    done: bool = False
    total_bytes: int = 0
    items: int = 0
    thin: int = 0
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page_items = self.limits.page_items

    def page(self, body: Json, size: int) -> Sequence[Json]:
        """The items of the next page. Raises KubeError when it does not belong here."""
        metadata, items = body.get("metadata"), body.get("items")
        kind = body.get("kind")
        if not isinstance(kind, str) or not kind.endswith("List"):
            raise self.broken("the answer is no list", Why.UNREADABLE)
        if not isinstance(metadata, dict) or not isinstance(items, list):
            raise self.broken("the answer has no items", Why.UNREADABLE)
        if not all(isinstance(item, dict) for item in items):
            raise self.broken("an item is no object", Why.UNREADABLE)
        self.same_version(metadata)
        self.advance(metadata, size)
        self.count(len(items))
        return items

    def check_values(self, values: int) -> None:
        """Raises TooLarge for a page of too many values; a single object may have more."""
        limits = self.limits
        most = limits.object_values if self.page_items == 1 else limits.page_values
        if values > most:
            what = f"the answer has more than {most} values"
            raise TooLarge(what, self.where, why=Why.INCOMPLETE)

    def count(self, items: int) -> None:
        """Objects have a limit, and so have pages that hold next to none of what was asked."""
        self.items += items
        if self.items > self.limits.items:
            raise self.broken(f"more than {self.limits.items} items")
        self.thin += not self.done and items * 10 < self.page_items
        if self.thin > self.limits.thin_pages:
            raise self.broken(f"more than {self.limits.thin_pages} pages nearly empty")

    def keep(self, kept: int) -> None:
        """Count what stays in memory, in bytes. Raises KubeError when it is too much."""
        self.spent.kept_bytes += kept
        if self.spent.kept_bytes > self.limits.kept_bytes:
            mebibytes = self.limits.kept_bytes // _MIB
            raise self.broken(f"its objects take more than {mebibytes} MiB of memory")

    def same_version(self, metadata: Json) -> None:
        version = metadata.get("resourceVersion")
        if not isinstance(version, str) or not version:
            raise self.broken("the list has no resourceVersion")
        if self.version and version != self.version:
            raise self.broken("pages have different resourceVersions")
        self.version = version

    def advance(self, metadata: Json, size: int) -> None:
        token = metadata.get("continue", "")
        token = "" if token is None else token
        if not isinstance(token, str):
            raise self.broken("the continue token is no text", Why.UNREADABLE)
        if not token and metadata.get("remainingItemCount"):
            raise self.broken("the list ends before its last item")
        if token in self.tokens:
            raise self.broken("a continue token came twice")
        self.tokens.add(token)
        self.total_bytes += size
        self.spent.received_bytes += size
        if self.spent.received_bytes > self.limits.received_bytes:
            raise self.broken(f"more than {self.limits.received_bytes} bytes")
        if token and len(self.tokens) >= self.limits.pages:
            raise self.broken(f"more than {self.limits.pages} pages")
        self.token, self.done = token, not token

    def broken(self, what: str, why: Why = Why.INCOMPLETE) -> KubeError:
        return KubeError(what, self.where, why=why)

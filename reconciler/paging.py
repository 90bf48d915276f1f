"""One paged list of a Kubernetes API on its way, and what it may cost; pure.

A list proves absence only when it is whole: all pages of one resourceVersion, none of them
twice, none of them missing. Anything else is an error, never a shorter list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import Why

Json = Mapping[str, Any]
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one API server may cost: seconds, bytes, items. Defaults fit 10,000 exposures."""

    request_seconds: float = 30.0
    connect_seconds: float = 10.0
    page_items: int = 500
    page_bytes: int = 16 * _MIB
    list_bytes: int = 256 * _MIB
    pages: int = 2_000
    items: int = 100_000


@dataclass(slots=True, kw_only=True)
class Reading:
    """One list on its way: what pages must have in common, and what was used up."""

    where: str
    limits: Limits
    page_items: int = 0
    token: str = ""
    version: str = ""
    done: bool = False
    total_bytes: int = 0
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
        return items

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
        if self.total_bytes > self.limits.list_bytes:
            raise self.broken(f"more than {self.limits.list_bytes} bytes")
        if token and len(self.tokens) >= self.limits.pages:
            raise self.broken(f"more than {self.limits.pages} pages")
        self.token, self.done = token, not token

    def broken(self, what: str, why: Why = Why.INCOMPLETE) -> KubeError:
        return KubeError(what, self.where, why=why)

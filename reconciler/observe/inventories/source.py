"""What one ecosystem calls a cluster: which objects are listed, and what follows; pure.

A module of an inventory is a `Source` and nothing else. Listing, watching, fetching and
following are the same for all of them (`hub.py`, `watching/hubs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from reconciler.kubeerrors import KubeError
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member
from reconciler.settings import Inventory

Json = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name) of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object that an inventory lists. `keep` takes what is needed of one.

    `versions` are served versions by preference (`cluster.x-k8s.io/v1beta2`, `v1` for the core
    group). `label` and `field` are selectors; people's own `selector` is asked for beside them
    only where the objects are the clusters themselves (`selected`; without a `label` it always
    is). Where the kind is not `required`, its absence from the API is the same as no objects.
    `alias` is what `Objects` call it when two kinds have one plural.
    """

    plural: str
    versions: tuple[str, ...]
    keep: Callable[[Json], Json | None]
    namespaced: bool = True
    label: str = ""
    field: str = ""
    required: bool = True
    selected: bool = False
    alias: str = ""

    @property
    def called(self) -> str:
        """The name under which `Objects` have it."""
        return self.alias or self.plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One thing that is fetched because an object names it: GET, or POST where there is a body.

    Fetched anew after `seconds`, and whenever the credentials in it are refused. `of` is the
    foreign name of the cluster whose credentials it has; empty: nobody knows.
    """

    path: str
    body: str = ""
    seconds: float = 60.0
    of: str = ""


Fetched = Mapping[Reference, Json | KubeError]
"""What was fetched, or why it could not be (a Secret that is missing is NotFound)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """All objects of all kinds: plural -> (namespace, name) -> what `keep` kept."""

    of: Mapping[str, Mapping[Key, Json]] = field(default_factory=dict)

    def all(self, plural: str) -> Mapping[Key, Json]:
        """The objects of a kind, sorted by namespace and name."""
        return dict(sorted(self.of.get(plural, {}).items()))


class Source(Protocol):
    """What one ecosystem calls a cluster; pure. Hostile objects make one cluster unknown."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """What is listed."""
        ...

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """What must be fetched beside it: Secrets that objects name."""
        ...

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """All clusters that the hub tells of."""
        ...


def collections(inventory: Inventory, kind: Kind, version: str) -> tuple[str, ...]:
    """Paths of the collections of a kind: one, or one a namespace."""
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    wanted = inventory.hub.namespaces if inventory.hub and kind.namespaced else ()
    query = {"labelSelector": _labels(inventory, kind), "fieldSelector": kind.field}
    text = urlencode({key: value for key, value in query.items() if value})
    end = f"{kind.plural}?{text}" if text else kind.plural
    if not wanted:
        return (f"{root}/{end}",)
    return tuple(f"{root}/namespaces/{each}/{end}" for each in dict.fromkeys(wanted))


def _labels(inventory: Inventory, kind: Kind) -> str:
    # People select clusters; the Secrets beside them need not carry those labels.
    asked = kind.selected or not kind.label
    chosen = inventory.hub.selector if inventory.hub and asked else {}
    pairs = [f"{key}={value}" for key, value in sorted(chosen.items())]
    return ",".join(filter(None, [kind.label, *pairs]))


def keyed(body: Json, kind: Kind) -> tuple[Key, Json] | None:
    """What is kept of an object under its key. Raises ValueError for one without identity."""
    key = parse.identity(body, namespaced=kind.namespaced)
    kept = kind.keep(body)
    return None if kept is None else (key, kept)

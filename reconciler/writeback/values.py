"""What is to be written back and what became of it; pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.access import Credentials
from reconciler.model.claims import Source
from reconciler.model.units import UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """Annotations to set or remove (`None`) on one VirtualService of an inventory's cluster.

    `access` is how the cluster was read; a kubeconfig file is read anew instead.
    """

    source: Source
    inventory: str
    annotations: Mapping[str, str | None]
    access: Credentials | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one change; an empty problem means that it was written.

    `now` is the object after our change, where the API server said how it is.
    """

    unit: UnitId
    problem: str
    now: Source | None = None

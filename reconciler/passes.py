"""What a pass is asked, what it remembers and what it returns; values, and how it sees (I/O)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.errors import Exit, ReconcileError
from reconciler.looks import Looks
from reconciler.model.claims import ClusterClaims
from reconciler.model.clusters import Snapshot, Unknown
from reconciler.model.pins import Pins
from reconciler.model.plans import NO_PLAN as NO_PLAN
from reconciler.model.plans import Plan
from reconciler.model.repository import CommitId, Head, History
from reconciler.model.units import UnitId
from reconciler.observe import observe
from reconciler.prove import Seen
from reconciler.prove.asking import Asks
from reconciler.prove.views import Look, listing
from reconciler.reviewing import NOT_REVIEWED, Reviewed
from reconciler.settings import Settings
from reconciler.writeback import Refusals


def _now() -> datetime:
    return datetime.now(UTC)


Seeing = Callable[[Settings, frozenset[str] | None, Pins], Awaitable[Snapshot]]
"""Sees all clusters, or those named; pins are what Git knows of them."""


async def _observe(
    settings: Settings, only: frozenset[str] | None, pins: Pins
) -> Snapshot:
    return await observe(settings, only=only, pins=pins)


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """How a pass sees clusters and the clock; by default it reads both itself.

    `observe` gives a snapshot of all clusters or of those named, complete or unknown each;
    `afresh` is one that begins now. `look` is how the platform cluster is read.
    """

    observe: Seeing = _observe
    afresh: Seeing = _observe
    now: Callable[[], datetime] = _now
    look: Look = listing


OWN_EYES = Eyes()


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """What a person asks of one pass. `only` limits it to clusters, `gateways` to a shard of
    what is written; `None` means all.

    `wait` lets a one-shot pass wait for the second look at missing objects; `commit` false
    only plans.
    """

    only: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    released: frozenset[UnitId] = frozenset()
    accept_deletions: str = ""
    accept_rewrites: str = ""
    accept_arrivals: str = ""
    last_seen: str = ""
    wait: bool = True
    commit: bool = True


@dataclass(slots=True)
class Memory:
    """What a process remembers between passes; losing it only costs time, never safety.

    What is seen of clusters is at least as new as what the branch had at `followed`.
    """

    looks: Looks = field(default_factory=Looks)
    pushed: CommitId | None = None
    followed: CommitId | None = None
    seen: Seen = field(default_factory=dict)
    asks: Asks = field(default_factory=Asks)
    refusals: Refusals = field(default_factory=dict)


# asyncio writes out what its main task returned when that ends: seconds and hundreds of MiB.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PassResult:
    """One pass: its plan, what became of it, and the values that write-back needs."""

    plan: Plan
    settings: Settings | None
    head: Head | None
    history: History | None
    claims: tuple[ClusterClaims, ...] = ()
    commit: CommitId | None = None
    failure: ReconcileError | None = None
    reviewed: Reviewed = NOT_REVIEWED

    @property
    def known(self) -> frozenset[str]:
        """Clusters of which the pass had complete lists."""
        return frozenset(
            each.view.entry.name
            for each in self.claims
            if not isinstance(each.view.objects, Unknown)
        )

    @property
    def failures(self) -> tuple[ReconcileError, ...]:
        """What went wrong: the pass itself first, then single requests."""
        failed = (self.failure,) if self.failure is not None else ()
        return (*failed, *self.reviewed.failures)

    @property
    def exits(self) -> tuple[Exit, ...]:
        """All exit codes that this pass means."""
        return (*self.plan.exits, *(each.exit for each in self.failures))


def exits_of(results: Sequence[PassResult]) -> tuple[Exit, ...]:
    """All exit codes of several passes."""
    return tuple(code for result in results for code in result.exits)

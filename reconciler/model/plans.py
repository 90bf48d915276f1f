"""What a pass decided: rows for people, commits for Git, states for write-back; pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.codes import Code
from reconciler.errors import Exit
from reconciler.model.repository import CommitDraft, CommitId
from reconciler.model.units import UnitId


class Op(StrEnum):
    """What happens to a route."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RELEASE = "release"
    HOLD = "hold"
    WITHHOLD = "withhold"
    REJECT = "reject"
    SKIP = "skip"


WRITES = frozenset({Op.CREATE, Op.UPDATE, Op.DELETE, Op.RELEASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a plan: one route, or a whole cluster when `name` is `None`."""

    op: Op
    cluster: str
    namespace: str | None
    name: str | None
    route: str | None
    gateway: str | None
    host: str | None
    port: int | None
    code: Code
    reason: str


class State(StrEnum):
    """`wharfinger.dev/state`: of the newest wish of an exposure."""

    PENDING = "Pending"
    ALLOCATED = "Allocated"
    APPLIED = "Applied"
    READY = "Ready"
    DEGRADED = "Degraded"
    HELD = "Held"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """Where an exposure stands after planning, before proof.

    `state` is one of Pending, Allocated, Held, Rejected. For `Allocated` the proof decides on.
    `degraded` is a reason known from observing alone (no address left), empty otherwise.
    """

    unit: UnitId
    state: State
    message: str
    degraded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How often and since when a unit was seen missing in complete lists."""

    unit: UnitId
    first: datetime
    last: datetime
    count: int


class ProposalKind(StrEnum):
    """What a request is for; decides its branch and whether it may merge by itself."""

    WISHES = "wishes"
    ADOPTION = "adoption"  # everything, while the repository serves nothing yet
    DELETIONS = "deletions"  # withheld by the budget: merging is accepting
    REWRITES = "rewrites"  # withheld by the budget
    FOLLOW = "follow"  # addresses and cluster records that the branch refuses; nobody's decision


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pair:
    """What a request decides for one unit.

    `wish` are the digests of its wish by gateway (`public:3f9a6c2e`, `public:-` where it goes),
    `ports` its ledger files (`ports/public/20017 active`), both sorted.
    """

    unit: UnitId
    wish: tuple[str, ...]
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One request that a pass wants to be open: one commit on a branch of its own.

    `group` names the branch below the prefix. `rows` are those of the plan that it is about.
    """

    group: str
    kind: ProposalKind
    draft: CommitDraft
    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All decisions of one pass against one base commit.

    `drafts` are in the order in which they are committed, one push. `withheld` is the digest of
    the withheld set, empty when nothing waits. `exits` are the codes that this plan means.
    `unconfirmed` are units whose absence needs another look. Under review `drafts` are only what
    is nobody's decision, and `proposals` the rest. `others` are units that other processes, or other
    repositories, write, prove and write back; `pending` those for which another shard has
    something to do yet.
    """

    base: CommitId
    digest: str
    rows: tuple[Row, ...]
    drafts: tuple[CommitDraft, ...]
    states: tuple[UnitState, ...]
    withheld: str
    exits: tuple[Exit, ...]
    unconfirmed: tuple[UnitId, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    others: frozenset[UnitId] = frozenset()
    pending: frozenset[UnitId] = frozenset()


NO_PLAN = Plan(
    base=CommitId(""),
    digest="",
    rows=(),
    drafts=(),
    states=(),
    withheld="",
    exits=(),
)

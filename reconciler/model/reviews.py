"""Pull requests as values: what a pass proposes, and what requests say; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.plans import Pair
from reconciler.model.repository import CommitId
from reconciler.model.units import Owner, UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A port (int) or SNI host (str) that an open request takes for an owner."""

    gateway: str
    key: int | str
    owner: Owner
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A unit's wish that people closed a request about. `about` names the request for them."""

    pair: Pair
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A request's branch as Git shows it.

    `files` are its changes to our paths against the merge base, `before` what stood there;
    `ours` says that its changes are exactly what a commit of ours made; `conflicts` that a
    merge into the branch would not be clean.
    """

    branch: str
    tip: CommitId
    files: Mapping[str, bytes | None]
    before: Mapping[str, bytes | None]
    ours: bool
    conflicts: bool


class RequestState(StrEnum):
    """Where a request stands at its forge."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pull request (merge request) at a forge. `head` is the last commit of its branch.

    `ours_closed` says that its body carries our mark of a request that we closed ourselves.
    """

    number: int
    branch: str
    head: CommitId
    state: RequestState
    title: str
    body: str
    url: str
    labels: tuple[str, ...] = ()
    ours_closed: bool = False
    author: str = ""  # the forge's id of who opened it


class Step(StrEnum):
    """What a pass did about a request."""

    OPENED = "opened"
    REBUILT = "rebuilt"
    KEPT = "kept"
    CLOSED = "closed"
    SWEPT = "swept"  # a merged request's branch that was left
    EDITED = "edited by people"
    WAITING = "waiting"  # more requests are open than the settings allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one group in a pass; `number` is 0 where there is no request.

    `note` says why a request that should merge by itself does not yet.
    """

    group: str
    step: Step
    number: int = 0
    url: str = ""
    units: tuple[UnitId, ...] = ()
    note: str = ""

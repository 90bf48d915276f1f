"""Every error that Wharfinger raises on purpose, with the exit code it means; pure.

    ReconcileError            1  unexpected
      Usage                   2  a person edits a command line or a file
        InvalidSettings       2  all faults of `wharfinger.yaml` at once
      Unauthorised            4  credentials are missing or were refused
      Conflict                6  lost the race for the branch, or the plan is stale
      TimedOut                7  waited, and it did not happen in time
      Unavailable             3  something could not be reached or read
      Blocked                 5  a guard, a freeze or a server's rule says no

Anything else that is raised is a bug and may end the process with exit code 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """Process exit codes of every command; part of the contract."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    INCOMPLETE = 3
    CREDENTIALS = 4
    BLOCKED = 5
    CONFLICT = 6
    TIMEOUT = 7
    CHANGES = 10


_PRECEDENCE = (
    Exit.ERROR,
    Exit.USAGE,
    Exit.CREDENTIALS,
    Exit.CONFLICT,
    Exit.TIMEOUT,
    Exit.INCOMPLETE,
    Exit.BLOCKED,
    Exit.CHANGES,
)


def worst(codes: Iterable[Exit]) -> Exit:
    """The code that counts when several apply; `DONE` for none."""
    found = set(codes)
    return next((code for code in _PRECEDENCE if code in found), Exit.DONE)


class ReconcileError(Exception):
    """Base of all errors on purpose: `what` happened, `where`, and what to do (`hint`)."""

    exit = Exit.ERROR

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class Usage(ReconcileError):
    """A command line or a file that a person must change; never retried."""

    exit = Exit.USAGE


class InvalidSettings(Usage):
    """All faults of a settings file; `faults` are `file:line:column path: what` lines."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Unauthorised(ReconcileError):
    """Credentials are missing, expired or refused."""

    exit = Exit.CREDENTIALS


class Unavailable(ReconcileError):
    """A cluster, an inventory or a remote could not be reached or read."""

    exit = Exit.INCOMPLETE


class TimedOut(ReconcileError):
    """Something was waited for and did not happen in time."""

    exit = Exit.TIMEOUT


class Conflict(ReconcileError):
    """The branch moved more often than we retried, or the plan is stale."""

    exit = Exit.CONFLICT


class Blocked(ReconcileError):
    """A guard, a freeze or a rule of the server stops the pass until a person acts."""

    exit = Exit.BLOCKED

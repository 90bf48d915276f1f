"""What the doctor found, and what to do about it; pure values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.errors import Exit, worst


class Level(StrEnum):
    """`WARN` is worth a look and stops nothing; `SKIPPED` could not be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was examined. `advice` says what to do, empty where nothing is to be done.

    `exit` is what a failure means for the process.
    """

    where: str
    check: str
    level: Level
    found: str
    advice: str = ""
    exit: Exit = Exit.INCOMPLETE


def ok(where: str, check: str, found: str) -> Finding:
    """All is well."""
    return Finding(where=where, check=check, level=Level.OK, found=found)


def warn(where: str, check: str, found: str, advice: str) -> Finding:
    """Worth a look."""
    return Finding(
        where=where, check=check, level=Level.WARN, found=found, advice=advice
    )


def fail(
    where: str, check: str, found: str, advice: str, exit: Exit = Exit.INCOMPLETE
) -> Finding:
    """It will not work so."""
    return Finding(
        where=where,
        check=check,
        level=Level.FAIL,
        found=found,
        advice=advice,
        exit=exit,
    )


def skipped(where: str, check: str, found: str, advice: str = "") -> Finding:
    """It was not looked at, and why."""
    return Finding(
        where=where, check=check, level=Level.SKIPPED, found=found, advice=advice
    )


def exit_of(findings: Iterable[Finding]) -> Exit:
    """What the process says: `DONE` unless something failed."""
    return worst(each.exit for each in findings if each.level is Level.FAIL)

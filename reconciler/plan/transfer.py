"""A port or SNI host that a person gives to another unit: the values of it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.ledger_file import Entry, Key
from reconciler.model.plans import Op
from reconciler.model.units import Owner, UnitId

At = tuple[str, Key]
"""(gateway, port or SNI host)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One that may happen now. `entry` is what the ledger has: its owner is the former one.

    `replaces` are ports that the receiving route has already: they drain.
    """

    entry: Entry
    former: UnitId
    to: Owner
    replaces: tuple[At, ...] = ()

    @property
    def at(self) -> At:
        """Where it is in the ledger."""
        return (self.entry.gateway, self.entry.key)

    def __str__(self) -> str:
        what = f"{self.entry.gateway}/{self.entry.key}"
        return f"{what} from {self.former} to {self.to.unit}"

    @property
    def units(self) -> tuple[UnitId, UnitId]:
        """Who gives and who gets."""
        return (self.former, self.to.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """One that does not happen now, and why.

    `unit` is whom to tell. `op` is SKIP (it waits), HOLD (a person holds one of the two) or
    REJECT (it cannot be granted as it is written). `meant` is false where `next` names nobody
    who could have it.
    """

    entry: Entry
    unit: UnitId
    op: Op
    reason: str
    meant: bool = True

    @property
    def code(self) -> Code:
        """The reason code of its row."""
        refused = self.op is Op.REJECT
        return Code.TRANSFER_REFUSED if refused else Code.TRANSFERRED

    @property
    def told(self) -> str:
        """The whole reason, in words."""
        if not self.meant:
            return self.reason
        what = f"{self.entry.gateway}/{self.entry.key}"
        owner = f" of {self.entry.owner.unit}" if self.entry.owner else ""
        verb = "cannot get" if self.op is Op.REJECT else "waits for"
        return f"{verb} {what}{owner}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A port or host of a unit that went to another one."""

    gateway: str
    key: Key
    to: UnitId


def joined(transfers: Sequence[Transfer]) -> list[frozenset[UnitId]]:
    """Units that must change in one commit: those that transfers join, also in a chain."""
    groups: list[frozenset[UnitId]] = []
    for each in transfers:
        together = frozenset(each.units).union(
            *(group for group in groups if group.intersection(each.units))
        )
        groups = [group for group in groups if not group & together]
        groups.append(together)
    return sorted(groups, key=sorted)

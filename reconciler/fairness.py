"""Shares the time of one event loop among the API servers that are read in it; reads a clock.

Work on answers cannot be interrupted, so a server that makes more of it than the others rests
between its pieces for as long as others are at work: they are late by little, whatever it sends.
Nobody rests who is alone, or who has used about as much as the others.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FREE = 0.02
"""Seconds of work by which a server may be ahead of the others."""
_RESTS = 19.0
_LONGEST = 5.0
_RECENT = 1.0
_STEP = 0.02
_HALF_LIFE = 10.0


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """What one API server has used, in seconds of work, and when it last worked.

    Half of it is forgotten every ten seconds: a server that is watched for days is judged by
    what it does now.
    """

    used: float = 0.0
    seen: float = 0.0

    def level(self, now: float) -> float:
        """What it has used that still counts."""
        return self.used * math.exp2((self.seen - now) / _HALF_LIFE)


@dataclass(slots=True, kw_only=True)
class Shares:
    """The accounts of all servers that are read together; `clock` counts seconds."""

    clock: Callable[[], float] = time.monotonic
    _open: dict[Account, None] = field(default_factory=dict)  # who worked last is last

    def open(self) -> Account:
        """An account for a server whose reading begins."""
        account = Account()
        self._open[account] = None
        return account

    def close(self, account: Account) -> None:
        """The server is read; it no longer counts for others."""
        del self._open[account]

    def charge(self, account: Account, seconds: float) -> float:
        """Count work; the seconds that its server should rest before it causes more."""
        now = self.clock()
        account.used, account.seen = account.level(now) + seconds, now
        if account in self._open:
            del self._open[account]
            self._open[account] = None
        if not self.must_wait(account):
            return 0.0
        return min(_LONGEST, _RESTS * seconds)

    def must_wait(self, account: Account) -> bool:
        """Whether somebody who used less is at work."""
        now = self.clock()
        most = account.level(now) - FREE
        if most <= 0:
            return False
        for each in reversed(self._open):
            if each.seen < now - _RECENT:
                return False
            if each is not account and each.level(now) < most:
                return True
        return False

    async def turn(self, account: Account, seconds: float) -> None:
        """Wait for a turn of work that will take about `seconds`."""
        rest = self.charge(account, seconds)
        until = self.clock() + rest
        while rest and self.clock() < until and self.must_wait(account):
            await asyncio.sleep(_STEP)


@dataclass(slots=True, kw_only=True)
class Pace:
    """One server among those that are read together."""

    shares: Shares = field(default_factory=Shares)
    account: Account = field(default_factory=Account)

    def begin(self) -> None:
        """Reading begins: from now on it counts for others."""
        self.account = self.shares.open()

    def end(self) -> None:
        """The server is read."""
        self.shares.close(self.account)

    def charge(self, seconds: float) -> float:
        """Count work; the seconds to rest before more of it."""
        return self.shares.charge(self.account, seconds)

    async def turn(self, seconds: float) -> None:
        """Wait for a turn of work that will take about `seconds`."""
        await self.shares.turn(self.account, seconds)

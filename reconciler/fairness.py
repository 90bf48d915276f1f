"""Shares the time of one event loop among the API servers that are read in it; reads a clock.

Work on answers cannot be interrupted, so a server that makes more of it than the others rests
between its pieces while others are at work: they are late by little, whatever it sends. Rests are
counted in work of this thread, since on a busy machine a second holds little of it. Nobody rests
who is alone, or who has used about as much as the others.
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
STEP = 0.02
"""Seconds between two looks whether a rest is over."""
_HALF_LIFE = 10.0


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """What one API server has used, in seconds of work, and when it last worked.

    Half of it is forgotten every ten seconds: a server that is watched for days is judged by
    what it does now.
    """

    used: float = 0.0
    seen: float = 0.0
    until_work: float = 0.0
    until: float = 0.0

    def level(self, now: float) -> float:
        """What it has used that still counts."""
        return self.used * math.exp2((self.seen - now) / _HALF_LIFE)


@dataclass(slots=True, kw_only=True)
class Shares:
    """The accounts of all servers that are read together.

    `clock` counts seconds, `work` seconds in which this thread was at work.
    """

    clock: Callable[[], float] = time.monotonic
    work: Callable[[], float] = time.thread_time
    _open: dict[Account, None] = field(default_factory=dict)  # who worked last is last

    def open(self) -> Account:
        """An account for a server whose reading begins."""
        account = Account()
        self._open[account] = None
        return account

    def close(self, account: Account) -> None:
        """The server is read; it no longer counts for others."""
        del self._open[account]

    def charge(self, account: Account, seconds: float) -> bool:
        """Count work; whether its server should rest before it causes more."""
        now = self.clock()
        account.used, account.seen = account.level(now) + seconds, now
        if account in self._open:
            del self._open[account]
            self._open[account] = None
        account.until_work = max(account.until_work, self.work()) + _RESTS * seconds
        account.until = now + _LONGEST
        return self.rests(account)

    def rests(self, account: Account) -> bool:
        """Whether a server still rests."""
        return (
            self.work() < account.until_work
            and self.clock() < account.until
            and self.must_wait(account)
        )

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
        resting = self.charge(account, seconds)
        while resting:
            await asyncio.sleep(STEP)
            resting = self.rests(account)


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

    def charge(self, seconds: float) -> bool:
        """Count work; whether to rest before more of it."""
        return self.shares.charge(self.account, seconds)

    def rests(self) -> bool:
        """Whether it still rests."""
        return self.shares.rests(self.account)

    async def turn(self, seconds: float) -> None:
        """Wait for a turn of work that will take about `seconds`."""
        await self.shares.turn(self.account, seconds)

"""Whether this process is the one that works; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Lead(Protocol):
    """Asked before passes and proofs. Who leads no more ends what runs: the push decides."""

    held: bool

    def start(self, changed: Callable[[], None]) -> None:
        """Begin; `changed` is called in the same event loop whenever `held` changes."""

    async def close(self) -> None:
        """Let another process begin at once."""


class Alone:
    """Nobody else is expected: this process always works."""

    held = True

    def start(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    async def close(self) -> None:
        """There is nothing to give back."""

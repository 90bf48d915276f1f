"""What a loop is asked and what it works with; values."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.live.lead import Alone, Lead
from reconciler.live.lookout import Watching
from reconciler.live.worker import Works
from reconciler.passes import PassOptions
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.report import Report
from reconciler.settings import Settings


def _nothing(report: Report, settings: Settings | None) -> None:
    """Nobody wants to be told."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a person asks of `run`. `passes` 0 means until stopped; `interval` is seconds."""

    options: PassOptions
    write_back: str = "auto"
    interval: float = 15.0
    passes: int = 0
    tell: Callable[[Report, Settings | None], None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a loop works with; `repository` and `proving` are used by one thread each."""

    repository: Repository
    proving: Repository
    watch: Callable[[Settings], Watching]
    passes: Works
    proofs: Works
    lead: Lead = field(default_factory=Alone)
    look: Look = listing
    now: Callable[[], datetime] = _now
    chance: Callable[[], float] = random.random

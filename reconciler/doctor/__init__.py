"""`wharfinger doctor`: looks at everything that a pass needs, and says what to do (does I/O)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from reconciler.doctor import clusters, platform, repository
from reconciler.doctor.findings import Finding, Level, exit_of, ok
from reconciler.plan.pins import HeadPins
from reconciler.repo import Repository
from reconciler.run import settings_at

__all__ = ["Finding", "Level", "examine", "exit_of"]


def examine(
    ingress: Repository, environ: Mapping[str, str], now: datetime
) -> tuple[Finding, ...]:
    """All findings, by where they are about. Raises Usage without valid settings."""
    head, history = ingress.head(), ingress.history()
    settings = settings_at(head)
    pins = HeadPins(head, ingress.history).ready()
    found = [ok("repository", "settings", "wharfinger.yaml is valid")]
    found += repository.examine(ingress, settings, environ)
    found += repository.room(settings, head, history, now)
    found += asyncio.run(platform.examine(settings, now))
    found += asyncio.run(clusters.examine(settings, pins, now))
    return tuple(found)

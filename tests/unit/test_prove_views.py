"""What may be kept of the platform, which holds the objects of all tenants."""

from __future__ import annotations

from reconciler.prove.kept import kept
from reconciler.prove.views import PLATFORM_LIMITS
from reconciler.weight import weight
from tests.proving import API, live_set


def test_a_hundred_thousand_listener_sets_fit() -> None:
    one = weight(kept(live_set(), API))
    assert one > 1000
    assert 100_000 * one <= PLATFORM_LIMITS.kept_bytes
    assert PLATFORM_LIMITS.items > 100_000
    assert PLATFORM_LIMITS.page_items * PLATFORM_LIMITS.pages > PLATFORM_LIMITS.items

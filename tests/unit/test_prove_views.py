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


def test_of_annotations_only_the_request_to_look_is_kept() -> None:
    """Without it a request that waits would look like one that was lost."""
    refresh = {"argocd.argoproj.io/refresh": "normal"}
    metadata = {"name": "eu1", "annotations": {**refresh, "note": "x" * 1000}}

    assert kept({"metadata": metadata}, "argoproj.io/v1alpha1")["metadata"] == {
        "name": "eu1",
        "annotations": refresh,
    }

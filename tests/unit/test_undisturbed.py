"""The collector rests inside, and is afterwards what it was before."""

from __future__ import annotations

import contextlib
import gc

from reconciler.undisturbed import undisturbed


def test_the_collector_rests_inside_and_comes_back() -> None:
    assert gc.isenabled()
    with undisturbed():
        assert not gc.isenabled()
        with undisturbed():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_comes_back_after_a_failure() -> None:
    with contextlib.suppress(ValueError), undisturbed():
        raise ValueError
    assert gc.isenabled()

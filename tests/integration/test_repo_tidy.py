"""A process that works for months: its clone is packed now and then, and nothing piles up."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.repo import Repository, transport
from reconciler.repo.children import Ended
from tests.integration.remotes import NOW, Place, draft

PACKS = 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    tidy = dict(transport._TIDY) | {"gc.autoPackLimit": str(PACKS)}
    monkeypatch.setattr(transport, "_PACKS", PACKS)
    monkeypatch.setattr(transport, "_TIDY", tuple(tidy.items()))
    return Place(tmp_path)


def open_packs(place: Place) -> list[str]:
    """Packs of the clone that this process holds open, also those that are removed."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{each}"))
    return [name for name in found if ".pack" in name and str(place.root) in name]


def serve(place: Place, ours: Repository, turn: int) -> str:
    """A person's commit, which comes as a pack, and one of ours."""
    place.commits(f"manifests/p/{turn}.yaml", f"{turn}\n")
    ours.fetch()
    tip = ours.push(
        [draft("manifests/p/a.yaml", b"%d\n" % turn)], ours.head().commit, "", NOW
    )
    assert len(ours.history().commits) == 2 * (turn + 1)
    return tip


def packs(place: Place) -> int:
    """How many packs the clone has."""
    return len(list(place.root.glob("cache/repositories/*/objects/pack/*.pack")))


def test_neither_packs_nor_descriptors_of_removed_packs_pile_up(place: Place) -> None:
    ours, proving = place.unfetched(), place.unfetched()
    for turn in range(4 * PACKS):
        tip = serve(place, ours, turn)
        assert (
            len(
                proving.content_at(
                    tip, (f"manifests/p/{turn}.yaml", "manifests/p/a.yaml")
                )
                or ()
            )
            == 2
        )
        assert packs(place) <= PACKS + 1
        assert not any("(deleted)" in each for each in open_packs(place))
        assert len(open_packs(place)) <= PACKS + 1


def test_what_cannot_be_packed_is_not_tried_again_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = place.unfetched()
    tries: list[str] = []
    run = transport.Git._run

    def failing(git: transport.Git, args: list[str], *rest: object, **more: object):
        if "gc" not in args:
            return run(git, args, *rest, **more)
        tries.append("gc")
        return Ended(code=-1, output=b"", errors=b"", timed_out=True)

    monkeypatch.setattr(transport.Git, "_run", failing)
    for turn in range(2 * PACKS):
        serve(place, ours, turn)

    assert packs(place) > PACKS + 1
    assert tries == ["gc"]


def test_large_packs_stay_as_they_are(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_LARGE", "gc.bigPackThreshold=16k")
    ours = place.unfetched()
    place.commits("manifests/p/large.yaml", os.urandom(20_000).hex())
    ours.fetch()
    (large,) = place.root.glob("cache/repositories/*/objects/pack/*.pack")
    for turn in range(2 * PACKS):
        place.commits(f"manifests/p/{turn}.yaml", f"{turn}\n")
        ours.fetch()

    assert packs(place) <= PACKS + 1
    assert large.exists()

"""A Lease that an API server refuses to store is told, once, and one that is raced for is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reconciler.kube import KubeApi
from reconciler.lease import Lease, Place
from reconciler.log import configure
from tests.kubeserver import Answer, Request, ok, running, serving, status

PLACE = Place(namespace="a", name="b", seconds=0.5)


class Refusing:
    """Every write is refused; `version` is that of the Lease after each, empty: there is none."""

    def __init__(self, *, moves: bool = False, there: bool = False) -> None:
        self.writes = 0
        self._moves = moves
        self._there = there

    def __call__(self, request: Request) -> Answer:
        if request.method != "GET":
            self.writes += 1
            return status(422, "Invalid")
        if not self._there:
            return status(404, "NotFound")
        version = str(self.writes if self._moves else 0)
        return ok({"metadata": {"name": "b", "resourceVersion": version}})


def looks(folder: Path, server: Refusing) -> None:
    async def run() -> None:
        async with running(serving(folder), server) as at:
            lease = Lease(lambda: KubeApi(at.credentials(), name="platform"), PLACE)
            async with KubeApi(at.credentials(), name="platform") as api:
                for _ in range(3):
                    await lease.look(api)
            assert not lease.held

    asyncio.run(run())
    assert server.writes == 3


@pytest.mark.parametrize("there", [False, True])
def test_a_lease_that_is_refused_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    configure()  # what ran before may have sent logs elsewhere
    looks(tmp_path, Refusing(there=there))
    said = capsys.readouterr()
    with capsys.disabled():
        configure()
    text = said.out + said.err
    assert text.count("the lease is refused") == 1
    assert "422" in text


def test_a_lost_race_is_no_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()  # what ran before may have sent logs elsewhere
    looks(tmp_path, Refusing(there=True, moves=True))
    said = capsys.readouterr()
    with capsys.disabled():
        configure()
    assert "refused" not in said.out + said.err

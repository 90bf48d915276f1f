"""A new version of us renders the same wishes with other bytes: holds stay, older versions stop."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import run
from reconciler.model.plans import Op
from reconciler.repo import Credentials, Remote, Repository
from tests.histories import BILLING, WISH, Town, Wish, begin

VERSION = run.RENDERING.version + 1


def upgraded(town: Town, monkeypatch: pytest.MonkeyPatch) -> run.PassResult:
    """One pass of the next version, which adds a line to every wish file."""
    old = run.RENDERING

    def newer(*args: object) -> object:
        files = old.unit(*args)  # type: ignore[arg-type]
        return replace(files, wish=files.wish + b"# of the next version\n")

    remote = Remote(url=str(town.ingress.remote), credentials=Credentials())
    repository = Repository.open(remote, town.ingress.root / "next", VERSION)
    made = replace(old, version=VERSION, unit=newer)  # type: ignore[arg-type]
    before = os.getcwd()
    with monkeypatch.context() as patch:
        patch.setattr(run, "RENDERING", made)
        os.chdir(town.ingress.root)
        try:
            return asyncio.run(
                run.one_pass(repository, run.PassOptions(), run.Memory())
            )
        finally:
            os.chdir(before)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    guards = {"grace": "0s", "rewrites": {"percent": 100}}
    return begin(tmp_path / "town", guards=guards)


def test_an_upgrade_ends_no_hold_and_an_older_version_then_stops(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.revert(town.changed)
    result = upgraded(town, monkeypatch)
    assert result.failure is None
    ops = {(row.op, row.name) for row in result.plan.rows}
    assert ops == {(Op.HOLD, "orders"), (Op.UPDATE, "billing")}
    assert town.ingress.show(WISH) == town.wishes[Wish.FIRST]
    assert town.ingress.show(BILLING).endswith("# of the next version\n")
    again = upgraded(town, monkeypatch)
    assert [row.op for row in again.plan.rows] == [Op.HOLD]
    tip = town.tip()
    older = town.ingress.reconcile()
    assert (older.code, town.tip()) == (5, tip)
    assert "WHF404" in older.err
    assert "upgrade wharfinger" in older.err


def test_a_revert_of_an_upgrade_alone_is_no_hold_of_a_wish(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = upgraded(town, monkeypatch)
    assert {row.op for row in result.plan.rows} == {Op.UPDATE}
    town.pull()
    town.git("revert", "--no-edit", "HEAD", "HEAD^")
    town.push()
    again = upgraded(town, monkeypatch)
    assert {row.op for row in again.plan.rows} <= {Op.UPDATE}, again.plan.rows

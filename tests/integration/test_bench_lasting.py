"""The generated long history is what it says: ours, back at the same tree, and quiet."""

from __future__ import annotations

from pathlib import Path

from reconciler.repo import Credentials, Remote, Repository
from tests.bench.__main__ import COMMAND, git, measure, set_up
from tests.bench.lasting import addresses, grow, moves, passes, quiet

EXPOSURES, COMMITS = 12, 40


def test_a_grown_history_is_attributed_ends_at_the_same_tree_and_makes_no_work(
    tmp_path: Path,
) -> None:
    remote = set_up(tmp_path, EXPOSURES, 2)
    argv, environment = passes(tmp_path, "cache")
    measure([str(COMMAND), *argv], environment)
    tree = git(remote, "rev-parse", "main^{tree}")
    before = int(git(remote, "rev-list", "--count", "main"))
    grow(remote, COMMITS, seed=1)

    assert git(remote, "rev-parse", "main^{tree}") == tree
    opened = Repository.open(
        Remote(url=str(remote), credentials=Credentials()), tmp_path / "other"
    )
    opened.fetch()
    commits = opened.history().commits
    assert len(commits) == before + COMMITS
    assert [each.subject for each in commits if not each.ours] == ["settings"]
    assert all(len(each.changes) == 1 for each in commits[:COMMITS])
    quiet(remote, [str(COMMAND), *argv], environment)


def test_moves_are_the_same_for_a_seed_and_end_at_home(tmp_path: Path) -> None:
    remote = set_up(tmp_path, EXPOSURES, 2)
    argv, environment = passes(tmp_path, "cache")
    measure([str(COMMAND), *argv], environment)
    units = addresses(remote)
    assert len(units) == EXPOSURES
    assert all(unit.away.startswith(b"# c000") for unit in units)

    once = list(moves(units, COMMITS, seed=7))
    assert once == list(moves(units, COMMITS, seed=7))
    assert once != list(moves(units, COMMITS, seed=8))
    homes = sum(b" inline " not in files for _, files in once)
    assert homes == COMMITS // 2

"""Branches that were rewound, replaced or lag: the freeze, its words, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.histories import (
    THIRD_WISH,
    WISH,
    Stories,
    Story,
    Town,
    Verdict,
    Wish,
    begin,
    copied,
    judge,
)

WRITE, FREEZE = Verdict.WRITE, Verdict.FREEZE
FIRST, SECOND, THIRD = Wish.FIRST, Wish.SECOND, Wish.THIRD
STORIES = Stories()
tell = STORIES.tell


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return begin(tmp_path_factory.mktemp("histories") / "town")


@pytest.fixture
def town(template: Town, tmp_path: Path) -> Town:
    made = copied(template, tmp_path / "town")
    made.passes()
    return made


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_history(story: Story, town: Town) -> None:
    story.did(town)
    judge(town, story)


def lose(town: Town, back: int = 1) -> str:
    """The newest commits are dropped by force and others come; returns the lost tip."""
    lost = town.tip()
    town.more = (f"--last-seen={lost}",)
    town.pull()
    town.git("reset", "-q", "--hard", f"HEAD~{back}")
    town.ingress.work.joinpath("README.md").write_text("another future\n")
    town.git("add", "-A")
    town.git("commit", "-qm", "Another future")
    town.push()
    return lost


def accept(town: Town, commit: str) -> None:
    done = town.ingress.run("accept-rewind", commit)
    assert done.code == 0, done.err


@tell("the branch is rewound", FREEZE, FIRST, says="wharfinger accept-rewind ")
def _(town: Town) -> None:
    lose(town)


@tell("the newest commits are dropped", FREEZE, FIRST, says="is behind")
def _(town: Town) -> None:
    town.more = (f"--last-seen={town.tip()}",)
    town.push(f"{town.changed}^")


@tell("a mirror that lagged has caught up", WRITE, SECOND)
def _(town: Town) -> None:
    tip = town.tip()
    town.more = (f"--last-seen={tip}",)
    town.push(f"{tip}^")
    assert town.ingress.reconcile(*town.more).code == 5
    town.push(tip)


@tell("a rewind is accepted", WRITE, SECOND)
def _(town: Town) -> None:
    accept(town, lose(town)[:7])


@tell("a rewind is accepted by a line in anybody's commit", WRITE, SECOND)
def _(town: Town) -> None:
    lost = lose(town)
    line = f"Wharfinger-Accepted-Rewind: {lost}"
    town.commit({"docs/x.md": b"x"}, f"It is fine\n\nWe looked.\n{line}\n")


@tell("a rewind is accepted in a merged pull request", WRITE, SECOND)
def _(town: Town) -> None:
    lost = lose(town)
    town.branch("accept", "origin/main")
    line = f"Wharfinger-Accepted-Rewind: {lost}"
    town.git("commit", "-q", "--allow-empty", "-m", f"It is fine\n\n{line}")
    town.main()
    town.git("merge", "-q", "--no-ff", "-m", "Merge it", "accept")
    town.push()


@tell("a newer lost commit is accepted, not the one that was seen", FREEZE, FIRST)
def _(town: Town) -> None:
    town.commit({"docs/x.md": b"x"})
    newest = town.tip()
    lose(town, back=2)
    town.more = (f"--last-seen={town.changed}",)
    accept(town, newest)


@tell("an older lost commit is accepted, not the newest", FREEZE, FIRST)
def _(town: Town) -> None:
    town.commit({"docs/x.md": b"x"})
    lose(town, back=2)
    accept(town, town.changed)


@tell("an accepted rewind is followed by another one", FREEZE, FIRST)
def _(town: Town) -> None:
    accept(town, lose(town))
    lose(town, back=2)


@tell("a quoted acceptance is none", FREEZE, FIRST)
def _(town: Town) -> None:
    lost = lose(town)
    words = f"Do not write Wharfinger-Accepted-Rewind: {lost}\n> Wharfinger-Accepted-Rewind: {lost}"
    town.commit({"docs/x.md": b"x"}, f"Be careful\n\n{words}\n")


@tell("an acceptance of seven digits is none", FREEZE, FIRST)
def _(town: Town) -> None:
    lost = lose(town)
    town.commit({"docs/x.md": b"x"}, f"Fine\n\nWharfinger-Accepted-Rewind: {lost[:7]}")


@tell(
    "an unrelated history is pushed by force", FREEZE, Wish.GONE, says="another history"
)
def _(town: Town) -> None:
    unrelated(town)


@tell("an unrelated history is accepted", WRITE, SECOND)
def _(town: Town) -> None:
    accept(town, unrelated(town))


def unrelated(town: Town) -> str:
    lost = town.tip()
    town.more = (f"--last-seen={lost}",)
    town.pull()
    settings = town.ingress.work.joinpath("wharfinger.yaml").read_text()
    town.git("checkout", "-q", "--orphan", "other")
    town.git("rm", "-rqf", ".")
    town.ingress.work.joinpath("wharfinger.yaml").write_text(settings)
    town.git("add", "-A")
    town.git("commit", "-qm", "Start again")
    town.push()
    return lost


def test_a_history_without_settings_freezes_too(town: Town) -> None:
    lost = unrelated(town)
    town.git("rm", "-q", "wharfinger.yaml")
    town.git("commit", "-q", "--allow-empty", "-m", "Nothing")
    town.push()
    done = town.ingress.reconcile(f"--last-seen={lost}")
    assert done.code == 5
    assert done.plan["changes"] == []


def test_the_hint_is_the_command_that_ends_it(town: Town) -> None:
    lost = lose(town)
    done = town.ingress.reconcile(f"--last-seen={lost[:9]}")
    assert done.code == 5
    found = re.search(r"`wharfinger (accept-rewind [0-9a-f]{40})`", done.err)
    assert found is not None, done.err
    ended = town.ingress.run(*found[1].split())
    assert ended.code == 0, ended.err
    author = town.ingress.git("log", "-1", "--format=%an|%B", at=town.ingress.remote)
    assert author.startswith("Ada Person|")
    assert f"\nWharfinger-Accepted-Rewind: {lost}\n" in author
    assert "Wharfinger-Digest" not in author
    assert town.ingress.reconcile(f"--last-seen={lost}").code == 0


def test_accepting_says_what_there_is_to_accept(town: Town) -> None:
    tip = town.tip()
    same = town.ingress.run("accept-rewind", tip[:8])
    assert (same.code, "nothing to accept" in same.out) == (0, True)
    lost = lose(town)
    for wrong in ("abc", "HEAD", "1234567", lost.upper(), f"{lost}0"):
        assert town.ingress.run("accept-rewind", wrong).code == 2
    elsewhere = {"XDG_CACHE_HOME": str(town.ingress.root / "cold")}
    short = town.ingress.run("accept-rewind", lost[:7], **elsewhere)
    assert (short.code, "40 digits" in short.err) == (2, True)
    assert town.ingress.run("accept-rewind", lost, **elsewhere).code == 0
    before = town.tip()
    again = town.ingress.run("accept-rewind", lost)
    assert (again.code, "already" in again.out) == (0, True)
    assert town.tip() == before


def test_ports_of_lost_commits_are_given_by_what_the_branch_says(town: Town) -> None:
    asked = {"wharfinger.dev/request-port": str(town.port)}
    town.wish(None)
    town.passes()
    kept = town.ingress.show(f"ports/public/{town.port}.yaml")
    assert "released" in kept
    accept(town, lose(town))
    town.ingress.expose("eu1", "rival", annotations=asked)
    done = town.ingress.run("plan", "-o", "json", *town.more)
    (row,) = done.rows("reject")
    assert (row["name"], row["code"]) == ("rival", "WHF123")


def test_a_rewind_while_a_pass_plans_is_no_lost_race(town: Town) -> None:
    old = town.ingress.git("rev-parse", "main~1", at=town.ingress.remote).strip()
    hook = town.ingress.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    tree = town.ingress.git("rev-parse", f"{old}^{{tree}}", at=town.ingress.remote)
    other = town.ingress.git(
        "commit-tree", "-p", old, "-m", "Forced", tree.strip(), at=town.ingress.remote
    ).strip()
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH\n"
        f"git update-ref refs/heads/main {other}\nrm -f hooks/pre-receive\n"
    )
    hook.chmod(0o755)
    town.wish(THIRD_WISH)
    done = town.ingress.reconcile()
    assert (done.code, "this pass began with" in done.err) == (5, True), done.err
    assert town.tip() == other


def test_what_envoy_sync_applied_freezes_without_being_told(
    tmp_path: Path,
) -> None:
    status = tmp_path / "status.json"
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20099"},
        "proof": {"envoySync": str(status), "connect": False},
    }
    town = begin(tmp_path / "town", gateways=[gateway])
    town.passes()
    lost = lose(town)

    def applied(commit: str) -> None:
        status.write_text(json.dumps({"revision": commit, "acknowledged": True}))

    applied(lost)
    for cache in ("cache", "cold"):
        where = {"XDG_CACHE_HOME": str(town.ingress.root / cache)}
        done = town.ingress.reconcile(**where)
        assert (done.code, "an engine applied" in done.err) == (5, True), done.err
        assert WISH in town.ingress.files()
    applied(town.ingress.git("rev-parse", "main~1", at=town.ingress.remote).strip())
    assert town.ingress.run("plan").code == 0, "an engine that lags is no rewind"
    applied(lost)
    accept(town, lost)
    assert town.ingress.reconcile().code == 0

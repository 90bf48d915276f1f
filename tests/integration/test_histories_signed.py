"""Histories with signing on: forged digests, strangers, rotation, and keys that are taken away."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Credentials, Remote, Repository
from tests.histories import (
    SECOND_WISH,
    THIRD_WISH,
    UNIT,
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

HELD, WRITE = Verdict.HELD, Verdict.WRITE
FIRST, SECOND, THIRD = Wish.FIRST, Wish.SECOND, Wish.THIRD
KEY = "WHARFINGER_SIGNING_KEY"
STORIES = Stories()
tell = STORIES.tell


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs `old`, `new` and `stranger`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("old", "new", "stranger"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(keygen, check=True, timeout=30)
    return folder


def public(town: Town, name: str) -> str:
    folder = Path(town.ingress.environment[KEY]).parent
    return (folder / f"{name}.pub").read_text().strip()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Town:
    return begin(
        tmp_path_factory.mktemp("histories") / "town",
        {KEY: str(keys / "old")},
        signing={"keys": [(keys / "old.pub").read_text().strip()]},
    )


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_history(story: Story, template: Town, tmp_path: Path) -> None:
    town = copied(template, tmp_path / "town")
    town.passes()
    story.did(town)
    judge(town, story)


def listed(town: Town, *names: str, signs: str = "new") -> None:
    """The settings list these keys from now on, and we sign with another one."""
    listing = [public(town, each) for each in names]
    body = town.ingress.settings(
        inventories=[{"name": "lab", "directory": {"path": "clusters"}}],
        signing={"keys": listing},
    )
    town.commit({"wharfinger.yaml": body}, "Rotate the key")
    folder = Path(town.ingress.environment[KEY]).parent
    town.ingress.environment[KEY] = str(folder / signs)


def forged(town: Town, key: str = "") -> str:
    """Somebody who may push takes the change back with our code: the digest is right."""
    credentials = Credentials(signing_key=key)
    remote = Remote(url=str(town.ingress.remote), credentials=credentials)
    repository = Repository.open(remote, town.ingress.root / "theirs")
    repository.fetch()
    write = FileWrite(path=WISH, data=town.wishes[FIRST].encode())
    draft = CommitDraft(subject="Update it", body="", units=(), writes=(write,))
    base = repository.head().commit
    return repository.push([draft], base, "", datetime.now(UTC))


@tell("signed: nothing happened", WRITE, SECOND)
def _(town: Town) -> None:
    assert "Wharfinger-Signature: " in town.message(town.changed)


@tell("signed: a change is reverted", HELD, FIRST, says="Ada Person")
def _(town: Town) -> None:
    town.revert(town.changed)


@tell("signed: a digest that fits, without a signature", HELD, FIRST)
def _(town: Town) -> None:
    forged(town)


@tell("signed: a digest that fits, signed by a stranger", HELD, FIRST)
def _(town: Town) -> None:
    folder = Path(town.ingress.environment[KEY]).parent
    forged(town, str(folder / "stranger"))


@tell("signed: our request is squashed by Gitea, then reverted", HELD, SECOND)
def _(town: Town) -> None:
    town.revert(squashed(town))


@tell("signed: our request is squashed by Gitea, then the owner returns", WRITE, SECOND)
def _(town: Town) -> None:
    squashed(town)
    town.wish(SECOND_WISH)


def squashed(town: Town) -> str:
    town.wish(THIRD_WISH)
    town.passes()
    made = town.tip()
    subject, _, body = town.message(made).partition("\n")
    town.git("reset", "-q", "--hard", "HEAD^")
    town.ingress.work.joinpath("README.md").write_text("main goes on\n")
    town.git("add", "-A")
    town.git("commit", "-qm", "Main goes on")
    town.git("cherry-pick", made)
    more = "Reviewed-on: https://git.example.com/p/i/pulls/7\nReviewed-by: Grace"
    town.git("commit", "-q", "--amend", "-m", f"{subject} (#7)\n{body}\n{more}")
    town.push()
    return town.tip()


@tell("signed: the key is rotated, then an older change is reverted", HELD, FIRST)
def _(town: Town) -> None:
    listed(town, "old", "new")
    town.ingress.expose("eu1", "stock")
    town.passes()
    town.revert(town.changed)


@tell("signed: the key is rotated, then the owner returns", WRITE, FIRST)
def _(town: Town) -> None:
    listed(town, "old", "new")
    town.wish({})


@tell("signed: the old key is taken away, the owner wants something new", WRITE, THIRD)
def _(town: Town) -> None:
    listed(town, "new")
    town.wish(THIRD_WISH)


@tell("signed: the old key is taken away, the owner returns", HELD, SECOND)
def _(town: Town) -> None:
    """Its commits are nobody's: what they moved is held rather than moved back."""
    listed(town, "new")
    town.wish({})


@tell("signed: a forgery stays one when its time's key is taken away", HELD, FIRST)
def _(town: Town) -> None:
    forged(town)
    listed(town, "new")


@tell("signed: a release ends the hold of a key that was taken away", WRITE, FIRST)
def _(town: Town) -> None:
    listed(town, "new")
    town.wish({})
    assert town.ingress.run("release", UNIT).code == 0


@tell("signed: a person without a key holds a route", HELD, SECOND, says="freeze week")
def _(town: Town) -> None:
    environment = {KEY: ""}
    held = town.ingress.run("hold", UNIT, "--reason", "freeze week", **environment)
    assert held.code == 0, held.err
    town.wish(THIRD_WISH)


@pytest.mark.parametrize(
    ("wanted", "verdict", "wish"),
    [
        (SECOND_WISH, HELD, FIRST),
        ({"wharfinger.dev/max-connections": "9"}, WRITE, THIRD),
    ],
)
def test_what_is_older_than_the_first_key_is_judged_by_digest(
    tmp_path: Path,
    keys: Path,
    wanted: dict[str, str],
    verdict: Verdict,
    wish: Wish,
) -> None:
    town = begin(tmp_path / "town")
    town.ingress.environment[KEY] = str(keys / "old")
    listed(town, "old", signs="old")
    town.revert(town.changed)
    town.wish(wanted)
    judge(town, Story(name="", did=begin, verdict=verdict, wish=wish))  # type: ignore[arg-type]


def test_an_owner_returns_over_commits_older_than_the_first_key(
    tmp_path: Path, keys: Path
) -> None:
    town = begin(tmp_path / "town")
    town.ingress.environment[KEY] = str(keys / "old")
    listed(town, "old", signs="old")
    town.wish({})
    done = town.passes()
    assert [row["op"] for row in done.plan["changes"]] == ["update"]
    assert "Wharfinger-Signature: " in town.message("HEAD")

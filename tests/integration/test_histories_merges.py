"""Requests of ours that people merge and roll back, and merges in every direction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.histories import (
    BILLING,
    SECOND_WISH,
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

HELD, WRITE = Verdict.HELD, Verdict.WRITE
FIRST, SECOND, THIRD = Wish.FIRST, Wish.SECOND, Wish.THIRD
KEPT = Wish.KEPT
STORIES = Stories()
tell = STORIES.tell


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return begin(tmp_path_factory.mktemp("histories") / "town")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_history(story: Story, template: Town, tmp_path: Path) -> None:
    town = copied(template, tmp_path / "town")
    town.passes()
    story.did(town)
    judge(town, story)


def request(town: Town) -> str:
    """The owner wants a third wish, and our commit of it lies on a branch, not on main."""
    town.wish(THIRD_WISH)
    town.passes()
    made = town.tip()
    town.branch("request", made)
    town.push(f"{made}^")
    town.git("fetch", "-q", "origin")
    town.main()
    return made


def squash(town: Town, message: str) -> str:
    """The forge squashes the request into main under a message."""
    town.main()
    town.git("merge", "-q", "--squash", "request")
    town.git("commit", "-qm", message)
    town.push()
    return town.tip()


def kept_message(town: Town, made: str) -> str:
    """What forges make of the message of a request's one commit."""
    subject, _, body = town.message(made).partition("\n")
    return f"{subject} (#7)\n{body}"


@tell("our request is squashed", WRITE, THIRD)
def _(town: Town) -> None:
    squash(town, kept_message(town, request(town)))


@tell("our request is squashed, then reverted", HELD, SECOND)
def _(town: Town) -> None:
    town.revert(squash(town, kept_message(town, request(town))))


@tell("our request is squashed without our words", WRITE, THIRD)
def _(town: Town) -> None:
    request(town)
    squash(town, "Merge request (#7)")


@tell("our request is squashed without our words, then reverted", HELD, SECOND)
def _(town: Town) -> None:
    request(town)
    town.revert(squash(town, "Merge request (#7)"))


@tell("our request is rebased onto a main that moved, then reverted", HELD, SECOND)
def _(town: Town) -> None:
    made = request(town)
    town.commit({"README.md": b"main goes on\n"})
    town.pull()
    town.git("cherry-pick", made)
    town.push()
    town.revert(town.tip())


def merge(town: Town, branch: str = "request", *more: str) -> str:
    """A merge commit as a forge makes it."""
    town.git("merge", "-q", "--no-ff", "-m", f"Merge branch '{branch}'", *more, branch)
    town.push()
    return town.tip()


@tell("our request is merged", WRITE, THIRD)
def _(town: Town) -> None:
    request(town)
    merge(town)


@tell("our request is merged, then the merge is reverted", HELD, SECOND)
def _(town: Town) -> None:
    request(town)
    town.commit({"README.md": b"main goes on\n"})
    town.revert(merge(town))


@tell("our request is merged, then the owner returns to the wish before", WRITE, SECOND)
def _(town: Town) -> None:
    request(town)
    merge(town)
    town.wish(SECOND_WISH)


@tell("our request is merged with a foreign file, the owner returns", WRITE, SECOND)
def _(town: Town) -> None:
    request(town)
    town.git("checkout", "-q", "request")
    town.ingress.work.joinpath("NOTES.md").write_text("approved\n")
    town.git("add", "-A")
    town.git("commit", "-qm", "Note it")
    town.main()
    merge(town)
    town.wish(SECOND_WISH)


@tell("our request is edited on its branch and merged", HELD, KEPT)
def _(town: Town) -> None:
    request(town)
    town.git("checkout", "-q", "request")
    path = town.ingress.work / WISH
    path.write_text(path.read_text().replace("wish ", "wish 0"))
    town.git("commit", "-qam", "Not quite so")
    town.main()
    merge(town)


@tell("our request is merged with another outcome", HELD, SECOND)
def _(town: Town) -> None:
    request(town)
    merge(town, "request", "-s", "ours")


def pull_request(town: Town, *commits: str) -> None:
    """A person's branch with reverts."""
    town.branch("undo", "origin/main")
    town.revert_here(*commits)
    town.main()


@tell("a revert comes as a squashed pull request", HELD, FIRST)
def _(town: Town) -> None:
    pull_request(town, town.changed)
    town.git("merge", "-q", "--squash", "undo")
    town.git("commit", "-qm", "Undo it (#8)\n\nReverts org/ingress#7")
    town.push()


@tell("a revert comes as a merged pull request", HELD, FIRST)
def _(town: Town) -> None:
    pull_request(town, town.changed)
    merge(town, "undo")


@tell("a revert and its revert come as one merged pull request", WRITE, SECOND)
def _(town: Town) -> None:
    town.branch("undo", "origin/main")
    town.revert_here(town.changed)
    town.revert_here("HEAD")
    town.main()
    merge(town, "undo")


@tell("two of our requests arrive in one octopus merge", WRITE, THIRD)
def _(town: Town) -> None:
    octopus(town)


@tell("an octopus merge is reverted", HELD, SECOND)
def _(town: Town) -> None:
    town.revert(octopus(town))


@tell("an octopus merge of ours, the owner returns to the wish before", WRITE, SECOND)
def _(town: Town) -> None:
    octopus(town)
    town.wish(SECOND_WISH)


def octopus(town: Town) -> str:
    """Our change of orders and a new route on two branches, and main goes on."""
    town.ingress.expose("eu1", "stock")
    town.passes()
    stock = town.tip()
    town.branch("stock", stock)
    town.push(f"{stock}^")
    town.ingress.clusters.joinpath("eu1", "stock.yaml").unlink()
    request(town)
    town.ingress.expose("eu1", "stock")
    town.commit({"README.md": b"main goes on\n"})
    town.git("merge", "-q", "--no-ff", "-m", "Both", "request", "stock")
    town.push()
    return town.tip()


def backward(town: Town, start: str, foreign: bool = False) -> str:
    """A person with an old main commits, pulls main into it, and pushes that as main."""
    if foreign:
        town.commit({"docs/x.md": b"somebody else\n"})
    town.branch("mine", start)
    town.ingress.work.joinpath("README.md").write_text("mine\n")
    town.git("add", "-A")
    town.git("commit", "-qm", "Mine")
    town.git("merge", "-q", "-m", "Merge branch 'main'", "origin/main")
    town.push()
    return town.tip()


@tell("main is merged backward", WRITE, SECOND)
def _(town: Town) -> None:
    backward(town, f"{town.changed}^")


@tell("main is merged backward, the owner returns to the wish before", WRITE, FIRST)
def _(town: Town) -> None:
    backward(town, f"{town.changed}^")
    town.wish({})


@tell(
    "main with work of others is merged backward, the owner returns",
    WRITE,
    FIRST,
)
def _(town: Town) -> None:
    backward(town, f"{town.changed}^", foreign=True)
    town.wish({})


@tell("main with a revert in it is merged backward", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    backward(town, f"{town.changed}^")


@tell("a backward merge is reverted", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(backward(town, f"{town.changed}^"))


@tell("a backward merge takes back what main has", HELD, FIRST)
def _(town: Town) -> None:
    town.branch("mine", f"{town.changed}^")
    text = town.ingress.work / BILLING
    town.ingress.work.joinpath("README.md").write_text(text.name)
    town.git("add", "-A")
    town.git("commit", "-qm", "Mine")
    town.git("merge", "-q", "-s", "ours", "-m", "Mine wins", "origin/main")
    town.push()


@tell("our commit is picked again onto the same content", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.git("cherry-pick", town.changed)
    town.push()


@tell("our commit is picked onto other content", HELD, KEPT)
def _(town: Town) -> None:
    town.wish(THIRD_WISH)
    town.passes()
    town.git("cherry-pick", "-X", "theirs", town.changed)
    town.push()


@tell("our older commit is picked, wanted again later", WRITE, THIRD)
def _(town: Town) -> None:
    town.wish(THIRD_WISH)
    town.passes()
    town.git("cherry-pick", "-X", "theirs", town.changed)
    town.push()
    town.wish({"wharfinger.dev/max-connections": "9"})

"""People undo, edit and restore with git: every story has one verdict, on real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.histories import (
    ENDPOINTS,
    SECOND_WISH,
    THIRD_WISH,
    UNIT,
    WISH,
    Did,
    Stories,
    Story,
    Town,
    Verdict,
    Wish,
    begin,
    copied,
    judge,
)

HELD, WRITE, FREEZE = Verdict.HELD, Verdict.WRITE, Verdict.FREEZE
FIRST, SECOND, THIRD = Wish.FIRST, Wish.SECOND, Wish.THIRD
GONE, KEPT = Wish.GONE, Wish.KEPT
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


@tell("nothing happened", WRITE, SECOND)
def _(town: Town) -> None:
    assert town.tip() == town.changed


@tell("a change is reverted", HELD, FIRST, says="Ada Person")
def _(town: Town) -> None:
    town.revert(town.changed)


@tell("a creation is reverted", HELD, GONE)
def _(town: Town) -> None:
    town.revert(town.changed, town.created)


@tell("a push with many is reverted in one commit", HELD, GONE)
def _(town: Town) -> None:
    town.pull()
    town.git("revert", "--no-commit", town.changed, town.created, town.other)
    town.git("commit", "-qm", "Take back the whole push")
    town.push()


@tell("another route is reverted", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert(town.other)


@tell("a deletion is reverted", HELD, SECOND)
def _(town: Town) -> None:
    town.wish(None)
    town.passes()
    town.revert(town.tip())


@tell("a revert is reverted", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert(town.revert(town.changed))


@tell("a revert of a revert is reverted", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.revert(town.revert(town.changed)))


@tell("the revert of a creation is reverted", WRITE, SECOND)
def _(town: Town) -> None:
    tip = town.tip()
    town.revert(town.changed, town.created)
    town.git("revert", "--no-edit", f"{tip}..HEAD")
    town.push()


@tell("a revert is followed by other work of people and by ours", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.commit({"README.md": b"hello\n"})
    town.ingress.expose("eu1", "stock")
    town.passes()
    town.commit({"docs/x.md": b"more\n"})


@tell("a change is reverted, then the owner wants something else", WRITE, THIRD)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.passes()
    town.wish(THIRD_WISH)


@tell("a spent rejection: wanted again after something newer", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.wish(THIRD_WISH)
    town.passes()
    town.wish(SECOND_WISH)


@tell("the owner gives in and wants what people restored", WRITE, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.wish({})


@tell("wishes by way of `wharfinger release`", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.passes()
    assert town.ingress.run("release", UNIT).code == 0


@tell("a released route is reverted once more", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    assert town.ingress.run("release", UNIT).code == 0
    town.revert(town.tip())


@tell("only the wish of a commit is taken back", HELD, GONE)
def _(town: Town) -> None:
    town.commit({WISH: None})


@tell("only the port file is taken back", WRITE, SECOND)
def _(town: Town) -> None:
    town.commit({f"ports/public/{town.port}.yaml": None})


@tell("a port is set free by hand", WRITE, SECOND)
def _(town: Town) -> None:
    town.edit(f"ports/public/{town.port}.yaml", "state: active", "state: released")


@tell("one of two reverted routes is put back by hand", WRITE, SECOND)
def _(town: Town) -> None:
    town.pull()
    town.git("revert", "--no-commit", town.changed, town.other)
    town.git("checkout", "HEAD", "--", WISH)
    town.git("commit", "-qm", "Take back billing only")
    town.push()


@tell("a wish is edited by hand", HELD, KEPT)
def _(town: Town) -> None:
    town.edit(WISH, "wish ", "wish 0")


@tell("a wish is edited by hand, its first line untouched", HELD, KEPT)
def _(town: Town) -> None:
    town.edit(WISH, str(town.port), str(town.port + 1))
    lines = town.ingress.show(WISH).splitlines(keepends=True)
    first = town.wishes[SECOND].splitlines(keepends=True)[0]
    town.commit({WISH: "".join([first, *lines[1:]]).encode()})


@tell("a wish is edited by hand, then the owner changes it", WRITE, THIRD)
def _(town: Town) -> None:
    town.edit(WISH, "wish ", "wish 0")
    town.wish(THIRD_WISH)


@tell("a comment is written into a wish", WRITE, SECOND)
def _(town: Town) -> None:
    text = town.wishes[SECOND]
    town.commit({WISH: f"{text}# looks fine to me\n".encode()})


@tell("addresses alone are edited by hand", WRITE, SECOND)
def _(town: Town) -> None:
    town.edit(ENDPOINTS, "10.20.0.1", "10.20.9.9")


@tell("the addresses file is deleted", WRITE, SECOND)
def _(town: Town) -> None:
    town.commit({ENDPOINTS: None})


@tell("a unit's files are deleted", HELD, GONE)
def _(town: Town) -> None:
    port = f"ports/public/{town.port}.yaml"
    town.commit({WISH: None, ENDPOINTS: None, port: None})


@tell("a unit's files are deleted and restored", WRITE, SECOND)
def _(town: Town) -> None:
    town.commit({WISH: None, ENDPOINTS: None})
    town.pull()
    town.git("checkout", "HEAD^", "--", WISH, ENDPOINTS)
    town.git("commit", "-qm", "Restore")
    town.push()


@tell("a deleted cluster folder holds all that was in it", HELD, GONE)
def _(town: Town) -> None:
    town.pull()
    town.git("rm", "-rq", "manifests/public/eu1")
    town.git("commit", "-qm", "Away with eu1")
    town.push()


@tell("a wish is replaced by a link", HELD, KEPT)
def _(town: Town) -> None:
    town.pull()
    path = town.ingress.work / WISH
    path.unlink()
    path.symlink_to("vs-billing.yaml")
    town.git("add", "-A")
    town.git("commit", "-qm", "Share the file")
    town.push()
    town.pull()


@tell("empty commits mean nothing", WRITE, SECOND)
def _(town: Town) -> None:
    town.pull()
    town.git("commit", "-q", "--allow-empty", "-m", "Kick the CI")
    town.push()


@tell("an empty commit after a revert ends nothing", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.git("commit", "-q", "--allow-empty", "-m", "Kick the CI")
    town.push()


@tell("nodes are replaced under a hold", HELD, FIRST)
def _(town: Town) -> None:
    town.revert(town.changed)
    town.nodes("10.20.0.7", "10.20.0.8")
    town.passes()
    assert "10.20.0.7" in town.ingress.show(ENDPOINTS)
    assert "10.20.0.1" not in town.ingress.show(ENDPOINTS)
    town.nodes("10.20.0.9")


def hold(path: str, body: str) -> Did:
    """A file in `holds/` by a person, then the owner wants something else."""

    def did(town: Town) -> None:
        town.commit({f"holds/{path}.yaml": body.encode()})
        town.wish(THIRD_WISH)

    return did


REASON = "reason: freeze week\nby: ada\n"
for path in ("eu1/shop/orders", "eu1/shop", "eu1", "all"):
    tell(f"a hold file for {path}", HELD, SECOND, says="freeze week")(
        hold(path, REASON)
    )
for path in ("eu1/shop/billing", "eu1/other", "eu2", "eu1/shop/order"):
    tell(f"a hold file for {path}, not for orders", WRITE, THIRD)(hold(path, REASON))
tell("a hold file until a day to come", HELD, SECOND, says="until 2099-01-02")(
    hold("eu1", f"{REASON}until: 2099-01-01\n")
)
tell("a hold file until a day that is over", WRITE, THIRD)(
    hold("eu1", f"{REASON}until: 2020-01-01\n")
)
tell("a hold file that nobody can read", HELD, SECOND, says="cannot be read")(
    hold("eu1", "reason: [oops")
)
tell("a hold file whose date nobody can read", HELD, SECOND)(
    hold("eu1", f"{REASON}until: soon\n")
)


@tell("a hold file beats the owner who takes the route away", HELD, SECOND)
def _(town: Town) -> None:
    town.commit({"holds/eu1.yaml": REASON.encode()})
    town.wish(None)


@tell("a hold file that freezes addresses too", HELD, SECOND)
def _(town: Town) -> None:
    town.commit({"holds/eu1.yaml": f"{REASON}addresses: frozen\n".encode()})
    town.nodes("10.20.0.7")
    done = town.passes()
    assert done.plan["commit"] is None
    assert "10.20.0.1" in town.ingress.show(ENDPOINTS)


@tell("a hold file is removed again", WRITE, THIRD)
def _(town: Town) -> None:
    town.commit({"holds/eu1.yaml": REASON.encode()})
    town.wish(THIRD_WISH)
    town.passes()
    town.commit({"holds/eu1.yaml": None})


@tell("a revert below a hold file outlives the file", HELD, FIRST, says="Ada Person")
def _(town: Town) -> None:
    town.commit({"holds/eu1.yaml": REASON.encode()})
    town.revert(town.changed)
    town.commit({"holds/eu1.yaml": None})


def fight(town: Town) -> None:
    """Another reconciler sees another wish: every pass turns orders back."""
    for wish in ({}, SECOND_WISH, {}):
        town.wish(wish)
        town.passes()
    town.wish(SECOND_WISH)


@tell(
    "two reconcilers turn a wish back and forth", FREEZE, FIRST, says="two reconcilers"
)
def _(town: Town) -> None:
    fight(town)


@tell("a fight is ended by `wharfinger release`", WRITE, SECOND)
def _(town: Town) -> None:
    fight(town)
    assert town.ingress.reconcile().code == 5
    assert town.ingress.run("release", UNIT).code == 0


@tell("a fight is ended by a person's commit", HELD, FIRST)
def _(town: Town) -> None:
    fight(town)
    town.wish(THIRD_WISH)
    town.passes()
    town.revert(town.tip())

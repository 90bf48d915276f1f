"""Forged, replayed and hidden: what does not make a commit ours, and what changes no history."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.histories import (
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

HELD, WRITE, FREEZE = Verdict.HELD, Verdict.WRITE, Verdict.FREEZE
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


def block(town: Town, commit: str) -> str:
    return town.message(commit).strip().split("\n\n")[-1]


@tell("a revert copies our trailers", HELD, FIRST)
def _(town: Town) -> None:
    town.pull()
    town.git("revert", "--no-commit", town.changed)
    town.git("commit", "-qm", f"Take it back\n\n{block(town, town.changed)}")
    town.push()


@tell("a revert copies the trailers of a commit that did the same", WRITE, SECOND)
def _(town: Town) -> None:
    """Without signing a digest that fits the diff counts, whoever wrote it: as documented."""
    town.wish({})
    town.passes()
    ours = town.tip()
    town.revert(town.commit({WISH: b"# of a person\n"}))
    town.wish(SECOND_WISH)
    town.passes()
    town.git("revert", "--no-commit", town.tip())
    town.git("commit", "-qm", f"Take it back\n\n{block(town, ours)}")
    town.push()


@tell("a revert has two digests", HELD, FIRST)
def _(town: Town) -> None:
    town.wish({})
    town.passes()
    ours = block(town, town.tip())
    town.wish(SECOND_WISH)
    town.passes()
    town.git("revert", "--no-commit", town.tip())
    digest = ours.splitlines()[0]
    town.git("commit", "-qm", f"Take it back\n\n{ours}\n{digest}")
    town.push()


@tell("a revert under our name", HELD, FIRST, says="held by wharfinger")
def _(town: Town) -> None:
    town.pull()
    town.git("revert", "--no-commit", town.changed)
    author = "wharfinger <wharfinger@localhost>"
    town.git("commit", "-q", f"--author={author}", "-m", "Update eu1/shop/orders")
    town.push()


@tell("our commit with something slipped in", HELD, KEPT)
def _(town: Town) -> None:
    town.wish(THIRD_WISH)
    town.passes()
    path = town.ingress.work / WISH
    path.write_text(path.read_text().replace("wish ", "wish 0"))
    town.git("commit", "-qa", "--amend", "--no-edit")
    town.push()
    town.wish(SECOND_WISH)


def replaced(town: Town) -> None:
    """The remote pretends that the revert was our commit."""
    lost = town.revert(town.changed)
    town.ingress.git("replace", lost, town.changed, at=town.ingress.remote)


@tell("a revert is hidden by refs/replace in the remote", HELD, FIRST)
def _(town: Town) -> None:
    replaced(town)


@tell("a revert is hidden by refs/replace that people fetch", HELD, FIRST)
def _(town: Town) -> None:
    lost = town.revert(town.changed)
    town.git("replace", lost, town.changed)
    town.git("push", "-q", "origin", "refs/replace/*:refs/replace/*")


@tell("notes are pushed onto a revert", HELD, FIRST)
def _(town: Town) -> None:
    lost = town.revert(town.changed)
    town.git("notes", "add", "-m", town.message(town.changed), lost)
    town.git("push", "-q", "origin", "refs/notes/*:refs/notes/*")


@tell("a tag and a branch with our names lie beside main", WRITE, SECOND)
def _(town: Town) -> None:
    town.revert_here(town.changed)
    for name in ("refs/heads/refs/heads/main", "refs/tags/main", "refs/heads/HEAD"):
        town.git("push", "-q", "origin", f"HEAD:{name}")


@tell("a commit claims a renderer of the future", FREEZE, FIRST, says="WHF404")
def _(town: Town) -> None:
    town.wish({})
    town.passes()
    text = block(town, town.tip())
    renderer = next(line for line in text.splitlines() if "Renderer" in line)
    newer = text.replace(renderer, "Wharfinger-Renderer: 999")
    town.git("commit", "-q", "--amend", "-m", f"Newer\n\n{newer}")
    town.push()
    town.wish(SECOND_WISH)


@tell("a revert releases its own hold in a forged trailer", HELD, FIRST)
def _(town: Town) -> None:
    town.pull()
    town.git("revert", "--no-commit", town.changed)
    forged = "Wharfinger-Released: eu1/shop/orders"
    town.git("commit", "-qm", f"Take it back\n\n{forged}")
    town.push()


@tell("a port is given to two by hand", FREEZE, SECOND, says="one owner")
def _(town: Town) -> None:
    path = f"ports/public/{town.port}.yaml"
    text = town.ingress.show(path)
    other = text.replace(str(town.port), "20099")
    town.commit({"ports/public/20099.yaml": other.encode()})


@tell("a port is given to somebody else by hand", WRITE, SECOND)
def _(town: Town) -> None:
    """Whom the file names now is frozen; who has the port keeps it."""
    town.edit(f"ports/public/{town.port}.yaml", "name: orders", "name: stock")


def reused(town: Town) -> str:
    """Our release of the port of orders, and another route that has it now."""
    town.ingress.cluster("eu2")
    settings = town.ingress.show("wharfinger.yaml").replace(
        "guards:", "release: {quarantine: 0s}\nguards:"
    )
    town.commit({"wharfinger.yaml": settings.encode()})
    town.wish(None)
    town.passes()
    released = town.tip()
    asked = {"wharfinger.dev/request-port": str(town.port)}
    town.ingress.expose("eu2", "stock", annotations=asked)
    town.passes()
    return released


def forced(town: Town, commit: str) -> str:
    """A revert that git refuses, made all the same: our side where both sides differ."""
    town.pull()
    with pytest.raises(AssertionError):
        town.git("revert", "--no-edit", commit)
    conflicts = town.git("diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == [f"ports/public/{town.port}.yaml"]
    town.git("revert", "--abort")
    town.git("revert", "--no-edit", "-X", "ours", commit)
    town.push()
    return town.git("rev-parse", "HEAD")


@tell("a refused revert is forced", FREEZE, KEPT, says="to another owner")
def _(town: Town) -> None:
    """git refuses the revert of a release whose port was reused; forced, the gate does."""
    forced(town, reused(town))
    gate = town.ingress.run("check", "--repo", str(town.ingress.work))
    assert gate.code == 5, gate.out + gate.err
    assert f"serves {town.port}, which the ledger does not give to it" in gate.out
    town.wish(SECOND_WISH)


@tell("a forced revert is reverted", WRITE, Wish.GONE)
def _(town: Town) -> None:
    town.revert(forced(town, reused(town)))


def test_a_graft_in_the_remote_never_ends_a_hold(
    template: Town, tmp_path: Path
) -> None:
    """Who has the history keeps it; who has not is refused a part of it."""
    town = copied(template, tmp_path / "town")
    town.passes()
    lost = town.revert(town.changed)
    town.commit({"README.md": b"more\n"})
    grafts = town.ingress.remote / "info" / "grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{lost} {town.created}\n")
    before = town.tip()
    warm = town.ingress.reconcile()
    assert (warm.code, len(warm.rows("hold"))) == (0, 1)
    cold = {"XDG_CACHE_HOME": str(town.ingress.root / "cold")}
    done = town.ingress.reconcile(**cold)
    assert done.code == 3, done.err
    assert town.tip() == before


def test_a_reverted_route_of_a_lost_cluster_keeps_its_port(tmp_path: Path) -> None:
    """The pool is full but for it, and nobody can look whether the owner is still there."""
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20002"},
    }
    town = begin(tmp_path / "town", gateways=[gateway])
    town.revert(town.changed, town.created)
    assert WISH not in town.ingress.files()
    town.ingress.clusters.joinpath("eu1", "kube-system.yaml").write_text("{broken")
    town.ingress.cluster("eu2")
    for name in ("a", "b", "c"):
        town.ingress.expose("eu2", name)
    for cache in ("cache", "cold"):
        where = {"XDG_CACHE_HOME": str(town.ingress.root / cache)}
        done = town.ingress.reconcile(**where)
        assert done.code == 3, done.err
        refused = [row["code"] for row in done.rows("reject")]
        assert refused == ["WHF125", "WHF125"]
        assert f"/{town.port}." not in " ".join(town.ingress.files("ports"))
    town.ingress.cluster("eu1")
    done = town.ingress.reconcile()
    (held,) = done.rows("hold")
    assert (held["name"], held["port"]) == ("orders", town.port)
    assert town.ingress.run("release", "eu1/shop/orders").code == 0
    assert f":{town.port} " in town.ingress.show(WISH).splitlines()[0]

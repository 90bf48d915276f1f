"""A cold process says from its note exactly what a whole pass would say, or plans."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import settled
from reconciler.cli import whole
from reconciler.note import Note, pack, unpack
from tests import documents
from tests.ingress import Done, Near

OFF = ("reconcile", "-o", "json", "--write-back=off")


class Desk:
    """An ingress, and how many passes of it were whole."""

    def __init__(self, ingress: Near) -> None:
        self.ingress = ingress
        self.whole = 0

    def note(self) -> Path | None:
        """The note in the clone."""
        found = self.ingress.root.glob(
            "cache/wharfinger/repositories/*/wharfinger-note-*"
        )
        return next(iter(found), None)

    def quick(self, *args: str, **environment: str) -> Done:
        """A command that is answered from the note, and as a whole pass answers it."""
        before, note = self.whole, self.note()
        assert note is not None
        said = self.ingress.run(*args, **environment)
        assert self.whole == before
        kept = note.read_bytes()
        note.unlink()
        assert self.ingress.run(*args, **environment) == said
        assert self.whole == before + 1
        note.write_bytes(kept)
        return said

    def slow(self, *args: str, **environment: str) -> Done:
        """A command that is not answered from a note."""
        before = self.whole
        done = self.ingress.run(*(args or OFF), **environment)
        assert self.whole == before + 1
        return done


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """One exposure that is served, and a note of the pass after that."""
    made = Desk(Near(tmp_path).start())

    def counted(function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            made.whole += 1
            function(*args)

        return call

    monkeypatch.setattr(whole, "reconcile", counted(whole.reconcile))
    monkeypatch.setattr(whole, "plan", counted(whole.plan))
    assert made.slow().code == 0
    assert made.note() is None  # it has made a commit
    assert made.slow().code == 0
    return made


def test_nothing_changed_is_told_from_the_note(desk: Desk) -> None:
    assert desk.quick(*OFF).plan["changes"] == []
    assert "nothing to do" in desk.quick("plan").out
    assert desk.quick("plan", "--exit-code", "-o", "markdown").code == 0
    assert desk.quick(*OFF, f"--last-seen={desk.ingress.tip()}").code == 0


def test_a_note_needs_neither_planner_nor_clients(desk: Desk) -> None:
    script = (
        "import sys; from reconciler.cli import execute;"
        f"code = execute({[*OFF, '--repo', str(desk.ingress.remote)]!r});"
        "heavy = {'kubernetes', 'aiohttp', 'pydantic', 'rich', 'structlog', 'ruamel.yaml',"
        " 'requests', 'asyncio', 'reconciler.plan', 'reconciler.run'} & set(sys.modules);"
        "assert code == 0 and not heavy, heavy"
    )
    environment = {
        "XDG_CACHE_HOME": str(desk.ingress.root / "cache"),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=desk.ingress.root, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _new_object(desk: Desk) -> None:
    desk.ingress.expose("eu1", "carts")


def _gone_object(desk: Desk) -> None:
    (desk.ingress.clusters / "eu1" / "orders.yaml").unlink()


def _new_cluster(desk: Desk) -> None:
    desk.ingress.cluster("eu2")


def _gone_cluster(desk: Desk) -> None:
    shutil.rmtree(desk.ingress.clusters / "eu1")


def _renamed_cluster(desk: Desk) -> None:
    (desk.ingress.clusters / "eu1").rename(desk.ingress.clusters / "eu9")


def _renamed_file(desk: Desk) -> None:
    folder = desk.ingress.clusters / "eu1"
    (folder / "orders.yaml").rename(folder / "other.yaml")


def _comment(desk: Desk) -> None:
    file = desk.ingress.clusters / "eu1" / "orders.yaml"
    file.write_text(f"{file.read_text()}# a comment\n")


def _half_file(desk: Desk) -> None:
    (desk.ingress.clusters / "eu1" / "new.yaml").write_text("kind: [")


FILES = (
    *(_new_object, _gone_object, _new_cluster, _gone_cluster, _renamed_cluster),
    *(_renamed_file, _comment, _half_file),
)


def test_whatever_changed_is_planned(desk: Desk) -> None:
    kept = desk.ingress.root / "kept"
    shutil.copytree(desk.ingress.clusters, kept)
    for change in FILES:
        change(desk)
        desk.slow("plan", "-o", "json")
        shutil.rmtree(desk.ingress.clusters)
        shutil.copytree(kept, desk.ingress.clusters)
    desk.quick("plan", "-o", "json")
    desk.ingress.commit({"README.md": b"hello\n"}, "Say hello")
    desk.slow("plan", "-o", "json")
    desk.slow()
    body = desk.ingress.settings(domain="example.org")
    desk.ingress.commit({"wharfinger.yaml": body}, "Another domain")
    desk.slow("plan", "-o", "json")


def test_new_times_alone_change_nothing(desk: Desk) -> None:
    for file in (desk.ingress.clusters / "eu1").iterdir():
        data = file.read_bytes()
        file.unlink()
        file.write_bytes(data)
    desk.quick(*OFF)


FLAGS = (
    ("--cluster=eu1",),
    ("--gateway=public",),
    ("--accept-deletions=12345678",),
    ("--accept-rewrites=12345678",),
    ("--last-seen=0123456789",),
    ("--path=edge",),
)


def test_a_pass_of_something_else_is_planned(desk: Desk) -> None:
    for flags in FLAGS:
        desk.slow("plan", "-o", "json", *flags)
    desk.quick(*OFF)


def test_holds_and_rejections_are_told_from_the_note(desk: Desk) -> None:
    ingress = desk.ingress
    ingress.expose("eu1", "carts")
    ingress.expose("eu1", "odd", annotations={"wharfinger.dev/expose": "udp"})
    desk.slow()
    ingress.pull()
    ingress.git("revert", "--no-edit", "HEAD")
    ingress.git("push", "-q", "origin", "main")
    desk.slow()
    said = desk.quick(*OFF)
    assert said.rows("hold")
    assert said.rows("reject")
    assert desk.quick(*OFF, "--fail-on-held").code == 5


def test_what_time_may_change_leaves_no_note(desk: Desk) -> None:
    hold = b"reason: fair\nby: ada@example.com\nuntil: 2999-01-01T00:00:00Z\n"
    desk.ingress.commit({"holds/eu1/shop/orders.yaml": hold}, "Hold it")
    assert desk.slow().code == 0
    assert desk.note() is None


def test_a_node_that_is_unready_for_a_moment_leaves_no_note(desk: Desk) -> None:
    body = desk.ingress.settings(guards={"grace": "600s", "confirmations": 1})
    desk.ingress.commit({"wharfinger.yaml": body}, "A grace")
    desk.slow()
    node = documents.node("n1", "10.20.0.1", ready=False)
    node["status"]["conditions"][0]["lastTransitionTime"] = datetime.now(
        UTC
    ).isoformat()
    desk.ingress.write("eu1/node.yaml", node)
    assert desk.slow().code == 0
    assert desk.note() is None


def test_a_port_that_drains_leaves_no_note(desk: Desk) -> None:
    desk.ingress.expose(
        "eu1", "orders", annotations={"wharfinger.dev/request-port": "20077"}
    )
    desk.slow()
    assert "state: draining" in "".join(
        map(desk.ingress.show, desk.ingress.files("ports"))
    )
    desk.slow()
    assert desk.note() is None


@pytest.mark.parametrize("what", ["broken", "withheld", "vanished"])
def test_what_is_unknown_or_waits_leaves_no_note(desk: Desk, what: str) -> None:
    folder = desk.ingress.clusters / "eu1"
    match what:
        case "broken":
            (folder / "orders.yaml").write_text("kind: [")
        case "withheld":
            for name in "abcdef":
                desk.ingress.expose("eu1", name)
            desk.slow()
            for name in ("orders", *"abcdef"):
                (folder / f"{name}.yaml").unlink()
        case "vanished":
            shutil.rmtree(folder)
    assert desk.slow().code != 0
    assert desk.note() is None


def test_written_back_objects_are_told_from_the_note(desk: Desk) -> None:
    pass_ = ("reconcile", "-o", "json")
    desk.slow(*pass_)  # writes the annotations, so that the files are others afterwards
    desk.slow(*pass_)
    desk.quick(*pass_)
    desk.quick(*OFF)  # nothing is left to write, so this says the same


def test_what_ci_does_not_write_is_told_again(desk: Desk) -> None:
    (desk.ingress.clusters / ".git").mkdir()
    job = ("reconcile", "-o", "json")
    desk.slow(*job, CI="true")
    assert "write-back is off: eu1/shop/orders" in desk.quick(*job, CI="true").err
    desk.slow(*job)  # outside of CI it is written


def _forged(desk: Desk, change: Callable[[Note], Note]) -> None:
    file = desk.note()
    assert file is not None
    note = unpack(file.read_bytes())
    assert note is not None
    file.write_bytes(pack(change(note)))


@pytest.mark.parametrize(
    "change",
    [
        lambda note: replace(note, at=note.at - timedelta(hours=1)),
        lambda note: replace(note, at=note.at + timedelta(hours=1)),
        lambda note: replace(note, ground=replace(note.ground, program="0" * 64)),
        lambda note: replace(note, roots=((note.roots[0][0], ()),)),
    ],
)
def test_a_note_of_another_time_or_program_is_not_believed(
    desk: Desk, change: Callable[[Note], Note]
) -> None:
    desk.ingress.expose("eu1", "carts")
    _forged(desk, change)
    assert len(desk.slow().rows("create")) == 1


def test_a_note_of_another_repository_deletes_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    other = Near(tmp_path / "other").start()
    other.expose("eu1", "carts")
    assert other.reconcile().code == 0
    assert other.reconcile().code == 0
    file, foreign = desk.note(), Desk(other).note()
    assert file is not None
    assert foreign is not None
    tip, files = desk.ingress.tip(), desk.ingress.files()
    shutil.copyfile(foreign, file)
    assert desk.slow().plan["changes"] == []
    assert (desk.ingress.tip(), desk.ingress.files()) == (tip, files)


def test_a_lying_note_changes_nothing_in_the_repository(desk: Desk) -> None:
    """Whoever writes into the cache can hide a change for an hour, as with the clone itself."""
    files = desk.ingress.files()
    (desk.ingress.clusters / "eu1" / "orders.yaml").unlink()
    now = settled.folders_of(desk.ingress.clusters)
    prints = tuple(sorted(map(settled.fingerprint, now)))
    _forged(desk, lambda note: replace(note, roots=((note.roots[0][0], prints),)))
    assert desk.ingress.run(*OFF).plan["changes"] == []
    assert desk.ingress.files() == files


def test_a_cache_that_cannot_take_a_note_stops_no_pass(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = desk.note()
    assert note is not None
    note.unlink()
    monkeypatch.setattr("tempfile.mkstemp", _full)
    assert desk.slow().code == 0
    assert desk.note() is None


def _full(**_: object) -> None:
    raise OSError(28, "No space left on device")

"""`wharfinger run` as a process: commits what changes, goes on after failures, ends when told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ingress import COMMAND, PERSON, Ingress

QUICK = {"quiet": "0s", "longest": "1s"}


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def running(
    place: Ingress, *args: str, command: Sequence[str] = (str(COMMAND),)
) -> Iterator[subprocess.Popen[str]]:
    """`run` beside the test; killed at the end if it has not ended by then."""
    log = (place.root / "run.log").open("w")
    process = subprocess.Popen(
        [*command, "run", "--interval", "0.5", *args],
        cwd=place.root,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            **PERSON,
            "XDG_CACHE_HOME": str(place.root / "cache"),
            "WHARFINGER_REPO": str(place.remote),
            **place.environment,
        },
        stdout=log,
        stderr=log,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)
        log.close()
    said = (place.root / "run.log").read_text()
    assert "Traceback" not in said, said
    assert "never awaited" not in said, said


@pytest.fixture
def place(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path / "place").start(watch=QUICK)


def has(place: Ingress, name: str) -> bool:
    wish = f"manifests/public/eu1/shop/vs-{name}.yaml"
    return bool(place.git("branch", at=place.remote)) and wish in place.files()


def test_run_commits_what_changes_and_ends_when_told(place: Ingress) -> None:
    with running(place) as process:
        until(lambda: has(place, "orders"))

        place.expose("eu1", "carts")
        until(lambda: has(place, "carts"))
        (place.clusters / "eu1" / "orders.yaml").unlink()
        until(lambda: not has(place, "orders"))

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    state = (place.clusters / "eu1" / "carts.yaml").read_text()
    assert "wharfinger.dev/state: Allocated" in state


def test_run_follows_a_persons_commit_at_once(place: Ingress) -> None:
    with running(place):
        until(lambda: has(place, "orders"))
        hold = b"reason: not today\n"
        place.commit({"holds/eu1/shop/carts.yaml": hold}, "Hold carts")

        place.expose("eu1", "carts")
        place.expose("eu1", "mail")
        until(lambda: has(place, "mail"))
        assert not has(place, "carts")
        place.commit({"holds/eu1/shop/carts.yaml": None}, "Let carts go")

        until(lambda: has(place, "carts"))


def test_run_follows_settings_that_name_other_clusters(place: Ingress) -> None:
    with running(place):
        until(lambda: has(place, "orders"))
        more = place.root / "more"
        inventories = [
            {"name": "lab", "directory": {"path": str(place.clusters)}},
            {"name": "more", "directory": {"path": str(more)}},
        ]
        (place.clusters / "eu1").rename(place.root / "eu1")
        (place.root / "us1").mkdir()
        place.cluster("us1")
        place.expose("us1", "carts")
        more.mkdir()
        (place.clusters / "us1").rename(more / "us1")
        (place.root / "eu1").rename(place.clusters / "eu1")
        text = place.settings(watch=QUICK, inventories=inventories)
        place.commit({"wharfinger.yaml": text}, "Name more clusters")

        until(lambda: "manifests/public/us1/shop/vs-carts.yaml" in place.files())
        place.expose("eu1", "mail")
        until(lambda: has(place, "mail"))


def test_run_goes_on_after_settings_that_are_invalid(place: Ingress) -> None:
    with running(place):
        until(lambda: has(place, "orders"))
        place.commit({"wharfinger.yaml": b"kind: Settings\n"}, "Break it")
        place.expose("eu1", "carts")
        until(lambda: "pass failed" in (place.root / "run.log").read_text())
        assert not has(place, "carts")

        place.commit({"wharfinger.yaml": place.settings(watch=QUICK)}, "Repair it")

        until(lambda: has(place, "carts"))


def test_run_makes_as_many_passes_as_it_was_told(place: Ingress) -> None:
    done = place.run("run", "--passes", "1")

    assert (done.code, has(place, "orders")) == (0, True)
    state = (place.clusters / "eu1" / "orders.yaml").read_text()
    assert "wharfinger.dev/state: Allocated" in state


def test_run_gives_the_code_of_the_last_of_its_passes(place: Ingress) -> None:
    (place.clusters / "eu1" / "node.yaml").write_text("kind: {")

    assert place.run("run", "--passes", "1").code == 3


def test_run_that_is_told_to_stop_finishes_the_push_that_runs(place: Ingress) -> None:
    with running(place) as process:
        until(lambda: has(place, "orders"))
        begun, hook = place.root / "begun", place.remote / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\ntouch {begun}\nsleep 2\n")
        hook.chmod(0o755)
        place.expose("eu1", "carts")
        until(begun.exists)

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
    assert has(place, "carts")
    assert (place.root / "run.log").read_text().count("commit pushed") == 2


def test_run_that_is_told_to_stop_waits_no_longer_than_its_last_words(
    place: Ingress,
) -> None:
    with running(place) as process:
        until(lambda: has(place, "orders"))
        begun, hook = place.root / "begun", place.remote / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 40\n")
        hook.chmod(0o755)
        place.expose("eu1", "carts")
        until(begun.exists)

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
    assert "a pass did not end in time" in (place.root / "run.log").read_text()

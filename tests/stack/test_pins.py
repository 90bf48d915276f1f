"""What the cache of built programs is keyed by, and what is said when it lacks one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stack import pins
from tests.stack.gotool import newest

ETCD = next(b for b in pins.BINARIES if b.name == "etcd")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied = tmp_path / "programs"
    shutil.copytree(pins.PROGRAMS, copied)
    monkeypatch.setattr(pins, "PROGRAMS", copied)
    monkeypatch.setenv("WHARFINGER_STACK_CACHE", str(tmp_path / "cache"))
    return copied


def test_a_changed_pin_is_another_place(programs: Path) -> None:
    before = pins.binary_path(ETCD)
    with (programs / "etcd" / "go.sum").open("a") as sums:
        sums.write("example.com/changed v1.0.0 h1:x=\n")
    assert pins.binary_path(ETCD) != before


def test_changed_flags_are_another_place(programs: Path) -> None:
    changed = replace(ETCD, ldflags="-X main.changed=yes")
    assert pins.binary_path(changed) != pins.binary_path(ETCD)


def test_an_empty_cache_lacks_everything(programs: Path) -> None:
    assert len(pins.missing()) == len(pins.BINARIES) + len(pins.ASSETS)


def test_a_missing_program_is_reported_with_the_way_to_get_it(programs: Path) -> None:
    pins.binary.cache_clear()
    with pytest.raises(pins.NotBuilt, match="make stack"):
        pins.binary("etcd")
    pins.binary.cache_clear()


def test_every_program_belongs_to_a_pinned_module() -> None:
    for binary in pins.BINARIES:
        assert (pins.PROGRAMS / binary.module / "go.sum").exists()
        assert binary.package in (pins.PROGRAMS / binary.module / "go.mod").read_text()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["module x\n\ngo 1.26.0\n", "go 1.26.6\n"], (1, 26, 6)),
        (["go 1.9\n", "go 1.10\n"], (1, 10)),
    ],
)
def test_the_newest_wanted_go_is_compared_by_number(
    texts: list[str], expected: tuple[int, ...]
) -> None:
    assert newest(texts) == expected

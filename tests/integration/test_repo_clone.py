"""The clone is only a cache: broken, locked, shallow or hostile, it never decides anything."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Unavailable, Usage
from reconciler.model.repository import CommitId
from reconciler.repo import Remote, Repository, default_cache
from reconciler.repo.children import Limits, run_child
from tests.integration.remotes import NOBODY, NOW, Place, draft, git

A = "ports/p/1.yaml"


def clone_of(place: Place, cache: str = "cache") -> Path:
    """The one clone in a cache folder."""
    (found,) = (place.root / cache / "repositories").glob("*.git")
    return found


def objects_of(clone: Path) -> list[Path]:
    """Packs and loose objects."""
    return [path for path in clone.glob("objects/*/*") if path.is_file()]


def truncate(clone: Path) -> None:
    for path in objects_of(clone):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_objects(clone: Path) -> None:
    for path in objects_of(clone):
        path.unlink()


def garble_refs(clone: Path) -> None:
    (clone / "refs/wharfinger/main").write_bytes(b"")


def garble_config(clone: Path) -> None:
    (clone / "config").write_text("[core\n")


def drop_head(clone: Path) -> None:
    (clone / "HEAD").unlink()


def shallow(clone: Path) -> None:
    tip = (clone / "refs/wharfinger/main").read_text()
    (clone / "shallow").write_text(tip)


@pytest.mark.parametrize(
    "damage", [truncate, drop_objects, garble_refs, garble_config, drop_head, shallow]
)
def test_a_broken_clone_is_made_again(place: Place, damage: object) -> None:
    place.commits(A, "1")
    place.commits(A, "2")
    place.open().history()
    damage(clone_of(place))  # type: ignore[operator]
    repository = place.open()
    assert repository.head().files[A].data == b"2"
    assert [fact.id for fact in repository.history().commits] == place.ids()
    base = repository.head().commit
    tip = repository.push([draft(A, b"3")], base, "", NOW)
    assert place.tip() == tip


@pytest.mark.parametrize("damage", [truncate, drop_objects])
def test_a_clone_that_breaks_after_the_fetch_heals_too(
    place: Place, damage: object
) -> None:
    place.commits(A, "1")
    repository = place.open()
    tip = repository.head().commit
    repository.fetch()
    damage(clone_of(place))  # type: ignore[operator]
    place.commits(A, "2")
    again = Repository.open(repository.remote, place.root / "cache", 3)
    again._tip = tip
    assert again.head().files[A].data == b"1"
    assert [fact.id for fact in again.history().commits] == [tip]


def test_stale_locks_and_packs_are_removed(place: Place) -> None:
    place.commits(A, "1")
    place.open()
    clone = clone_of(place)
    left = ["HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"]
    left += ["refs/wharfinger/main.lock", "objects/pack/tmp_pack_abc"]
    for name in left:
        (clone / name).write_text("")
    place.commits(A, "2")
    assert place.open().head().files[A].data == b"2"
    assert not [name for name in left if (clone / name).exists()]


def test_a_shallow_remote_is_refused(place: Place) -> None:
    place.commits(A, "1")
    place.commits(A, "2")
    depth = ["--depth", "1", f"file://{place.bare}", str(place.root / "shallow")]
    git(place.root, "clone", "-q", *depth)
    with pytest.raises(Blocked, match="WHF405"):
        place.open(str(place.root / "shallow"))


def test_a_remote_that_becomes_shallow_is_not_read_as_it_was(place: Place) -> None:
    for number in range(3):
        place.commits(A, str(number))
    work = place.person()
    place.open(str(work))
    git(work, "fetch", "-q", "--depth", "1", "origin", "main")
    git(work, "reset", "-q", "--hard", "origin/main")
    git(work, "commit", "-q", "--allow-empty", "-m", "next")
    (work / ".git/shallow").write_text(git(work, "rev-parse", "HEAD~1") + "\n")
    with pytest.raises(Blocked, match="WHF405"):
        place.open(str(work), cache="other")


def test_a_missing_remote_is_unavailable(place: Place) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        place.open(str(place.root / "nowhere"))


def test_a_slip_of_the_pen_in_the_branch_is_told(place: Place) -> None:
    place.commits(A, "1")
    with pytest.raises(Usage, match="there is no branch mian; there are main"):
        place.open(branch="mian")


def test_a_branch_that_is_deleted_is_gone(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    before = repository.head().commit
    git(place.bare, "update-ref", "-d", "refs/heads/main")
    repository.fetch()
    assert repository.head().commit == ""
    assert not repository.is_ancestor(before)


def test_a_work_tree_is_a_remote_too(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open(str(place.person()))
    assert repository.head().files[A].data == b"1"


def test_two_processes_wait_for_each_other(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with repository._clone.lock():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    with pytest.raises(Unavailable, match="another process"):
        place.unfetched(timeout=0.2)
    timer = threading.Timer(0.3, leave.set)
    timer.start()
    assert place.open().head().files[A].data == b"1"
    thread.join()
    timer.join()


def test_a_cache_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remote = Remote(url=str(tmp_path), credentials=NOBODY)
    with pytest.raises(Unavailable, match="XDG_CACHE_HOME"):
        Repository.open(remote, tmp_path / "file")
    assert default_cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/wharfinger")
    assert default_cache({}) == Path.home() / ".cache" / "wharfinger"


def test_settings_of_the_machine_change_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits(A, "1")
    marker = place.root / "marker"
    hooks = place.root / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "pre-push", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    config = place.root / "gitconfig"
    config.write_text(f"[core]\nhooksPath = {hooks}\n[fetch]\nprune = true\n")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(config))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {marker};")
    repository = place.open()
    repository.push([draft(A, b"2")], repository.head().commit, "", NOW)
    assert not marker.exists()


def test_a_tree_with_one_name_twice_does_not_get_in(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open()
    blob = git(place.bare, "rev-parse", f"main:{A}")
    line = b"100644 1.yaml\0" + bytes.fromhex(blob)
    tree = b"40000 ports\0" + bytes.fromhex(_object(place, "tree", line + line))
    commit = f"tree {_object(place, 'tree', tree)}\n".encode()
    commit += b"author A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n"
    made = _object(place, "commit", commit)
    git(place.bare, "update-ref", "refs/heads/main", made)
    with pytest.raises(Unavailable, match="duplicateEntries"):
        repository.fetch()
    assert repository.head().files[A].data == b"1"


def _object(place: Place, kind: str, data: bytes) -> str:
    argv = ["git", "-C", place.bare, "hash-object", "-w", "--literally", "--stdin"]
    argv += ["-t", kind]
    done = subprocess.run(argv, input=data, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch x",
        "--upload-pack=touch x",
        "ext::sh -c touch% x",
        "fd::17",
        "git://host/repo",
        "ftp://host/repo",
        "https://host/a\rb",
        "/path\n",
        "ssh://-oProxyCommand=x/path",
        "ssh://host/-x",
        "ssh://user:pass-word@host/path",
        "-x@host:path",
        "user@-host:path",
        "host:-path",
        "https://",
        "https://host/",
        "https://ho st/x",
        "https://host/x?token=pass-word",
        "https://host/x#y",
        "https://host:port/x",
        "file://other/x",
        "http::https://host/x",
        "x" * 5000,
    ],
)
def test_dangerous_urls_start_no_child(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Usage) as caught:
        Repository.open(Remote(url=url), tmp_path / "cache")
    assert "installed" not in str(caught.value)
    assert "pass-word" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "branch",
    [
        *("", "-x", "--upload-pack=x", "a..b", "@{-1}", "refs/heads/main", "a\rb"),
        *("HEAD", "a b", "a:b", "+a", "a//b", "a/.b", "a.lock", "a.", "a/", "/a"),
        *("a~1", "a*"),
    ],
)
def test_dangerous_branches_start_no_child(tmp_path: Path, branch: str) -> None:
    with pytest.raises(Usage):
        Repository.open(Remote(url=str(tmp_path), branch=branch), tmp_path / "cache")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "more",
    [
        {"path": "../x"},
        {"path": "/x"},
        {"path": "a/.git"},
        {"path": "a\nb"},
        {"author_name": "a\nb"},
        {"author_name": ""},
        {"author_email": "a> <b"},
        {"signing_keys": ("no key",)},
    ],
)
def test_odd_folders_and_authors_are_refused(
    tmp_path: Path, more: dict[str, str]
) -> None:
    with pytest.raises(Usage):
        Repository.open(Remote(url=str(tmp_path), **more), tmp_path / "cache")  # type: ignore[arg-type]


def test_without_git_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Usage, match="install"):
        Repository.open(Remote(url=str(tmp_path)), tmp_path / "cache")


def test_a_child_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    began = time.monotonic()
    ended = run_child(["sh", "-c", script], dict(os.environ), Limits(seconds=0.5))
    assert ended.timed_out
    assert time.monotonic() - began < 10
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.01)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_talkative_child_does_not_fill_the_memory() -> None:
    argv = ["sh", "-c", "yes | head -c 3000000; yes | head -c 3000000 >&2; exit 3"]
    ended = run_child(argv, dict(os.environ), Limits(seconds=60, kept=1000))
    assert (len(ended.output), len(ended.errors)) == (1000, 1000)
    assert (ended.cut, ended.code, ended.timed_out) == (True, 3, False)


def test_a_remote_that_never_answers_is_unavailable(place: Place) -> None:
    place.commits(A, "1")
    repository = place.open(timeout=5)
    place.hook("pre-receive", f"echo $$ > {place.root}/pid; exec sleep 60")
    slow = place.open(timeout=1)
    with pytest.raises(Unavailable, match="1 s"):
        slow.push([draft(A, b"2")], repository.head().commit, "", NOW)
    os.kill(int((place.root / "pid").read_text()), signal.SIGKILL)
    assert repository.head().commit == place.tip() == CommitId(place.ids()[0])


def test_a_folder_of_somebody_else_is_read_as_git_was_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits(A, "1")
    if os.geteuid() != 0:  # nobody else may give files away
        assert place.open().head().files[A].data == b"1"
        return
    for path in [place.bare, *place.bare.rglob("*")]:
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(place.root))
    with pytest.raises(Unavailable, match=r"safe\.directory"):
        place.open()
    (place.root / ".gitconfig").write_text(f"[safe]\ndirectory = {place.bare}\n")
    assert place.open().head().files[A].data == b"1"

"""Pushing to real repositories: nothing is lost, nothing is forced, refusals are told apart."""

from __future__ import annotations

import multiprocessing
import re
import time
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Conflict, Unavailable
from reconciler.model.repository import CommitDraft, CommitId, FileWrite
from reconciler.repo import Repository
from tests.integration.remotes import NOW, Line, Place, draft, git, web

FORK = multiprocessing.get_context("spawn")
EMPTY = CommitId("")


def test_an_empty_remote_is_a_beginning(place: Place) -> None:
    repository = place.open()
    assert repository.head().commit == ""
    assert repository.history().commits == ()
    tip = repository.push([draft("ports/p/1.yaml", b"1")], EMPTY, "", NOW)
    assert place.tip() == tip
    repository.fetch()
    assert repository.head().files["ports/p/1.yaml"].data == b"1"


def test_the_same_input_makes_the_same_ids(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    drafts = [draft("ports/p/1.yaml", b"1"), draft("ports/p/2.yaml", b"2")]
    made = [each.open().push(drafts, EMPTY, "sha256:p", NOW) for each in (place, other)]
    assert made[0] == made[1]


def test_drafts_that_change_nothing_are_left_out(place: Place) -> None:
    repository = place.open()
    first = repository.push([draft("ports/p/1.yaml", b"1")], EMPTY, "", NOW)
    same = [draft("ports/p/1.yaml", b"1"), draft("ports/p/9.yaml", None)]
    assert repository.push(same, first, "", NOW) == first
    second = repository.push([*same, draft("ports/p/2.yaml", b"2")], first, "", NOW)
    assert git(place.bare, "rev-parse", f"{second}^") == first


def test_an_emptied_folder_vanishes_and_all_else_stays(place: Place) -> None:
    place.commits("README.md", "by people")
    repository = place.open()
    base = repository.head().commit
    tip = repository.push([draft("ports/p/1.yaml", b"1")], base, "", NOW)
    repository.push([draft("ports/p/1.yaml", None)], tip, "", NOW)
    assert git(place.bare, "ls-tree", "--name-only", "main") == "README.md"


def test_a_subfolder_is_ours_and_the_rest_is_not(place: Place) -> None:
    place.commits("ports/p/9.yaml", "not ours")
    repository = place.open(path="./team/ingress/")
    assert repository.head().files == {}
    base = repository.head().commit
    tip = repository.push([draft("ports/p/1.yaml", b"1")], base, "", NOW)
    repository.fetch()
    assert set(repository.head().files) == {"ports/p/1.yaml"}
    assert git(place.bare, "show", "main:team/ingress/ports/p/1.yaml") == "1"
    (commit,) = repository.history().commits
    assert (commit.id, commit.ours, commit.changes[0].path) == (
        tip,
        True,
        "ports/p/1.yaml",
    )


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_hook_of_a_local_remote_runs_and_refuses(place: Place, form: str) -> None:
    place.hook("pre-receive", "echo 'GL-HOOK: no ports on Fridays' >&2; exit 1")
    repository = place.open(form.format(place.bare))
    with pytest.raises(Blocked, match="WHF401") as caught:
        repository.push([draft("ports/p/1.yaml", b"1")], EMPTY, "", NOW)
    assert "no ports on Fridays" in str(caught.value)
    assert git(place.bare, "for-each-ref") == ""


def test_words_of_a_server_are_cleaned(place: Place) -> None:
    place.hook("pre-receive", r"printf '\033[31mred \233 \342\200\256' >&2; exit 1")
    with pytest.raises(Blocked) as caught:
        place.open().push([draft("ports/p/1.yaml", b"1")], EMPTY, "", NOW)
    assert all(each.isprintable() or each == "\n" for each in str(caught.value))


def test_an_update_hook_refuses_the_one_ref(place: Place) -> None:
    place.hook("update", "exit 1")
    with pytest.raises(Blocked, match="hook declined"):
        place.open().push([draft("ports/p/1.yaml", b"1")], EMPTY, "", NOW)


def test_a_checked_out_branch_says_what_to_name_instead(place: Place) -> None:
    place.commits("README.md", "x")
    repository = place.open(str(place.person()))
    base = repository.head().commit
    with pytest.raises(Blocked, match="bare repository"):
        repository.push([draft("ports/p/1.yaml", b"1")], base, "", NOW)


def test_a_foreign_commit_in_between_is_a_conflict(place: Place) -> None:
    place.commits("README.md", "1")
    repository = place.open()
    base = repository.head().commit
    theirs = place.commits("README.md", "2")
    with pytest.raises(Conflict):
        repository.push([draft("ports/p/1.yaml", b"1")], base, "", NOW)
    assert place.tip() == theirs
    tip = repository.head().commit  # the conflict has fetched it already
    assert place.ids()[0] == theirs == tip


def test_a_branch_that_was_rewound_is_not_pushed_forward(place: Place) -> None:
    first = place.commits("README.md", "1")
    place.commits("README.md", "2")
    repository = place.open()
    base = repository.head().commit
    git(place.bare, "update-ref", "refs/heads/main", first)
    with pytest.raises(Conflict):
        repository.push([draft("ports/p/1.yaml", b"1")], base, "", NOW)
    assert place.tip() == first
    assert not repository.is_ancestor(base)


def test_two_who_start_the_branch_do_not_both_win(place: Place) -> None:
    one, other = place.open(), place.open(cache="other")
    first = one.push([draft("ports/p/1.yaml", b"one")], EMPTY, "", NOW)
    with pytest.raises(Conflict):
        other.push([draft("ports/p/1.yaml", b"two")], EMPTY, "", NOW)
    assert place.ids() == [first]


def test_a_plan_for_an_unknown_commit_is_stale(place: Place) -> None:
    with pytest.raises(Conflict):
        place.open().push([draft("ports/p/1.yaml", b"1")], CommitId("1" * 40), "", NOW)


def _push_many(root: Path, cache: str, name: str) -> None:
    """Fifty commits, each planned again until it lands."""
    place = Place.__new__(Place)
    place.root, place.bare = root, root / "remote.git"
    repository = place.open(cache=cache)
    for number in range(50):
        while True:
            base = repository.head().commit
            one = draft(f"ports/{name}/{number}.yaml", name.encode())
            try:
                repository.push([one], base, "", NOW)
                break
            except Conflict:
                repository.fetch()


@pytest.mark.parametrize("caches", [("a", "b"), ("shared", "shared")])
def test_of_two_racing_processes_no_commit_is_lost(
    place: Place, caches: tuple[str, str]
) -> None:
    children = [
        FORK.Process(target=_push_many, args=(place.root, cache, name))
        for cache, name in zip(caches, "xy", strict=True)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(place.ids()) == 100
    repository = place.open()
    assert len(repository.head().files) == 100
    assert all(commit.ours for commit in repository.history().commits)
    git(place.bare, "fsck", "--strict")


def _one_push(repository: Repository, number: int) -> str:
    base = repository.head().commit
    return repository.push([draft(f"ports/p/{number}.yaml", b"1")], base, "", NOW)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_cut_line_makes_exactly_one_commit(place: Place, way: str) -> None:
    """Cut after k bytes; whatever was told, the commit is there once or not at all."""
    with web(place.root) as server:
        line = Line(server.port)
        try:
            repository = place.open(f"http://127.0.0.1:{line.port}/remote.git")
            line.whole()
            _one_push(repository, 0)
            total = line.passed[way]
            outcomes = set()
            for number, k in enumerate(range(1, total + 200, max(1, total // 12)), 1):
                repository.fetch()
                before = place.ids()
                line.cut(**{"up": None, "down": None, way: k})
                try:
                    tip = _one_push(repository, number)
                    outcomes.add("told")
                    assert place.tip() == tip
                except Unavailable:
                    outcomes.add("untold")
                line.whole()
                repository.fetch()
                # The next pass: what landed needs no commit, what did not is made now.
                _one_push(repository, number)
                assert len(place.ids()) == len(before) + 1
                assert place.ids()[1:] == before
            assert outcomes == {"told", "untold"}
        finally:
            line.close()


def test_an_answer_that_is_lost_once_is_looked_up(place: Place) -> None:
    """The server takes the push and the line dies; the fetch afterwards finds the commit."""
    with web(place.root) as server:
        line = Line(server.port)
        try:
            repository = place.open(f"http://127.0.0.1:{line.port}/remote.git")
            place.hook("post-receive", f"touch {place.root}/landed")
            landed = place.root / "landed"
            real = repository._git.push

            def push(*args: object) -> object:
                result = real(*args)  # type: ignore[arg-type]
                line.whole()
                return result

            repository._git.push = push  # type: ignore[assignment,method-assign]
            line.whole()
            real("0" * 40, "", "nothing", 0)
            for k in range(400, 2000, 50):
                line.cut(None, k)
                tip = _told(repository, k)
                if landed.exists():
                    assert tip == place.tip()
                    break
            assert landed.exists()
        finally:
            line.close()


def _told(repository: Repository, number: int) -> str | None:
    try:
        return _one_push(repository, number)
    except Unavailable:
        return None


def test_paths_that_are_no_names_never_reach_a_tree(place: Place) -> None:
    repository = place.open()
    for path in ("../x", "ports/../x", ".git/config", "a/.GIT/x", "/x", "a//b", "a\nb"):
        with pytest.raises(Blocked):
            repository.push([draft(path, b"x")], EMPTY, "", NOW)
    assert git(place.bare, "for-each-ref") == ""


def test_a_file_where_a_folder_belongs_is_not_overwritten(place: Place) -> None:
    place.commits("manifests/public", "a file of theirs")
    repository = place.open()
    base = repository.head().commit
    for data in (b"x", None):
        with pytest.raises(Blocked, match="manifests/public"):
            repository.push([draft("manifests/public/eu1.yaml", data)], base, "", NOW)


def test_a_link_at_our_path_is_replaced_and_never_followed(place: Place) -> None:
    work = place.person()
    (work / "ports/p").mkdir(parents=True)
    (work / "ports/p/1.yaml").symlink_to("/etc/passwd")
    (work / "hosts").symlink_to("ports")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "links")
    git(work, "push", "-q", "origin", "HEAD:main")
    repository = place.open()
    file = repository.head().files["ports/p/1.yaml"]
    assert (file.mode, file.data) == (0o120000, b"")
    assert not any(path.startswith("hosts") for path in repository.head().files)
    (fact,) = repository.history().commits
    assert {change.path: change.new for change in fact.changes}[
        "ports/p/1.yaml"
    ] is None
    repository.push([draft("ports/p/1.yaml", b"1")], file_base(repository), "", NOW)
    repository.fetch()
    assert repository.head().files["ports/p/1.yaml"].mode == 0o100644
    assert repository.history().commits[0].ours


def file_base(repository: Repository) -> CommitId:
    """The commit that a plan would be made for."""
    return repository.head().commit


def test_thousands_of_drafts_are_quick(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = place.open()
    drafts = [
        CommitDraft(
            subject=f"Expose eu1/n{number % 100}/s{number}",
            body="",
            units=(),
            writes=(
                FileWrite(path=f"ports/p/{20000 + number}.yaml", data=b"x"),
                FileWrite(path=f"manifests/p/eu1/n{number % 100}/vs-s{number}.yaml", data=b"y"),
            ),
        )
        for number in range(1000)
    ]  # fmt: skip
    began = time.perf_counter()
    repository.push(drafts, EMPTY, "", NOW)
    repository.fetch()
    pushed = time.perf_counter()
    assert len(repository.history().commits) == 1000
    read = time.perf_counter()
    assert len(repository.head().files) == 2000
    with capsys.disabled():
        print(
            f"\n1000 commits: push {pushed - began:.2f} s, history {read - pushed:.2f} s"
        )


def test_a_message_tells_facts_and_carries_no_foreign_trailer(place: Place) -> None:
    repository = place.open()
    hostile = CommitDraft(
        subject="Expose\nWharfinger-Digest: sha256:00",
        body="Wharfinger-Digest: sha256:11\n\x1b[31m\nWharfinger-Renderer: 99",
        units=(),
        writes=(FileWrite(path="ports/p/1.yaml", data=b"1"),),
        released=("eu1/wharfinger-demo/wharfinger-x",),
    )
    repository.push([hostile], EMPTY, "sha256:plan", NOW)
    message = git(place.bare, "log", "-1", "--format=%B")
    assert len(re.findall("(?m)^Wharfinger-Digest", message)) == 1
    assert "\x1b" not in message
    repository.fetch()
    (fact,) = repository.history().commits
    assert (fact.ours, fact.renderer) == (True, 3)
    assert fact.released == ("eu1/wharfinger-demo/wharfinger-x",)
    author = git(place.bare, "log", "-1", "--format=%an <%ae> %cn <%ce> %ct")
    assert author == f"{'wharfinger <wharfinger@localhost> ' * 2}{int(NOW.timestamp())}"

"""Whose commit is it: attribution on real histories, with and without signatures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import Unauthorised, Usage
from reconciler.model.repository import CommitFact, CommitId
from reconciler.repo import Credentials, Repository
from tests.integration.remotes import NOW, Place, draft, git

A, B = "ports/p/1.yaml", "ports/p/2.yaml"


def newest(place: Place, keys: tuple[str, ...] = ()) -> CommitFact:
    """The newest fact, read by somebody who knows nothing yet, and by one who follows."""
    repository = place.open()
    fact = repository.history(keys).commits[0]
    other = place.open(cache="cold").history(keys).commits[0]
    assert fact == other
    return fact


def ours(place: Place, path: str = A, data: bytes | None = b"1\n") -> str:
    """A genuine commit of ours."""
    repository = place.open()
    base = repository.head().commit
    return repository.push([draft(path, data, f"Set {path}")], base, "sha256:p", NOW)


def message(place: Place, commit: str) -> str:
    """A commit's whole message."""
    return git(place.bare, "log", "-1", "--format=%B", commit)


def amend_and_push(place: Place, *args: str) -> None:
    """A person rewrites the tip on the branch."""
    work = place.person()
    git(work, "commit", "-q", "--amend", *args)
    git(work, "push", "-qf", "origin", "HEAD:main")


def test_a_genuine_commit_is_ours(place: Place) -> None:
    ours(place)
    fact = newest(place)
    assert (fact.ours, fact.renderer, fact.author) == (True, 3, "wharfinger")
    assert fact.time == NOW
    assert fact.changes[0].old is None


def test_a_commit_by_hand_is_not(place: Place) -> None:
    place.commits(A, "1\n", "Set it\n\nby hand")
    fact = newest(place)
    assert (fact.ours, fact.renderer, fact.author) == (False, 0, "Ada")
    assert fact.subject == "Set it"


def test_a_reworded_message_with_its_trailers_stays_ours(place: Place) -> None:
    commit = ours(place)
    block = message(place, commit).split("\n\n")[-1]
    amend_and_push(place, "-m", f"Other words (#12)\n\n{block}")
    assert newest(place).ours


def test_what_a_squash_appends_does_not_matter(place: Place) -> None:
    commit = ours(place)
    text = message(place, commit) + "\n\nCo-authored-by: Ada <ada@example.com>"
    amend_and_push(place, "-m", text)
    assert newest(place).ours


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("sha256:", "sha256:0", 1),
        lambda text: text.replace("Wharfinger-Digest: ", "X-Digest: "),
        lambda text: text + "\n" + text.splitlines()[-3],
        lambda text: text + "\n\n" + text.split("\n\n")[-1],
        lambda text: text + "\n\nand one more paragraph",
        lambda text: text + "\nWharfinger-Renderer: 4",
        lambda text: text.replace("Wharfinger-Renderer: 3", "Wharfinger-Renderer: ٣"),
        lambda text: text.replace("Wharfinger-Renderer: 3\n", ""),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text + "\n(cherry picked from commit 1234567)",
    ],
)
def test_an_edited_block_is_not_ours(place: Place, edit: Callable[[str], str]) -> None:
    commit = ours(place)
    amend_and_push(place, "-m", edit(message(place, commit)))
    assert not newest(place).ours


def test_a_digest_over_a_part_of_the_diff_is_not_ours(place: Place) -> None:
    ours(place)
    work = place.person()
    for extra in (B, "README.md"):
        (work / extra).write_text("more")
        git(work, "add", "-A")
        amend_and_push(place, "--no-edit")
        assert not newest(place).ours


def test_an_executable_or_a_link_of_the_same_bytes_is_not_ours(place: Place) -> None:
    ours(place)
    git(place.person(), "update-index", "--chmod=+x", A)
    amend_and_push(place, "--no-edit")
    assert not newest(place).ours


def test_a_cherry_pick_onto_another_base_is_not_ours(place: Place) -> None:
    ours(place, A, b"1\n")
    change = ours(place, A, b"2\n")
    place.commits(A, "3\n")
    work = place.person()
    git(work, "cherry-pick", "-X", "theirs", change)
    git(work, "push", "-q", "origin", "HEAD:main")
    assert not newest(place).ours


def test_the_same_change_on_the_same_content_is_the_hole_that_remains(
    place: Place,
) -> None:
    change = ours(place)
    work = place.person()
    git(work, "rm", "-q", A)
    git(work, "commit", "-qm", "remove")
    git(work, "cherry-pick", change)
    git(work, "push", "-q", "origin", "HEAD:main")
    assert newest(place).ours


def test_a_revert_is_a_persons(place: Place) -> None:
    place.commits("README.md", "x")
    commit = ours(place)
    work = place.person()
    git(work, "revert", "--no-edit", commit)
    git(work, "push", "-q", "origin", "HEAD:main")
    fact = newest(place)
    assert not fact.ours
    assert fact.changes[0].new is None


def test_a_rebase_keeps_ours_and_a_squash_of_one_too(place: Place) -> None:
    place.commits("README.md", "1")
    commit = ours(place)
    work = place.person()
    git(work, "reset", "-q", "--hard", "HEAD^")
    (work / "README.md").write_text("2")
    git(work, "commit", "-qam", "other")
    git(work, "cherry-pick", commit)  # what a rebase does
    git(work, "push", "-qf", "origin", "HEAD:main")
    assert newest(place).ours


def branch_of_ours(place: Place, *changes: tuple[str, bytes]) -> Path:
    """Commits of ours on a branch `request`, main beside it; the work tree is on main."""
    place.commits("README.md", "1")
    for path, data in changes:
        ours(place, path, data)
    work = place.person()
    git(work, "branch", "request")
    git(work, "reset", "-q", "--hard", f"HEAD~{len(changes)}")
    (work / "README.md").write_text("2")
    git(work, "commit", "-qam", "main goes on")
    return work


def test_a_merge_of_our_commits_is_ours(place: Place) -> None:
    work = branch_of_ours(place, (A, b"1\n"), (B, b"1\n"), (A, b"2\n"))
    git(work, "merge", "-q", "--no-ff", "-m", "Merge request !7", "request")
    git(work, "push", "-qf", "origin", "HEAD:main")
    fact = newest(place)
    assert (fact.ours, fact.renderer, fact.author) == (True, 3, "Ada")
    assert len(fact.changes) == 2


def test_a_merge_with_a_persons_commit_in_it_is_not(place: Place) -> None:
    work = branch_of_ours(place, (A, b"1\n"))
    git(work, "checkout", "-q", "request")
    (work / B).write_text("by hand")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "fix up")
    git(work, "checkout", "-q", "main")
    git(work, "merge", "-q", "--no-ff", "-m", "Merge", "request")
    git(work, "push", "-qf", "origin", "HEAD:main")
    assert not newest(place).ours


def test_an_evil_merge_is_not(place: Place) -> None:
    work = branch_of_ours(place, (A, b"1\n"))
    git(work, "merge", "-q", "--no-ff", "--no-commit", "request")
    (work / A).write_text("slipped in\n")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "Merge")
    git(work, "push", "-qf", "origin", "HEAD:main")
    assert not newest(place).ours


def test_a_merge_that_carries_our_message_must_match_its_own_diff(place: Place) -> None:
    work = branch_of_ours(place, (A, b"1\n"))
    text = git(work, "log", "-1", "--format=%B", "request")
    git(work, "merge", "-q", "--no-ff", "-m", text, "request")
    git(work, "push", "-qf", "origin", "HEAD:main")
    assert newest(place).ours


def test_replace_refs_change_nothing(place: Place) -> None:
    commit = ours(place)
    forged = place.commits(B, "by hand")
    git(place.bare, "replace", forged, commit)
    fact = newest(place)
    assert (fact.id, fact.ours) == (forged, False)


def test_history_follows_the_branch_and_a_rewind(place: Place) -> None:
    repository = place.open()
    for number in range(3):
        ours(place, f"ports/p/{number}.yaml")
        repository.fetch()
        ids = [fact.id for fact in repository.history().commits]
        assert ids == place.ids()
    git(place.bare, "update-ref", "refs/heads/main", place.ids()[1])
    place.commits(B, "another future")
    repository.fetch()
    assert [fact.id for fact in repository.history().commits] == place.ids()


def test_commits_that_touch_nothing_of_ours_are_left_out(place: Place) -> None:
    place.commits("README.md", "1")
    mine = ours(place)
    place.commits("docs/x", "2")
    repository = place.open()
    assert [fact.id for fact in repository.history().commits] == [mine]
    assert repository.head().commit != mine


def test_odd_names_times_and_messages_break_nothing(place: Place) -> None:
    work = place.person()
    for name in (b"caf\xe9", "ünï".encode(), b"line\nbreak", b"tab\t", b'quote"'):
        (Path(str(work)) / "ports").mkdir(exist_ok=True)
        Path(work, "ports", name.decode("utf-8", "surrogateescape")).write_text("x")
    git(work, "add", "-A")
    tree = git(work, "write-tree")
    raw = (
        f"tree {tree}\nauthor \x1b[31m\xc4da <a> 99999999999999 +0000\n"
        "committer A <a> 99999999999999 +0000\nencoding made-up\n\nsub\x07ject \u202e\n"
    ).encode("utf-8", "surrogateescape")
    made = subprocess.run(
        ["git", "-C", work, "hash-object", "-w", "-t", "commit", "--stdin", "--literally"],
        input=raw, capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    commit = made.stdout.decode().strip()
    git(work, "push", "-q", "origin", f"{commit}:refs/heads/main")
    fact = newest(place)
    assert fact.id == commit
    assert fact.author.isprintable()
    assert fact.subject.isprintable()
    assert len(fact.changes) == 5
    assert len(place.open().head().files) == 5


def test_content_at_a_revision(place: Place) -> None:
    first = ours(place, A, b"1\n")
    repository = place.open()
    blob = repository.head().files[A].blob
    assert repository.content_at(first, (A, B)) == {A: blob}
    later = place.commits(A, "2\n")
    assert repository.content_at(later, (A,)) != {A: blob}  # fetched for this
    assert repository.head().commit == first
    assert repository.read_at(first, A) == b"1\n"
    assert repository.read_at(later, A) == b"2\n"
    assert repository.read_at(later, B) is None
    for unknown in ("1" * 40, "main", "HEAD~1", "", "../x"):
        assert repository.content_at(unknown, (A,)) is None
        assert repository.full_id(unknown) is None
    assert repository.is_ancestor(CommitId(first), CommitId(later))
    assert not repository.is_ancestor(CommitId(later), CommitId(first))


def test_a_large_file_has_no_content(place: Place) -> None:
    place.commits(A, "x" * ((1 << 20) + 1))
    repository = place.open()
    file = repository.head().files[A]
    assert file.data == b""
    history = repository.history()
    new = history.commits[0].changes[0].new
    assert new == file.blob
    assert history.read(new) == b""


class Keys:
    """Key pairs of signers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, *options: str) -> tuple[str, str]:
        """A private key file and the line of its public key."""
        path = self.folder / name
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, *options]
        subprocess.run(keygen, check=True, timeout=30)
        return str(path), path.with_suffix(".pub").read_text().strip()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def signer(place: Place, key: str, public: tuple[str, ...]) -> Repository:
    """Us with a signing key."""
    repository = place.open(credentials=Credentials(signing_key=key))
    repository.history(public)
    return repository


def signed(
    place: Place, key: str, public: tuple[str, ...], path: str, data: bytes = b"1\n"
) -> str:
    """A signed commit of ours."""
    repository = signer(place, key, public)
    return repository.push(
        [draft(path, data)], repository.head().commit, "sha256:p", NOW + timedelta(1)
    )


def test_with_signing_on_only_signed_commits_are_ours(place: Place, keys: Keys) -> None:
    key, public = keys.make("one")
    before = ours(place, A)
    genuine = signed(place, key, (public,), B)
    forged = ours(place, "ports/p/3.yaml")  # right digest, no signature
    repository = place.open()
    facts = {fact.id: fact.ours for fact in repository.history((public,)).commits}
    assert facts == {before: True, genuine: True, forged: False}
    facts = {fact.id: fact.ours for fact in repository.history(()).commits}
    assert facts == {before: True, genuine: True, forged: True}


def test_a_commit_after_the_key_came_into_the_settings_needs_it(
    place: Place, keys: Keys
) -> None:
    _, public = keys.make("one")
    before = ours(place, A)
    place.commits("wharfinger.yaml", f"signing:\n  keys: ['{public}']\n")
    after = ours(place, B)
    facts = place.open().history((public,)).commits
    assert {fact.id: fact.ours for fact in facts if fact.author != "Ada"} == {
        before: True,
        after: False,
    }


def test_another_key_or_an_exchanged_trailer_does_not_verify(
    place: Place, keys: Keys
) -> None:
    key, public = keys.make("one")
    stranger, strange = keys.make("two")
    signed(place, key, (public,), A)
    signed(place, stranger, (strange,), B)
    assert not newest(place, (public,)).ours
    assert newest(place, (public, strange)).ours
    commit = signed(place, key, (public,), "ports/p/3.yaml")
    text = message(place, commit).replace("Renderer: 3", "Renderer: 9")
    amend_and_push(place, "-m", text)
    assert not newest(place, (public,)).ours


def test_a_signature_survives_a_rebase_and_new_keys(place: Place, keys: Keys) -> None:
    key, public = keys.make("one")
    _, next_public = keys.make("two")
    place.commits("README.md", "1")
    commit = signed(place, key, (public,), A)
    work = place.person()
    git(work, "reset", "-q", "--hard", "HEAD^")
    (work / "README.md").write_text("2")
    git(work, "commit", "-qam", "other")
    git(work, "cherry-pick", commit)
    git(work, "push", "-qf", "origin", "HEAD:main")
    assert newest(place, (public, next_public)).ours


def test_a_verified_signature_is_remembered(place: Place, keys: Keys) -> None:
    key, public = keys.make("one")
    signed(place, key, (public,), A)
    repository = place.open()
    assert repository.history((public,)).commits[0].ours
    (memory,) = place.root.glob("cache/repositories/*/wharfinger-verified")
    assert len(memory.read_text().split()) == 1
    memory.write_bytes(b"\xff\x00garbage")
    assert newest(place, (public,)).ours


def test_nothing_is_pushed_that_would_look_foreign(place: Place, keys: Keys) -> None:
    stranger, _ = keys.make("two")
    _, public = keys.make("one")
    with pytest.raises(Usage, match="none of those"):
        signed(place, stranger, (public,), A)
    repository = place.open()
    repository.history((public,))
    with pytest.raises(Usage, match="WHARFINGER_SIGNING_KEY"):
        repository.push([draft(A, b"1")], CommitId(""), "", NOW)
    assert git(place.bare, "for-each-ref") == ""


def test_an_unusable_signing_key_is_a_matter_of_credentials(
    place: Place, keys: Keys
) -> None:
    locked = keys.folder / "locked"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked]
    subprocess.run(keygen, check=True, timeout=30)
    for key in (str(locked), "/nonexistent/key", "-Y"):
        with pytest.raises(Unauthorised, match="WHARFINGER_SIGNING_KEY"):
            signed(place, key, (), A)


def test_what_is_no_public_key_never_reaches_ssh_keygen(place: Place) -> None:
    repository = place.open()
    for key in ("", "x", "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB", "cert-authority x"):
        with pytest.raises(Usage, match=r"signing\.keys"):
            repository.history((key,))

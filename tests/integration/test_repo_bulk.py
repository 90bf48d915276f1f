"""Plans of many files go through `git fast-import`, and make the very same commits."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import Blocked, Unavailable
from reconciler.model.repository import CommitDraft, CommitId, FileWrite
from reconciler.repo import Credentials
from reconciler.repo.objects import MAX_FILE
from tests.integration.remotes import NOW, Place, draft, git


def many(some: random.Random, commits: int = 6) -> list[CommitDraft]:
    """Drafts that create, change, keep and remove files, also whole folders."""
    made = []
    for turn in range(commits):
        folder = f"manifests/p/eu{some.randrange(3)}/shop"
        numbers = some.sample(range(40), some.randrange(1, 40))
        writes = [
            FileWrite(
                path=some.choice([f"{folder}/vs-{n}.yaml", f"ports/p/{n}.yaml"]),
                data=some.choice([None, b"", b"same\n", b"%d\n" % n, b"\xff\0\n"]),
            )
            for n in numbers
        ]
        writes += [
            FileWrite(path=f"holds/a/b/{turn}.yaml", data=b"x"),
            FileWrite(path=f"holds/a/b/{turn - 1}.yaml", data=None),
        ]
        kept = {write.path: write for write in writes}
        made.append(
            CommitDraft(
                subject=f"Change {turn}",
                body="units:\nWharfinger-Digest: no",
                units=(),
                writes=tuple(kept.values()),
                released=("eu1/shop/a",) if turn % 2 else (),
                by_hand=turn == 3,
            )
        )
    empty = CommitDraft(subject="Say so", body="", units=(), writes=(), by_hand=True)
    return [*made, empty, CommitDraft(subject="no", body="", units=(), writes=())]


@pytest.mark.parametrize("folder", [".", 'in "gress/prod é'])
@pytest.mark.parametrize("seed", range(3))
def test_both_ways_make_the_same_commits(
    tmp_path: Path, folder: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = random.Random(seed)
    parts = [many(some), many(some)]
    tips = []
    for limit in (10_000, 1):
        monkeypatch.setattr("reconciler.repo.bulk.MANY", limit)
        root = tmp_path / str(limit)
        root.mkdir()
        place = Place(root)
        repository = place.open(path=folder, author_name="Ada ,Ünal.")
        base = CommitId("")
        for drafts in parts:
            base = repository.push(drafts, base, "sha256:plan", NOW)
        git(place.bare, "fsck", "--strict")
        tips.append((place.tip(), len(place.ids())))
        facts = place.open(cache="other", path=folder).history().commits
        assert sum(fact.ours for fact in facts) >= 6
    assert tips[0] == tips[1]


@pytest.mark.parametrize("limit", [10_000, 1])
@pytest.mark.parametrize("folder", [".", "prod"])
def test_head_after_a_push_is_what_a_fresh_clone_reads(
    place: Place, folder: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.repo.bulk.MANY", limit)
    some = random.Random(7)
    beside = {"README.md": b"x", "wharfinger.yaml": b"y", "portside/1.yaml": b"z"}
    writes = [FileWrite(path=path, data=data) for path, data in beside.items()]
    writes.append(FileWrite(path="ports/p/large.yaml", data=b"#" * (MAX_FILE + 1)))
    by_hand = CommitDraft(
        subject="More", body="", units=(), writes=tuple(writes), by_hand=True
    )
    repository = place.open(path=folder)
    assert repository.head().files == {}
    for turn in range(4):
        base = repository.head().commit
        repository.push([*many(some), by_hand][turn % 2 :], base, "", NOW)
        fresh = place.open(cache=f"fresh{turn}", path=folder).head()
        assert repository.head() == fresh
        assert fresh.files["ports/p/large.yaml"].data == b""
        assert {"README.md", "portside/1.yaml"}.isdisjoint(fresh.files)


def test_a_large_push_leaves_one_pack_and_no_ref(place: Place) -> None:
    repository = place.open()
    drafts = [draft(f"ports/p/{port}.yaml", b"%d" % port) for port in range(500)]
    tip = repository.push(drafts, CommitId(""), "", NOW)
    folder = repository._clone.folder
    assert place.tip() == tip
    assert len(list(folder.glob("objects/pack/*.pack"))) == 1
    assert not list(folder.glob("objects/??/*"))
    assert git(folder, "for-each-ref", "--format=%(refname)") == "refs/wharfinger/main"
    assert len(repository.history().commits) == 500
    assert repository.push(drafts, tip, "", NOW) == tip


def test_signed_commits_are_recognised(place: Place) -> None:
    key = place.root / "key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
    subprocess.run(keygen, check=True, timeout=30)
    public = key.with_suffix(".pub").read_text().strip()
    repository = place.open(credentials=Credentials(signing_key=str(key)))
    repository.trust((public,))
    writes = tuple(
        FileWrite(path=f"ports/p/{port}.yaml", data=b"x") for port in range(500)
    )
    drafts = [CommitDraft(subject="All", body="", units=(), writes=writes)]
    repository.push(drafts, CommitId(""), "", NOW)
    assert place.open(cache="other").history((public,)).commits[0].ours


@pytest.mark.parametrize("there", ["ports/p", "ports/p/1.yaml/inside"])
def test_what_stands_in_the_way_stays(place: Place, there: str) -> None:
    before = place.commits(there, "a person's")
    repository = place.open()
    drafts = [draft(f"ports/p/{port}.yaml", b"x") for port in range(500)]
    with pytest.raises(Blocked, match="stands where"):
        repository.push(drafts, CommitId(before), "", NOW)
    assert place.tip() == before
    assert not list(repository._clone.folder.glob("refs/wharfinger-made/*"))


def test_links_and_programs_of_people_are_replaced_by_files(place: Place) -> None:
    place.commits("README.md", "first")
    work = place.person()
    (work / "ports/p").mkdir(parents=True)
    (work / "ports/p/1.yaml").symlink_to("2.yaml")
    (work / "ports/p/2.yaml").write_text("x")
    (work / "ports/p/2.yaml").chmod(0o755)
    base = CommitId(place.commits("README.md", "stays"))
    drafts = [draft(f"ports/p/{port}.yaml", b"x") for port in range(500)]
    place.open().push(drafts, base, "", NOW)
    listed = git(place.bare, "ls-tree", "-r", "main").splitlines()
    assert {line.split()[0] for line in listed} == {"100644"}
    assert listed[0].endswith("README.md")


def test_names_that_only_libgit2_leaves_alone_stay(place: Place) -> None:
    repository = place.open()
    base = repository.push([draft("ports/p/0.yaml", b"x")], CommitId(""), "", NOW)
    repo = repository._clone.repo
    entry = repo[repo[base].tree["ports"].id]["p"]
    odd = repo.odb.write(2, b"100644 a/b\0" + bytes(repo.create_blob(b"y").raw))
    both = b"40000 odd\0" + bytes(odd.raw) + b"40000 p\0" + bytes(entry.id.raw)
    root = repo.odb.write(2, b"40000 ports\0" + bytes(repo.odb.write(2, both).raw))
    env = {"GIT_DIR": str(repository._clone.folder)}
    made = git(place.root, "commit-tree", str(root), "-p", base, "-m", "x", **env)
    git(place.root, "push", "-q", str(place.bare), f"{made}:refs/heads/main", **env)
    drafts = [draft(f"ports/odd/{port}.yaml", b"x") for port in range(500)]
    repository.fetch()
    repository.push(drafts, CommitId(made), "", NOW)
    assert "ports/odd/a/b" in git(place.bare, "ls-tree", "-r", "--name-only", "main")


def test_a_git_that_cannot_write_is_no_surprise(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = place.open()
    drafts = [draft(f"ports/p/{port}.yaml", b"x") for port in range(500)]
    monkeypatch.setattr("reconciler.repo.bulk._MADE", "refs/../nowhere")
    with pytest.raises(Unavailable, match="clone cannot be read"):
        repository.push(drafts, CommitId(""), "", NOW)
    assert git(place.bare, "for-each-ref") == ""

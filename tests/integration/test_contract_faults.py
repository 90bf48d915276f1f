"""The command line when things go wrong: lost races, hostile branches, files in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler import yamlio
from tests.ingress import Ingress

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
# Moves the branch under every push, as a busy neighbour would.
NEIGHBOUR = """\
#!/bin/sh
exec env -i PATH="$PATH" GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=n@x \\
  GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=n@x sh -c '
  tip=$(git rev-parse main)
  git update-ref refs/heads/main $(echo busy | git commit-tree -p $tip "$tip^{tree}")'
"""


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path).start()


@pytest.fixture
def served(ingress: Ingress) -> Ingress:
    done = ingress.reconcile()
    assert done.code == 0, done.err
    return ingress


def hook(ingress: Ingress, name: str, text: str) -> None:
    file = ingress.remote / "hooks" / name
    file.write_text(text)
    file.chmod(0o755)


def test_a_branch_that_always_moves_is_a_conflict(ingress: Ingress) -> None:
    hook(ingress, "pre-receive", NEIGHBOUR)
    done = ingress.reconcile()
    assert done.code == 6, done.err
    assert done.plan["commit"] is None
    assert done.plan["summary"]["create"] == 1
    subjects = ingress.git("log", "--format=%s", "main", at=ingress.remote)
    assert set(subjects.split()) == {"busy", "Set", "up"}


def test_a_file_of_a_person_in_our_folder_is_left_alone(served: Ingress) -> None:
    path = "manifests/public/eu1/shop/vs-theirs.yaml"
    served.commit({path: b"kind: Mine\n", "docs/notes.md": b"x\n"}, "Notes")
    served.expose("eu1", "more")
    assert served.reconcile().code == 0
    assert served.show(path) == "kind: Mine\n"
    assert served.show("docs/notes.md") == "x\n"


def test_a_link_at_our_path_is_not_followed(ingress: Ingress) -> None:
    (ingress.root / "secret").write_text("do not touch\n")
    target = ingress.work / WISH
    target.parent.mkdir(parents=True)
    target.symlink_to(ingress.root / "secret")
    ingress.commit({"docs/x": b"x"}, "Plant a link")
    done = ingress.reconcile()
    assert done.code in (0, 5), done.err
    assert (ingress.root / "secret").read_text() == "do not touch\n"
    mode = ingress.git("ls-tree", "main", WISH, at=ingress.remote).split()[0]
    assert mode in ("100644", "120000")


def test_a_port_file_that_a_person_removed_does_not_free_the_port(
    served: Ingress,
) -> None:
    (path,) = served.files("ports")
    before = served.show(path)
    served.commit({path: None}, "Free it by hand")
    for index in range(5):
        served.expose("eu1", f"app{index}")
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    owners = [
        row["name"]
        for row in done.plan["changes"]
        if row["port"] == int(Path(path).stem)
    ]
    assert set(owners) <= {"orders"}
    if path in served.files():
        assert served.show(path) == before


@pytest.mark.parametrize("name", ["08080.yaml", "x.yaml", "99999.yaml"])
def test_a_ledger_with_foreign_names_freezes_only_what_it_must(
    served: Ingress, name: str
) -> None:
    (path,) = served.files("ports")
    before = served.files("manifests")
    served.commit({f"ports/public/{name}": served.show(path).encode()}, "Odd")
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    assert served.files("manifests") == before
    assert not done.rows("delete")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"a: 1\n", b"[]\n", b"gateway: public\nport: 1\n"]
)
def test_a_broken_port_file_never_ends_a_pass(served: Ingress, content: bytes) -> None:
    (path,) = served.files("ports")
    before = served.files("manifests")
    served.commit({path: content}, "Break the ledger")
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    assert served.files("manifests") == before
    assert not done.rows("delete")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"# eu1\n", b"junk: [\n"])
def test_a_broken_wish_is_a_hold_and_the_pass_goes_on(
    served: Ingress, content: bytes
) -> None:
    served.commit({WISH: content}, "Break the wish")
    served.expose("eu1", "more")
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    assert "manifests/public/eu1/shop/vs-more.yaml" in served.files()
    served.pull()
    assert (served.work / WISH).read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]\n", b"id: [x\n"])
def test_a_broken_cluster_file_never_ends_a_pass(
    served: Ingress, content: bytes
) -> None:
    before = served.files("manifests")
    served.commit({"clusters/eu1.yaml": content}, "Break the record")
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    assert served.files("manifests") == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"reason: x\nuntil: never\n"])
def test_a_broken_hold_still_holds(served: Ingress, content: bytes) -> None:
    before = served.show(WISH)
    served.commit({"holds/all.yaml": content}, "Hold all")
    served.expose("eu1", "orders", annotations={"wharfinger.dev/failover": "any"})
    done = served.reconcile()
    assert done.code in (0, 5), done.err
    assert len(done.rows("hold")) == 1
    assert served.show(WISH) == before


def test_a_hold_may_have_any_words(served: Ingress) -> None:
    words = "la marée 🚢: 'high' \"tide\" #1\n- x"
    held = served.run("hold", "eu1", "--reason", words, "--until", "2999-01-01")
    assert held.code == 0, held.err
    body = yamlio.load(served.show("holds/eu1.yaml").encode())
    assert isinstance(body, dict)
    assert body["reason"] == words
    assert served.run("hold", "eu1", "--reason", "x", "--until", "soon").code == 2


def test_a_broken_cache_heals(served: Ingress) -> None:
    for pack in (served.root / "cache").rglob("objects/**/*"):
        if pack.is_file():
            pack.chmod(0o644)
            pack.write_bytes(b"garbage")
    assert served.reconcile().plan["changes"] == []


def test_a_cache_that_cannot_be_written_says_so(served: Ingress) -> None:
    blocked = served.root / "file"
    blocked.write_text("")
    done = served.reconcile(XDG_CACHE_HOME=str(blocked))
    assert done.code == 3
    assert "XDG_CACHE_HOME" in done.err


def test_a_folder_of_a_shared_repository_is_all_that_is_touched(
    ingress: Ingress,
) -> None:
    settings = (ingress.work / "wharfinger.yaml").read_bytes()
    files = {"team/ingress/wharfinger.yaml": settings, "wharfinger.yaml": None}
    ingress.commit({**files, "app/main.py": b"x\n"}, "Move into a folder")
    assert ingress.reconcile("--path", "team/ingress").code == 0
    made = ingress.files()
    assert f"team/ingress/{WISH}" in made
    assert {path.split("/")[0] for path in made} == {"team", "app"}
    assert ingress.reconcile("--path=team/ingress").plan["changes"] == []


@pytest.mark.parametrize(
    "args",
    [
        ("--repo", "ext::sh -c touch% /tmp/pwned"),
        ("--repo", "--upload-pack=touch pwned"),
        ("--repo", "ssh://-oProxyCommand=touch pwned/x"),
        ("--repo", "-oProxyCommand=x:y"),
        ("--branch", "--upload-pack=x"),
        ("--branch", "a..b"),
        ("--branch", "refs/heads/main"),
        ("--path", "../.."),
        ("--path", ".git"),
    ],
)
def test_what_git_could_take_for_an_option_is_usage(
    ingress: Ingress, args: tuple[str, str]
) -> None:
    done = ingress.run("plan", f"{args[0]}={args[1]}", PATH=os.environ["PATH"])
    assert done.code == 2, done.err
    assert not list(ingress.root.glob("**/pwned"))


def test_removing_the_annotation_removes_the_route_at_once(served: Ingress) -> None:
    file = served.clusters / "eu1" / "orders.yaml"
    text = file.read_text().replace("wharfinger.dev/expose", "other.dev/expose")
    file.write_text(text)
    done = served.reconcile("--no-wait")
    assert (done.code, len(done.rows("delete"))) == (0, 1), done.out
    assert WISH not in served.files()


def test_a_cluster_that_says_it_is_deleted_is_removed(served: Ingress) -> None:
    for index in range(2):
        served.expose("eu1", f"app{index}")
    assert served.reconcile().code == 0
    served.write(
        "eu1/cluster.yaml",
        {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Cluster",
            "metadata": {"name": "eu1"},
            "state": "deleted",
        },
    )
    done = served.reconcile()
    assert done.code == 0, done.out
    assert len(done.rows("delete")) == 3, done.out
    assert served.files("manifests") == []

"""`wharfinger init` in repositories that are new, that people use, and that others share."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.settings_inventories import HUBS
from tests.ingress import Ingress, Near

ARGS = ("init", "--domain", "ingress.example.com")
GENERATED = "manifests/public/eu1/shop/vs-orders.yaml"


@pytest.fixture
def used(tmp_path: Path) -> Ingress:
    """A repository with a file of people's and without settings."""
    ingress = Ingress(root=tmp_path)
    ingress.git("init", "-q", "--bare", "-b", "main", "ingress.git", at=tmp_path)
    ingress.git("clone", "-q", str(ingress.remote), str(ingress.work), at=tmp_path)
    ingress.git("checkout", "-q", "-B", "main")
    ingress.commit({"README.md": b"routes\n"}, "Begin")
    return ingress


def attribute(ingress: Ingress, name: str, path: str) -> str:
    """What git says of an attribute of a path."""
    ingress.pull()
    said = ingress.git("check-attr", name, "--", path)
    return said.rpartition(": ")[2].strip()


def test_manifests_are_marked_as_generated_and_the_ledger_is_not(
    used: Ingress,
) -> None:
    assert used.run(*ARGS).code == 0
    for name in ("linguist-generated", "gitlab-generated"):
        assert attribute(used, name, GENERATED) == "set"
        assert attribute(used, name, "ports/public/20017.yaml") == "unspecified"


def test_check_takes_what_init_wrote(used: Ingress) -> None:
    before = used.tip()
    assert used.run(*ARGS).code == 0
    done = used.run("check", "--base", before)
    assert done.code == 0, done.out


def test_the_sample_of_owners_owns_nothing_yet(used: Ingress) -> None:
    assert used.run(*ARGS).code == 0
    lines = used.show("CODEOWNERS").splitlines()
    assert any("manifests/public/" in line for line in lines)
    assert all(line.startswith("#") for line in lines)


def test_files_that_people_have_stay_theirs(used: Ingress) -> None:
    theirs = {".gitattributes": b"*.png binary\n", ".gitea/CODEOWNERS": b"x @y\n"}
    used.commit(dict(theirs), "Say how we work")
    done = used.run(*ARGS)
    assert done.code == 0, done.err
    assert "CODEOWNERS" not in used.files()
    for path, data in theirs.items():
        assert used.show(path).encode() == data
    assert ".gitattributes" not in done.out


def test_owners_are_left_out_where_no_forge_would_read_them(used: Ingress) -> None:
    assert used.run(*ARGS, "--path", "ingress").code == 0
    assert "ingress/wharfinger.yaml" in used.files()
    assert not [path for path in used.files() if path.endswith("CODEOWNERS")]
    assert attribute(used, "linguist-generated", f"ingress/{GENERATED}") == "set"


@pytest.mark.parametrize("kind", HUBS)
def test_a_kind_of_inventory_can_be_named(tmp_path: Path, kind: str) -> None:
    done = Near(tmp_path).run(
        *("init", "--domain", "example.com", "--inventory", kind, "--dry-run")
    )
    assert done.code == 0, done.err
    assert f"    {kind}: {{hub: {{context: in-cluster}}}}" in done.out
    assert "taken for a kubeconfig" not in done.err

"""What `check` compares: revisions of every kind, folders, signed commits, every output."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.changes import (
    ORDERS,
    Branch,
    codes,
    copied,
    here,
    settings,
    with_a_past,
)
from tests.ingress import Done, Ingress

LEDGER = "ports/public/20010.yaml"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Ingress:
    return with_a_past(Path(tmp_path_factory.mktemp("past")))


@pytest.fixture
def stolen(past: Ingress, tmp_path: Path) -> Branch:
    """A branch whose second commit takes a port away, with tags on the way."""
    branch = Branch(copied(past, tmp_path / "copy"), name="stolen").start()
    branch.write("NOTES.md", "x\n")
    branch.commit("Take notes")
    branch.git("tag", "light")
    branch.git("tag", "-a", "-m", "whole", "heavy", "origin/main")
    branch.edit(LEDGER, "name: orders", "name: mine")
    branch.commit("Take it")
    branch.git("push", "-q", "origin", "light", "heavy")
    return branch


def check(branch: Branch, *args: str) -> Done:
    return here(branch.ingress, "check", "-o", "json", *args)


@pytest.mark.parametrize(
    "base", ["main", "heavy", "light", "refs/heads/main", "COMMIT"]
)
def test_a_base_is_a_branch_a_tag_or_a_commit(stolen: Branch, base: str) -> None:
    base = stolen.ingress.tip() if base == "COMMIT" else base
    done = check(stolen, "--base", base, "--branch", "stolen")
    assert "WHF623" in codes(done), done.out + done.err


def test_a_head_is_one_too_and_its_whole_repository_is_judged(stolen: Branch) -> None:
    tip = stolen.git("rev-parse", "stolen").strip()
    for head in ("stolen", tip, "refs/heads/stolen"):
        assert "WHF623" in codes(check(stolen, "--base", "main", "--head", head))
        assert codes(check(stolen, "--head", head)) == {"WHF614"}
    assert codes(check(stolen, "--base", "main", "--head", "light")) == set()
    assert codes(check(stolen)) == set()


def test_a_checkout_is_judged_as_ci_has_it(stolen: Branch) -> None:
    stolen.git("checkout", "-q", "--detach", "stolen")
    args = ("--repo", str(stolen.ingress.work), "--head", "HEAD")
    assert "WHF623" in codes(check(stolen, *args, "--base", "origin/main"))
    assert "WHF614" in codes(check(stolen, *args))


def test_the_twin_of_base_is_read(stolen: Branch) -> None:
    done = stolen.ingress.run(
        "check", "-o", "json", WHARFINGER_BASE="main", WHARFINGER_HEAD="stolen"
    )
    assert "WHF623" in codes(done)


@pytest.mark.parametrize(
    "name", ["nothing", "f" * 40, "abcdef1", "refs/heads/none", "HEAD~1", "-x", "a..b", "@{u}", "a b", "a:b", "a\nb", ""]
)  # fmt: skip
def test_what_is_no_revision_is_a_slip_of_the_pen(stolen: Branch, name: str) -> None:
    done = check(stolen, "--base", "main", f"--head={name}")
    if name:
        assert (done.code, done.out) == (2, ""), done.err
        assert "revision" in done.err or "there is no commit" in done.err
    else:
        assert done.code == 0


def test_histories_without_a_common_commit_are_not_compared(stolen: Branch) -> None:
    stolen.git("checkout", "-q", "--orphan", "other")
    stolen.git("commit", "-q", "-m", "Start again")
    stolen.git("push", "-q", "origin", "other")
    done = check(stolen, "--base", "main", "--head", "other")
    assert done.code == 2
    assert "no commit in common" in done.err


def test_asking_leaves_no_reference_in_the_clone(stolen: Branch) -> None:
    check(stolen, "--base", "heavy", "--head", "stolen")
    cache = stolen.ingress.root / "cache" / "repositories"
    for clone in cache.glob("*.git"):
        refs = stolen.ingress.git("for-each-ref", at=clone)
        assert "wharfinger-asked" not in refs


def test_a_folder_of_a_larger_repository(past: Ingress, tmp_path: Path) -> None:
    ingress = copied(past, tmp_path / "copy")
    ingress.git("checkout", "-q", "main")
    (ingress.work / "apps" / "ingress").mkdir(parents=True)
    for name in ("clusters", "ports", "hosts", "manifests", "wharfinger.yaml"):
        ingress.git("mv", name, f"apps/ingress/{name}")
    ingress.git("commit", "-q", "-m", "Move it into a folder")
    ingress.git("push", "-q", "origin", "main")
    assert (
        codes(here(ingress, "check", "-o", "json", "--path", "apps/ingress")) == set()
    )
    branch = Branch(ingress, name="more").start()
    ours = f"apps/ingress/{LEDGER}"
    branch.edit(ours, "name: orders", "name: mine")
    branch.write("ports/public/1.yaml", "none of ours\n")
    branch.write(".github/workflows/x.yml", "on: push\n")
    branch.write("apps/ingress/.gitlab-ci.yml", "x: {}\n")
    branch.commit()
    done = branch.check("--path", "apps/ingress")
    assert codes(done) == {"WHF614", "WHF623", "WHF629"}
    paths = {each["path"] for each in json.loads(done.out)["items"]}
    assert paths == {ORDERS, LEDGER, "/.github/workflows/x.yml", ".gitlab-ci.yml"}
    sarif = branch.check("--path", "apps/ingress", "-o", "sarif")
    uris = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in json.loads(sarif.out)["runs"][0]["results"]
    }
    assert {ours, ".github/workflows/x.yml"} <= uris


@pytest.mark.parametrize("output", ["text", "markdown", "sarif", "github", "gitlab"])
def test_the_exit_code_is_the_same_in_every_format(stolen: Branch, output: str) -> None:
    args = ("check", "--base", "main", "-o", output)
    found = here(stolen.ingress, *args, "--head", "stolen")
    assert found.code == 5
    assert LEDGER in found.out
    assert here(stolen.ingress, *args, "--head", "light").code == 0
    assert here(stolen.ingress, "plan", "-o", output).code == (
        0 if output in ("text", "markdown") else 2
    )


def keypair(folder: Path, name: str) -> tuple[Path, str]:
    path = folder / name
    command = [
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        name,
        "-f",
        str(path),
    ]
    subprocess.run(command, check=True, timeout=30)
    return path, path.with_suffix(".pub").read_text().strip()


def test_a_change_cannot_bring_its_own_signing_key(
    past: Ingress, tmp_path: Path
) -> None:
    """Signed commits of ours may release a port; another key's may not, also when it is added."""
    ingress = copied(past, tmp_path / "copy")
    ours, public = keypair(tmp_path, "ours")
    _, evil = keypair(tmp_path, "evil")
    keyed = settings(quarantine="24h") | {"signing": {"keys": [public]}}
    ingress.commit({"wharfinger.yaml": ingress.settings(**keyed)}, "Sign from now on")
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    done = ingress.reconcile(WHARFINGER_SIGNING_KEY=str(ours))
    assert done.code == 0, done.err
    release = ingress.tip()
    assert codes(here(ingress, "check", "--base", "base", "-o", "json")) == set()
    # The same release under a key that the change itself adds to the settings.
    ingress.git("update-ref", "refs/heads/main", "refs/heads/base", at=ingress.remote)
    both = settings(quarantine="24h") | {"signing": {"keys": [public, evil]}}
    ingress.commit({"wharfinger.yaml": ingress.settings(**both)}, "Add a key")
    done = ingress.reconcile(WHARFINGER_SIGNING_KEY=str(tmp_path / "evil"))
    assert done.code == 0, done.err
    assert ingress.tip() != release
    found = here(ingress, "check", "--base", "base", "-o", "json")
    assert codes(found) == {"WHF624"}, found.out


def test_words_help_when_a_release_is_reverted_too_late(
    past: Ingress, tmp_path: Path
) -> None:
    branch = Branch(copied(past, tmp_path / "copy"), name="late").start()
    release = branch.git("log", "--format=%H", "--grep=first", "-1", "released").strip()
    files = ("ports/public/20090.yaml", "manifests/public/eu1/shop/vs-first.yaml")
    more = ("manifests/public/eu1/shop/vs-first.endpoints.yaml",)
    branch.git("checkout", "-q", f"{release}~", "--", *files, *more)
    branch.commit()
    done = here(branch.ingress, "check", *branch.asked)
    assert done.code == 5
    line = next(each for each in done.out.splitlines() if "WHF625" in each)
    assert line.startswith("ports/public/20090.yaml:4:1: goes back to eu1/shop/first")
    assert "was released and given to eu1/shop/second in " in line
    assert "keep the ledger file as the branch has it" in done.out
    page = here(branch.ingress, "explain", "WHF625")
    assert page.out.startswith("# WHF625: Reused since")

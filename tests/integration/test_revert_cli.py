"""`wharfinger revert` as a real process, and what the next pass makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.ingress import Done, Ingress, Near

UNIT = "eu1/shop/orders"
WISH = "manifests/public/eu1/shop/vs-orders.yaml"
ENDPOINTS = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
Doc = dict[str, Any]


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    made = Near(root=tmp_path).start(release={"quarantine": "0s"})
    weigh(made, 90)
    passed(made)
    return made


def weigh(ingress: Ingress, blue: int) -> None:
    """Another wish for the same exposure."""
    for name in ("blue", "green"):
        ingress.write(f"eu1/svc-{name}.yaml", documents.service(name, 31001))
    weights = {"blue": blue, "green": 100 - blue}
    ingress.write("eu1/orders.yaml", documents.virtual_service("orders", weights))


def passed(ingress: Ingress) -> Done:
    done = ingress.reconcile()
    assert done.code == 0, done.err
    return done


def port_of(ingress: Ingress, name: str = "orders") -> int:
    (path,) = (
        path
        for path in ingress.files("ports")
        if f"name: {name}," in ingress.show(path)
    )
    return int(path.split("/")[-1].removesuffix(".yaml"))


def unexpose(ingress: Ingress) -> None:
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    passed(ingress)


def is_held(ingress: Ingress, *, by: str = "Ada Person") -> None:
    """The next pass holds the unit, says who and which commit, and writes nothing."""
    tip = ingress.tip()
    done = passed(ingress)
    (row,) = done.rows("hold")
    assert (row["name"], row["code"]) == ("orders", "WHF208")
    assert by in row["reason"]
    assert ingress.tip() == tip
    newest = ingress.git(
        "log",
        "-1",
        "--first-parent",
        "--format=%H",
        "main",
        "--",
        WISH,
        at=ingress.remote,
    )
    assert newest[:10] in row["reason"]


def checks_clean(ingress: Ingress) -> None:
    """What the revert left is what CI would let in."""
    found = ingress.run("check")
    assert (found.code, found.out) == (0, "No findings.\n")


def test_a_changed_wish_goes_back_and_is_held(ingress: Ingress) -> None:
    port, before = port_of(ingress), ingress.show(WISH)
    weigh(ingress, 50)
    passed(ingress)
    done = ingress.run("revert", UNIT, "--reason", "green is slow: Zoë")
    assert done.code == 0, done.err
    assert "wharfinger release" in done.err
    assert ingress.show(WISH) == before
    message = ingress.git("log", "-1", "--format=%an%n%B", "main", at=ingress.remote)
    assert message.startswith('Ada Person\nRevert "Update eu1/shop/orders')
    assert "Reason: green is slow: Zoë" in message
    assert "Wharfinger-Digest" not in message
    checks_clean(ingress)
    is_held(ingress)
    assert port_of(ingress) == port
    assert ingress.run("release", UNIT).code == 0
    assert ingress.show(WISH) != before
    assert passed(ingress).rows("hold") == []


def test_a_creation_is_undone_and_keeps_its_port(ingress: Ingress) -> None:
    port = port_of(ingress)
    assert ingress.run("revert", UNIT).code == 0
    assert {WISH, ENDPOINTS} & set(ingress.files()) == set()
    is_held(ingress)
    checks_clean(ingress)
    (told,) = json.loads(ingress.run("who-had", str(port), "-o", "json").out)["items"]
    assert (told["unit"], told["inUse"]) == (UNIT, True)
    ingress.expose(
        "eu1", "rival", annotations={"wharfinger.dev/request-port": str(port)}
    )
    done = passed(ingress)
    assert [row["name"] for row in done.rows("reject")] == ["rival"]
    assert ingress.run("release", UNIT).code == 0
    assert port_of(ingress) == port


def test_a_removed_route_comes_back_with_its_port(ingress: Ingress) -> None:
    port, before = port_of(ingress), ingress.show(WISH)
    unexpose(ingress)
    assert "state: released" in ingress.show(f"ports/public/{port}.yaml")
    done = ingress.run("revert", UNIT)
    assert done.code == 0, done.err
    assert ingress.show(WISH) == before
    assert ENDPOINTS in ingress.files()
    assert "state: active" in ingress.show(f"ports/public/{port}.yaml")
    is_held(ingress)
    checks_clean(ingress)
    told = json.loads(ingress.run("who-had", str(port), "-o", "json").out)["items"][0]
    assert (told["unit"], told["inUse"]) == (UNIT, True)


def test_a_port_that_was_given_away_is_not_taken_back(ingress: Ingress) -> None:
    port = port_of(ingress)
    unexpose(ingress)
    ingress.expose(
        "eu1", "rival", annotations={"wharfinger.dev/request-port": str(port)}
    )
    given = passed(ingress).plan["commit"]
    tip = ingress.tip()
    done = ingress.run("revert", UNIT)
    assert done.code == 5
    assert f"port {port} of gateway public belongs to eu1/shop/rival since" in done.err
    taken = ingress.git(
        *("log", "-1", "--format=%H", "main", "--", f"ports/public/{port}.yaml"),
        at=ingress.remote,
    )
    assert f"by commit {taken[:10]}" in done.err
    assert given == tip == ingress.tip()
    dry = ingress.run("revert", UNIT, "--dry-run")
    assert (dry.code, dry.out) == (5, "")


def test_a_move_is_undone_and_no_port_changes_hands(ingress: Ingress) -> None:
    port = port_of(ingress)
    body = documents.virtual_service(
        "orders",
        {"blue": 90, "green": 10},
        {"wharfinger.dev/request-port": "20077"},
    )
    ingress.write("eu1/orders.yaml", body)
    passed(ingress)
    assert ingress.run("revert", UNIT).code == 0
    checks_clean(ingress)
    assert f":{port} wish" in ingress.show(WISH).splitlines()[0]
    tip = ingress.tip()
    held = passed(ingress).rows("hold")
    assert {row["code"] for row in held} == {"WHF208"}
    assert ingress.tip() == tip
    for number in (port, 20077):
        out = ingress.run("who-had", str(number), "-o", "json").out
        assert json.loads(out)["items"][0]["unit"] == UNIT


def test_a_finished_move_is_undone_with_its_old_port_draining(tmp_path: Path) -> None:
    gateway = {
        **{"name": "public", "renderer": "envoy", "namespace": "ingress"},
        **{"ports": {"range": "20000-20099"}, "proof": "off"},
    }
    release = {"quarantine": "24h", "drain": "0s"}
    ingress = Near(root=tmp_path).start(release=release, gateways=[gateway])
    weigh(ingress, 90)
    passed(ingress)
    old = port_of(ingress)
    ask = {"wharfinger.dev/request-port": "20077"}
    body = documents.virtual_service("orders", {"blue": 90, "green": 10}, ask)
    ingress.write("eu1/orders.yaml", body)
    for _ in range(3):
        passed(ingress)
    assert "state: released" in ingress.show(f"ports/public/{old}.yaml")
    assert ingress.run("revert", UNIT).code == 0
    assert "state: draining" in ingress.show(f"ports/public/{old}.yaml")
    for _ in range(2):
        changes = passed(ingress).plan["changes"]
        assert {(row["op"], row["port"]) for row in changes} == {
            ("hold", old),
            ("hold", 20077),
        }
    assert ingress.run("release", UNIT).code == 0
    assert passed(ingress).plan["changes"] == []
    assert ingress.run("check").code == 0


def test_reverting_the_revert_ends_the_hold(ingress: Ingress) -> None:
    weigh(ingress, 50)
    passed(ingress)
    wanted = ingress.show(WISH)
    ingress.run("revert", UNIT)
    done = ingress.run("revert", UNIT)
    assert "undoes a person's change" in done.err
    assert ingress.show(WISH) == wanted
    assert passed(ingress).plan["changes"] == []


def test_a_commit_is_undone_for_its_units_alone(ingress: Ingress) -> None:
    ingress.expose("eu1", "billing")
    passed(ingress)
    other = "manifests/public/eu1/shop/vs-billing.yaml"
    before = {path: ingress.show(path) for path in (WISH, other)}
    edited: dict[str, bytes | None] = {
        path: text.replace("wish ", "wish 0", 1).encode() + b"# by hand\nx: 1\n"
        for path, text in before.items()
    }
    sha = ingress.commit({**edited, "README.md": b"stays\n"}, "Edit by hand")
    done = ingress.run("revert", sha[:12], "-o", "json")
    assert done.code == 0, done.err
    body = json.loads(done.out)
    assert body["undone"]["commit"] == sha
    assert {unit["unit"] for unit in body["units"]} == {UNIT, "eu1/shop/billing"}
    assert {path: ingress.show(path) for path in before} == before
    assert ingress.show("README.md") == "stays\n"
    assert ingress.git("rev-parse", "main~1", at=ingress.remote).strip() == sha
    assert passed(ingress).plan["changes"] == []


def test_a_commit_whose_wish_changed_since_is_refused(ingress: Ingress) -> None:
    weigh(ingress, 50)
    sha = passed(ingress).plan["commit"]
    weigh(ingress, 40)
    newer = passed(ingress).plan["commit"]
    done = ingress.run("revert", sha)
    assert done.code == 5
    assert f"changed again since in {newer[:10]} by wharfinger" in done.err
    assert ingress.tip() == newer


def test_addresses_that_came_since_stay_or_follow(ingress: Ingress) -> None:
    weigh(ingress, 50)
    passed(ingress)
    ingress.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    passed(ingress)
    assert ingress.run("revert", UNIT).code == 0
    passed(ingress)
    assert "10.20.0.9" in ingress.show(ENDPOINTS)
    assert "weight 90" in ingress.show(ENDPOINTS)
    is_held(ingress)


def test_a_dry_run_prints_what_git_apply_takes(ingress: Ingress) -> None:
    weigh(ingress, 50)
    passed(ingress)
    tip = ingress.tip()
    done = ingress.run("revert", UNIT, "--dry-run")
    assert done.code == 0, done.err
    assert ingress.tip() == tip
    ingress.pull()
    (ingress.root / "undo.patch").write_text(done.out)
    ingress.git("apply", "--index", str(ingress.root / "undo.patch"))
    tree = ingress.git("write-tree").strip()
    assert ingress.run("revert", UNIT).code == 0
    pushed = ingress.git("rev-parse", "main^{tree}", at=ingress.remote).strip()
    assert tree == pushed


def test_a_side_branch_is_for_a_pull_request(ingress: Ingress) -> None:
    weigh(ingress, 50)
    passed(ingress)
    tip = ingress.tip()
    done = ingress.run("revert", UNIT, "--push-to", "undo/orders")
    assert done.code == 0, done.err
    assert "no request was opened for undo/orders" in done.err
    assert ingress.tip() == tip
    parent = ingress.git("rev-parse", "undo/orders~1", at=ingress.remote).strip()
    assert parent == tip
    other = ("--reason", "as before")  # the same commit once more would be no news
    again = ingress.run("revert", UNIT, *other, "--push-to", "undo/orders")
    assert again.code == 2
    assert "there is a branch undo/orders already" in again.err
    for name in ("main", "-x", "a b", "../x"):
        assert ingress.run("revert", UNIT, "--push-to", name).code == 2
    ingress.pull()
    ingress.git(
        "merge",
        "-q",
        "--no-ff",
        "-m",
        "Merge pull request #4 from a/b",
        "origin/undo/orders",
    )
    ingress.git("push", "-q", "origin", "main")
    is_held(ingress)
    rows = json.loads(ingress.run("history", UNIT, "-o", "json").out)["items"]
    assert rows[0]["pullRequest"] == "#4"
    assert rows[0]["events"][0]["what"] == "reverted"


@pytest.mark.parametrize("what", ["public", "0000000", "eu1/shop/nothing", "20017", ""])
def test_what_cannot_be_undone_is_usage(ingress: Ingress, what: str) -> None:
    tip = ingress.tip()
    assert ingress.run("revert", what).code == 2
    assert ingress.tip() == tip


def test_a_commit_without_a_wish_is_for_git_revert(ingress: Ingress) -> None:
    sha = ingress.commit({"README.md": b"x\n"}, "Say hello")
    done = ingress.run("revert", sha)
    assert done.code == 2
    assert "git revert" in done.err


def test_a_hostile_reason_does_not_make_the_commit_ours(ingress: Ingress) -> None:
    weigh(ingress, 50)
    passed(ingress)
    digest = ingress.git("log", "-1", "--format=%B", "main", at=ingress.remote)
    trailers = digest[digest.index("Wharfinger-Digest") :]
    done = ingress.run("revert", UNIT, "--reason", f"x\x1b[31m\n\n{trailers}")
    assert done.code == 0, done.err
    message = ingress.git("log", "-1", "--format=%B", "main", at=ingress.remote)
    assert "\x1b" not in message
    assert "\nWharfinger-Digest" not in message
    is_held(ingress)


def test_a_rule_of_the_server_is_told(ingress: Ingress) -> None:
    hook = ingress.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    tip = ingress.tip()
    assert ingress.run("revert", UNIT).code == 5
    assert ingress.run("revert", UNIT, "--push-to", "undo").code == 5
    assert ingress.tip() == tip

"""Commands that people use beside the passes, as real processes on real repositories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler import yamlio
from reconciler.codes import Code
from tests.ingress import Done, Ingress

CLUSTER = "clusters/eu1.yaml"


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path).start()


@pytest.fixture
def served(ingress: Ingress) -> Ingress:
    done = ingress.reconcile()
    assert done.code == 0, done.err
    return ingress


def items(done: Done) -> list[dict[str, object]]:
    assert done.code == 0, done.err
    body = json.loads(done.out)
    assert body["apiVersion"] == "wharfinger.dev/v1alpha1"
    found: list[dict[str, object]] = body["items"]
    return found


def test_get_lists_what_git_says(served: Ingress) -> None:
    served.run("hold", "eu1", "--reason", "freeze", "--until", "2999-01-01")
    routes = items(served.run("get", "routes", "-o", "json"))
    (port,) = items(served.run("get", "ports", "-o", "json"))
    (cluster,) = items(served.run("get", "clusters", "-o", "json"))
    (hold,) = items(served.run("get", "holds", "-o", "json"))
    assert items(served.run("get", "hosts", "-o", "json")) == []
    assert [each["unit"] for each in routes] == ["eu1/shop/orders"]
    assert port["state"] == "active"
    assert port["port"] == routes[0]["port"]
    assert (cluster["cluster"], cluster["id"]) == ("eu1", "id-eu1")
    assert (hold["held"], hold["by"], hold["reason"]) == ("eu1", "Ada Person", "freeze")


def test_tables_are_columns_in_a_pipe_and_markdown_when_asked_for(
    served: Ingress,
) -> None:
    lines = served.run("get", "ports").out.splitlines()
    assert (
        " ".join(lines[0].split()) == "PORT GATEWAY STATE UNIT ROUTE SINCE UNTIL NEXT"
    )
    assert len(lines) == 2
    assert "\x1b" not in "".join(lines)
    twin = served.run("get", "ports", WHARFINGER_OUTPUT="markdown").out.splitlines()
    assert twin[0] == "| PORT | GATEWAY | STATE | UNIT | ROUTE | SINCE | UNTIL | NEXT |"


def test_a_hold_may_end_by_itself_and_freeze_addresses(served: Ingress) -> None:
    flags = (
        "--reason",
        "x",
        "--by",
        "Bo",
        "--until",
        "2999-12-24",
        "--freeze-addresses",
    )
    assert served.run("hold", "eu1/shop", *flags).code == 0
    assert yamlio.load(served.show("holds/eu1/shop.yaml").encode()) == {
        "reason": "x",
        "by": "Bo",
        "until": "2999-12-24",
        "addresses": "frozen",
    }


def test_the_same_hold_again_makes_no_commit(served: Ingress) -> None:
    served.run("hold", "all", "--reason", "x")
    tip = served.tip()
    again = served.run("hold", "all", "--reason", "x")
    assert (again.code, served.tip()) == (0, tip)
    assert "already" in again.out


@pytest.mark.parametrize(
    "flags", [("--reason", " "), ("--reason", "x", "--until", "soon")]
)
def test_a_hold_without_sense_is_usage(served: Ingress, flags: tuple[str, ...]) -> None:
    tip = served.tip()
    assert served.run("hold", "eu1", *flags).code == 2
    assert served.tip() == tip


def test_a_hostile_reason_stays_one_value(served: Ingress) -> None:
    reason = 'x\nuntil: "2000-01-01"\n# \x1b[31m'
    assert served.run("hold", "eu1", "--reason", reason).code == 0
    body = yamlio.load(served.show("holds/eu1.yaml").encode())
    assert body == {"reason": reason, "by": "Ada Person"}
    assert "\x1b" not in served.run("get", "holds").out


@pytest.mark.parametrize("unit", ["all", "eu1", "eu1/shop"])
def test_release_removes_the_file_that_hold_wrote(served: Ingress, unit: str) -> None:
    before = served.git("rev-parse", "main^{tree}", at=served.remote)
    served.run("hold", unit, "--reason", "x")
    released = served.run("release", unit)
    assert released.code == 0, released.err
    assert served.git("rev-parse", "main^{tree}", at=served.remote) == before


@pytest.mark.parametrize("unit", ["all", "eu1/shop"])
def test_release_of_what_is_not_held_says_so(served: Ingress, unit: str) -> None:
    done = served.run("release", unit)
    assert done.code == 2
    assert f"there is no holds/{unit}.yaml" in done.err


def test_a_persons_commit_outlives_a_lost_race(served: Ingress) -> None:
    """The branch moves once under the push; the hold is made again on the new commit."""
    hook = served.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\n"
        'test -e "$GIT_DIR/moved" && exit 0\n'
        'touch "$GIT_DIR/moved"\n'
        'exec env -i PATH="$PATH" GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=n@x '
        "GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=n@x sh -c '"
        "tip=$(git rev-parse main); git update-ref refs/heads/main "
        '$(echo busy | git commit-tree -p $tip "$tip^{tree}")\'\n'
    )
    hook.chmod(0o755)
    done = served.run("hold", "eu1", "--reason", "x")
    assert done.code == 0, done.err
    subjects = served.git("log", "--format=%s", "-2", "main", at=served.remote)
    assert subjects.split("\n")[:2] == ["Hold eu1", "busy"]


def test_accept_cluster_keeps_what_people_wrote(served: Ingress) -> None:
    text = served.show(CLUSTER) + "# asked Bo, see the runbook\nnote: mine\n"
    served.commit({CLUSTER: text.encode()}, "Add a note")
    done = served.run("accept-cluster", "eu1", "id-2")
    assert done.code == 0, done.err
    after = served.show(CLUSTER)
    assert "# asked Bo, see the runbook\nnote: mine\n" in after
    body = yamlio.load(after.encode())
    assert isinstance(body, dict)
    assert (body["id"], body["accept"]) == ("id-eu1", ["id-2"])
    tip = served.tip()
    assert served.run("accept-cluster", "eu1", "id-2").code == 0
    assert served.tip() == tip


def test_what_can_never_be_met_is_not_accepted(served: Ingress) -> None:
    for text in ("sha256:ab", f"sha256:{'A' * 64}", "host:", "host:a b"):
        assert served.run("accept-cluster", "eu1", text).code == 2
    assert served.run("accept-cluster", "eu1", "host:api.example.com").code == 0


@pytest.mark.parametrize(
    ("cluster", "uid"), [("../x", "x"), ("eu1", ""), ("eu1", "a\nb")]
)
def test_accepting_what_is_no_cluster_is_usage(
    served: Ingress, cluster: str, uid: str
) -> None:
    tip = served.tip()
    assert served.run("accept-cluster", cluster, uid).code == 2
    assert served.tip() == tip


def test_explain_tells_the_story_of_a_unit(served: Ingress) -> None:
    served.run("hold", "eu1/shop/orders", "--reason", "freeze week")
    told = served.run("explain", "eu1/shop/orders").out
    assert "manifests/public/eu1/shop/vs-orders.yaml" in told
    assert "ports/public/" in told
    assert "freeze week" in told
    assert served.tip() not in told  # the hold did not touch the unit's files
    assert served.git("rev-parse", "main~1", at=served.remote)[:10] in told
    unknown = served.run("explain", "eu1/shop/nothing")
    assert "Git knows nothing of it" in unknown.out


def test_explain_needs_no_repository_for_a_code(tmp_path: Path) -> None:
    nowhere = Ingress(root=tmp_path)
    for text in ("WHF101", "whf101"):
        done = nowhere.run("explain", text, WHARFINGER_REPO="/nonexistent")
        assert done.code == 0
        assert done.out.startswith("# WHF101: ")
    assert nowhere.run("explain", "WHF999").code == 2


def test_check_passes_what_we_wrote_and_finds_what_others_did(served: Ingress) -> None:
    clean = served.run("check")
    assert (clean.code, clean.out) == (0, "No findings.\n")
    (path,) = served.files("ports")
    served.commit({path: served.show(path).encode() + b"more: 1\n"}, "Break it")
    broken = served.run("check", "-o", "json")
    assert broken.code == 5
    body = json.loads(broken.out)
    assert body["kind"] == "Findings"
    assert path in {each["path"] for each in body["items"]}
    served.commit({"wharfinger.yaml": b"kind: Settings\n"}, "Break more")
    assert served.run("check").code == 2


def test_codes_on_stdout_are_all_codes_that_there_are(served: Ingress) -> None:
    rows = json.loads(served.run("plan", "-o", "json").out)["changes"]
    assert {row["code"] for row in rows} <= set(Code)


def test_get_holds_says_who_undid_what_with_which_commit(served: Ingress) -> None:
    wish = "manifests/public/eu1/shop/vs-orders.yaml"
    tip = served.commit({wish: None}, "Take orders down")
    (hold,) = items(served.run("get", "holds", "-o", "json"))
    assert (hold["held"], hold["by"], hold["state"]) == (
        "eu1/shop/orders",
        "Ada Person",
        "undone",
    )
    assert tip[:10] in hold["reason"]
    (row,) = served.run("plan", "-o", "json").rows("hold")
    assert row["reason"] == hold["reason"]

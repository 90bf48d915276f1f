"""The command line as the contract promises it, on a directory and a local repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import yamlio
from tests import documents
from tests.ingress import Done, Ingress

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
OPS = ("create", "update", "delete", "release", "hold", "withhold", "reject", "skip")
PLAN_KEYS = {"apiVersion", "kind", "digest", "base", "changes", "withheld", "summary"}
ROW_KEYS = {
    *("op", "cluster", "namespace", "name", "route"),
    *("gateway", "host", "port", "code", "reason"),
}


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path).start()


@pytest.fixture
def served(ingress: Ingress) -> Ingress:
    done = ingress.reconcile()
    assert done.code == 0, done.err
    return ingress


def assert_plan(done: Done, *, committed: bool = True) -> None:
    """The whole shape of the Plan object."""
    plan = done.plan
    assert set(plan) == PLAN_KEYS | ({"commit"} if committed else set())
    assert (plan["apiVersion"], plan["kind"]) == ("wharfinger.dev/v1alpha1", "Plan")
    assert set(plan["summary"]) == set(OPS)
    assert set(plan["withheld"]) == {"digest"}
    for row in plan["changes"]:
        assert set(row) == ROW_KEYS
        assert re.fullmatch(r"WHF\d{3}", row["code"])
    counts = {op: len(done.rows(op)) for op in OPS}
    assert plan["summary"] == counts


def port_file(ingress: Ingress) -> dict[str, object]:
    (path,) = ingress.files("ports")
    body = yamlio.load(ingress.show(path).encode())
    assert isinstance(body, dict)
    return body


def test_a_pass_commits_and_says_what(ingress: Ingress) -> None:
    before = ingress.tip()
    done = ingress.reconcile()
    assert done.code == 0
    assert_plan(done)
    assert done.plan["base"] == before
    assert done.plan["commit"] == ingress.tip() != before
    (row,) = [row for row in done.rows("create") if row["name"]]
    assert (row["cluster"], row["namespace"], row["name"]) == ("eu1", "shop", "orders")
    assert (row["route"], row["gateway"]) == ("tcp", "public")
    assert row["host"] == "tcp.example.com"
    assert 20000 <= row["port"] <= 20099


def test_a_second_pass_has_nothing_to_do(served: Ingress) -> None:
    before = served.tip()
    done = served.reconcile()
    assert (done.code, served.tip(), done.plan["commit"]) == (0, before, None)
    assert done.plan["changes"] == []
    assert_plan(done)


def test_a_plan_changes_nothing_and_can_say_so(ingress: Ingress) -> None:
    before = ingress.tip()
    done = ingress.run("plan", "-o", "json")
    assert done.code == 0
    assert_plan(done, committed=False)
    assert ingress.tip() == before
    assert ingress.run("plan", "--exit-code").code == 10
    assert ingress.reconcile().code == 0
    assert ingress.run("plan", "--exit-code").code == 0


def test_a_plan_has_the_digest_that_the_pass_commits(ingress: Ingress) -> None:
    planned = ingress.run("plan", "-o", "json").plan["digest"]
    assert ingress.reconcile().plan["digest"] == planned


def test_a_port_file_reads_as_the_contract_says(served: Ingress) -> None:
    (path,) = served.files("ports")
    body = port_file(served)
    port = int(Path(path).stem)
    assert body == {
        "gateway": "public",
        "port": port,
        "state": "active",
        "owner": {
            "cluster": "eu1",
            "clusterId": "id-eu1",
            "namespace": "shop",
            "name": "orders",
            "route": "tcp",
        },
    }


def test_the_first_line_of_a_wish_names_all(served: Ingress) -> None:
    port = port_file(served)["port"]
    first = served.show(WISH).splitlines()[0]
    assert re.fullmatch(
        rf"# eu1 shop/orders -> tcp\.example\.com:{port} wish [0-9a-f]{{8}}", first
    )


def test_weights_are_written_as_they_were(ingress: Ingress) -> None:
    ingress.expose("eu1", "orders", destinations={"orders": 90, "canary": 10})
    ingress.write("eu1/svc-canary.yaml", documents.service("canary", 31001))
    assert ingress.reconcile().code == 0
    found = re.findall(r"weight\"?: *(\d+)", ingress.show(WISH))
    assert set(map(int, found)) == {10, 90}


def test_two_fresh_repositories_get_the_same_tree(tmp_path: Path) -> None:
    trees = []
    for name in ("one", "two"):
        ingress = Ingress(root=tmp_path / name).start()
        shared = ingress.settings(
            inventories=[
                {
                    "name": "lab",
                    "directory": {"path": str(tmp_path / "one" / "clusters")},
                }
            ]
        )
        if name == "two":
            ingress.commit({"wharfinger.yaml": shared}, "Share the clusters")
        assert ingress.reconcile().code == 0
        trees.append(ingress.git("rev-parse", "main^{tree}", at=ingress.remote))
    assert trees[0] == trees[1]


def test_invalid_settings_name_every_fault_with_its_place(ingress: Ingress) -> None:
    text = ingress.settings(gards={}, domain=5).decode()
    ingress.commit({"wharfinger.yaml": text.encode()}, "Break it")
    before = ingress.tip()
    done = ingress.reconcile()
    assert done.code == 2
    assert re.search(r"wharfinger\.yaml:\d+:\d+ domain: ", done.err)
    assert re.search(r"wharfinger\.yaml:\d+:\d+ gards: .*did you mean guards", done.err)
    assert ingress.tip() == before


def test_a_missing_settings_file_is_usage(ingress: Ingress) -> None:
    ingress.commit({"wharfinger.yaml": None, "README": b"x"}, "Lose it")
    assert ingress.reconcile().code == 2


def test_removing_a_gateway_with_allocations_is_invalid(served: Ingress) -> None:
    gateway = {
        "name": "other",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": "20000-20099"},
    }
    tenants = [{"clusters": ["*"], "gateways": ["other"], "endpoints": ["10.0.0.0/8"]}]
    settings = served.settings(gateways=[gateway], tenants=tenants)
    tip = served.commit({"wharfinger.yaml": settings}, "Rename")
    assert served.reconcile().code == 2
    assert served.tip() == tip


@pytest.mark.parametrize(
    "content",
    [b"", b"---\n", b"apiVersion: v1\nkind: Ser", b"\xff\xfe", b"{", b"[]", b"a: 1\n"],
)
def test_a_file_that_cannot_be_believed_makes_the_cluster_unknown(
    served: Ingress, content: bytes
) -> None:
    before = served.tip()
    (served.clusters / "eu1" / "orders.yaml").write_bytes(content)
    done = served.reconcile()
    assert done.code == 3, done.out
    assert_plan(done)
    (row,) = done.rows("skip")
    assert (row["cluster"], row["name"]) == ("eu1", None)
    assert served.tip() == before


def test_a_missing_folder_is_unknown_and_others_go_on(served: Ingress) -> None:
    before = served.files()
    (served.clusters / "eu1").rename(served.root / "away")
    served.cluster("us1")
    served.expose("us1", "reports")
    done = served.reconcile()
    assert done.code == 3
    assert_plan(done)
    assert not done.rows("delete")
    assert set(before) <= set(served.files())
    assert "manifests/public/us1/shop/vs-reports.yaml" in served.files()


def test_a_missing_inventory_is_incomplete(served: Ingress) -> None:
    served.clusters.rename(served.root / "away")
    before = served.tip()
    done = served.reconcile()
    assert (done.code, served.tip()) == (3, before)
    assert_plan(done)


def test_a_missing_id_is_unknown(served: Ingress) -> None:
    (served.clusters / "eu1" / "kube-system.yaml").unlink()
    before = served.tip()
    assert (served.reconcile().code, served.tip()) == (3, before)


def test_a_file_that_is_gone_is_a_deletion_and_keeps_a_tombstone(
    served: Ingress,
) -> None:
    (served.clusters / "eu1" / "orders.yaml").unlink()
    done = served.reconcile()
    assert done.code == 0
    assert_plan(done)
    assert WISH not in served.files()
    assert port_file(served)["state"] == "released"


def test_a_returning_exposure_gets_its_port_back(served: Ingress) -> None:
    before = port_file(served)
    (served.clusters / "eu1" / "orders.yaml").unlink()
    served.reconcile()
    served.expose("eu1", "orders")
    assert served.reconcile().code == 0
    assert port_file(served) == before


@pytest.fixture
def withheld(ingress: Ingress) -> tuple[Ingress, Done]:
    for index in range(6):
        ingress.expose("eu1", f"app{index}")
    assert ingress.reconcile().code == 0
    for file in ingress.clusters.glob("eu1/app*.yaml"):
        file.unlink()
    return ingress, ingress.reconcile()


def test_many_deletions_are_withheld_together(withheld: tuple[Ingress, Done]) -> None:
    ingress, done = withheld
    assert done.code == 5
    assert_plan(done)
    assert len(done.rows("withhold")) == 6
    assert done.rows("delete") == []
    assert done.plan["commit"] is None
    assert "manifests/public/eu1/shop/vs-app0.yaml" in ingress.files()


def test_withheld_deletions_pass_with_their_digest_only(
    withheld: tuple[Ingress, Done],
) -> None:
    ingress, done = withheld
    digest = done.plan["withheld"]["digest"]
    assert ingress.reconcile("--accept-deletions", "0" * len(digest)).code == 5
    passed = ingress.reconcile(f"--accept-deletions={digest}")
    assert passed.code == 0
    assert len(passed.rows("delete")) == 6
    assert "manifests/public/eu1/shop/vs-app0.yaml" not in ingress.files()


def test_a_recreated_cluster_freezes_until_accepted(served: Ingress) -> None:
    served.cluster("eu1", uid="id-new")
    before = served.tip()
    done = served.reconcile()
    assert (done.code, served.tip()) == (5, before)
    assert_plan(done)
    port = port_file(served)["port"]
    accepted = served.run("accept-cluster", "eu1", "id-new")
    assert accepted.code == 0, accepted.err
    assert served.reconcile().code == 0
    body = port_file(served)
    assert body["port"] == port
    owner = body["owner"]
    assert isinstance(owner, dict)
    assert owner["clusterId"] == "id-new"
    assert served.reconcile().plan["commit"] is None


def test_a_hook_that_refuses_blocks_with_its_words(ingress: Ingress) -> None:
    hook = ingress.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'the harbour master says no' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = ingress.tip()
    secret = "hunter2-sesame"
    done = ingress.reconcile(WHARFINGER_GIT_TOKEN=secret)
    assert (done.code, ingress.tip()) == (5, before)
    assert_plan(done)
    assert done.plan["commit"] is None
    assert "the harbour master says no" in done.err
    assert secret not in done.err + done.out


def test_a_hook_that_allows_has_run(ingress: Ingress) -> None:
    hook = ingress.remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ncat >{ingress.root}/seen\n")
    hook.chmod(0o755)
    assert ingress.reconcile().code == 0
    assert ingress.tip() in (ingress.root / "seen").read_text()


def test_every_flag_has_a_twin_in_the_environment(ingress: Ingress) -> None:
    done = ingress.run("plan", WHARFINGER_OUTPUT="json", WHARFINGER_EXIT_CODE="1")
    assert done.code == 10
    assert_plan(done, committed=False)
    missing = ingress.run("plan", WHARFINGER_BRANCH="nowhere")
    assert missing.code == 2
    seen = ingress.run("plan", WHARFINGER_LAST_SEEN="1" * 40)
    assert seen.code == 5
    assert (
        ingress.run("plan", WHARFINGER_CLUSTER="none", WHARFINGER_EXIT_CODE="1").code
        == 0
    )


def test_options_follow_the_command_and_beat_the_environment(ingress: Ingress) -> None:
    args = ("--repo", str(ingress.remote), "--branch", "main", "--path", ".")
    done = ingress.run("plan", *args, "-o", "json", WHARFINGER_REPO="/nowhere")
    assert done.code == 0
    assert_plan(done, committed=False)


def test_a_pass_over_one_cluster_leaves_the_others(ingress: Ingress) -> None:
    ingress.cluster("us1")
    ingress.expose("us1", "reports")
    done = ingress.reconcile("--cluster", "us1")
    assert done.code == 0
    assert {row["cluster"] for row in done.plan["changes"]} == {"us1"}
    assert not ingress.files("manifests/public/eu1")
    assert ingress.reconcile("--cluster=eu1").code == 0
    assert ingress.reconcile().plan["commit"] is None


def test_rejections_are_rows_and_no_failure(served: Ingress) -> None:
    wish = {"wharfinger.dev/request-port": "99"}
    served.expose("eu1", "bad", annotations=wish)
    done = served.reconcile()
    assert done.code == 0
    assert_plan(done)
    (row,) = done.rows("reject")
    assert row["name"] == "bad"
    assert "99" in row["reason"]


def revert(ingress: Ingress) -> str:
    ingress.pull()
    ingress.git("revert", "--no-edit", "HEAD")
    ingress.git("push", "-q", "origin", "main")
    return ingress.tip()


def scale(ingress: Ingress) -> None:
    """A wish that the person will revert."""
    ingress.expose("eu1", "orders", annotations={"wharfinger.dev/failover": "any"})
    assert ingress.reconcile().plan["commit"] is not None


def test_git_revert_is_a_hold_until_released(served: Ingress) -> None:
    before = served.show(WISH)
    scale(served)
    wanted = served.show(WISH)
    assert wanted != before
    tip = revert(served)
    done = served.reconcile()
    assert (done.code, served.tip()) == (0, tip)
    assert_plan(done)
    (row,) = done.rows("hold")
    assert row["name"] == "orders"
    assert tip[:7] in row["reason"]
    assert "Ada Person" in row["reason"]
    assert served.reconcile("--fail-on-held").code == 5
    assert served.run("plan", "--fail-on-held").code == 5
    assert served.run("release", "eu1/shop/orders").code == 0
    assert served.show(WISH) == wanted
    assert served.reconcile().plan["changes"] == []


def test_a_reverted_addition_stays_away_and_keeps_its_port(served: Ingress) -> None:
    tip = revert(served)
    done = served.reconcile()
    assert done.code == 0
    assert len(done.rows("hold")) == 1, done.out
    assert WISH not in served.files()
    assert served.tip() == tip or WISH not in served.files()


def test_hold_and_release_are_commits_of_a_person(served: Ingress) -> None:
    before = served.show(WISH)
    held = served.run("hold", "eu1/shop/orders", "--reason", "freeze week")
    assert held.code == 0, held.err
    body = yamlio.load(served.show("holds/eu1/shop/orders.yaml").encode())
    assert isinstance(body, dict)
    assert body["reason"] == "freeze week"
    author = served.git("log", "-1", "--format=%an", "main", at=served.remote)
    assert author.strip() == "Ada Person"
    served.expose("eu1", "orders", annotations={"wharfinger.dev/failover": "any"})
    done = served.reconcile()
    assert (done.code, len(done.rows("hold"))) == (0, 1)
    assert served.show(WISH) == before
    assert served.run("release", "eu1/shop/orders").code == 0
    assert served.show(WISH) != before
    assert served.files("holds") == []


@pytest.mark.parametrize(
    "unit", ["../x", "eu1/shop", "a/b/c/d", "", "EU1", "all/x/../y"]
)
def test_names_that_are_no_units_are_usage(served: Ingress, unit: str) -> None:
    before = served.tip()
    done = served.run("hold", unit, "--reason", "x") if unit != "eu1/shop" else None
    if done is not None:
        assert done.code == 2
    assert served.tip() == before


def test_a_fault_never_shows_a_traceback_and_has_a_code(tmp_path: Path) -> None:
    ingress = Ingress(root=tmp_path)
    gone = ingress.run("plan", "--repo", str(tmp_path / "gone.git"))
    assert gone.code == 3
    assert ingress.run("plan", "--nonsense").code == 2
    assert ingress.run("nonsense").code == 2
    assert ingress.run("version").code == 0
    assert ingress.run("schema").code == 0


def test_credentials_in_a_url_are_never_shown(ingress: Ingress) -> None:
    url = "http://me:s3cr3t-w0rd@127.0.0.1:9/x.git"
    done = ingress.run("plan", "--repo", url)
    assert done.code == 3
    assert "s3cr3t-w0rd" not in done.err + done.out


COMMENTED = """\
# kept: the top
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  namespace: shop   # kept: beside
  name: orders
  annotations:
    # kept: inside
    wharfinger.dev/expose: "tcp"
spec:
  hosts: [orders]
  tcp:
    - route:
        - destination: {host: orders, port: {number: 5432}}
# kept: the end
"""


def test_write_back_keeps_comments_and_changes_no_plan(ingress: Ingress) -> None:
    file = ingress.clusters / "eu1" / "orders.yaml"
    file.write_text(COMMENTED)
    assert ingress.run("reconcile", "--write-back=on").code == 0
    text = file.read_text()
    assert [line for line in COMMENTED.splitlines() if line not in text] == []
    assert re.search(r"wharfinger\.dev/state: ['\"]?Allocated", text)
    again = ingress.run("reconcile", "--write-back=on", "-o", "json")
    assert again.plan["commit"] is None
    assert file.read_text() == text


def test_write_back_is_off_in_a_work_tree_under_ci_and_printed(
    ingress: Ingress,
) -> None:
    ingress.git("init", "-q", at=ingress.clusters)
    file = ingress.clusters / "eu1" / "orders.yaml"
    before = file.read_bytes()
    done = ingress.run("reconcile", CI="true")
    assert done.code == 0
    assert file.read_bytes() == before
    assert "eu1/shop/orders" in done.err
    assert "Allocated" in done.err
    assert ingress.run("reconcile").code == 0
    assert file.read_bytes() != before


def test_a_history_without_what_was_seen_freezes(served: Ingress) -> None:
    seen = served.tip()
    served.git("update-ref", "refs/heads/main", f"{seen}~1", at=served.remote)
    before = served.tip()
    done = served.reconcile(f"--last-seen={seen}")
    assert (done.code, served.tip()) == (5, before)
    assert_plan(done)

"""Changes that people and passes make every day: `check` has nothing to say about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import documents
from tests.changes import (
    ORDERS,
    REUSED,
    TOMBSTONE,
    Branch,
    asking,
    codes,
    copied,
    here,
    passed,
    port_of,
    settings,
    with_a_past,
)
from tests.ingress import Ingress

Story = Callable[[Ingress], None]
STORIES: dict[str, Story] = {}


def story(made: Story) -> Story:
    """Put a story into the table; it starts at `main` and ends there."""
    STORIES[made.__name__.replace("_", " ")] = made
    return made


def by_pass(ingress: Ingress) -> None:
    """One pass that has to commit."""
    before = ingress.tip()
    passed(ingress)
    assert ingress.tip() != before


def revert(ingress: Ingress, *commits: str) -> None:
    """What people do when something goes wrong."""
    ingress.pull()
    ingress.git("revert", "--no-edit", *commits)
    ingress.git("push", "-q", "origin", "HEAD:main")


@story
def a_new_exposure(ingress: Ingress) -> None:
    ingress.expose("eu1", "fresh")
    by_pass(ingress)


@story
def a_new_exposure_and_its_revert(ingress: Ingress) -> None:
    ingress.expose("eu1", "fresh")
    by_pass(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    revert(ingress, "HEAD")


@story
def a_revert_and_its_revert(ingress: Ingress) -> None:
    ingress.expose("eu1", "orders", destinations={"orders": 50, "billing": 50})
    by_pass(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    revert(ingress, "HEAD")
    revert(ingress, "HEAD")


@story
def the_revert_of_a_wish(ingress: Ingress) -> None:
    ingress.expose(
        "eu1",
        "orders",
        destinations={"orders": 50, "billing": 50},
        annotations=asking(20010),
    )
    by_pass(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    revert(ingress, "HEAD")


@story
def other_weights(ingress: Ingress) -> None:
    ingress.expose("eu1", "orders", destinations={"orders": 90, "billing": 10})
    by_pass(ingress)


@story
def new_addresses(ingress: Ingress) -> None:
    ingress.write("eu1/node2.yaml", documents.node("n2", "10.20.0.2"))
    by_pass(ingress)


@story
def a_hold_file(ingress: Ingress) -> None:
    hold = b"reason: measuring\nby: Ada\nuntil: 2999-12-24\naddresses: frozen\n"
    ingress.commit({"holds/eu1/shop/orders.yaml": hold}, "Hold orders")


@story
def an_accepted_id(ingress: Ingress) -> None:
    record = ingress.show("clusters/eu1.yaml") + "accept:\n  - id-new\n"
    ingress.commit({"clusters/eu1.yaml": record.encode()}, "Accept the new eu1")


@story
def a_cluster_that_succeeds_another(ingress: Ingress) -> None:
    an_accepted_id(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    ingress.write("eu1/kube-system.yaml", documents.namespace("id-new"))
    by_pass(ingress)


@story
def a_move_that_drains(ingress: Ingress) -> None:
    slow = ingress.settings(**settings(quarantine="24h", drain="1h"))
    ingress.commit({"wharfinger.yaml": slow}, "Drain slowly")
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    ingress.expose("eu1", "orders", annotations=asking(20030))
    by_pass(ingress)
    assert "(draining)" in ingress.show(ORDERS)


@story
def a_move_and_its_revert(ingress: Ingress) -> None:
    a_move_that_drains(ingress)
    revert(ingress, "HEAD")


@story
def a_move_that_is_over_and_taken_back_by_command(ingress: Ingress) -> None:
    ingress.expose("eu1", "orders", annotations=asking(20030))
    without = ingress.show("wharfinger.yaml").replace(
        "    ports:", "    proof: off\n    ports:"
    )
    ingress.commit({"wharfinger.yaml": without.encode()}, "Prove nothing")
    by_pass(ingress)
    by_pass(ingress)
    assert "state: released" in ingress.show("ports/public/20010.yaml")
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    done = here(ingress, "revert", "eu1/shop/orders", "--reason", "slow")
    assert done.code == 0, done.err
    assert "state: draining" in ingress.show("ports/public/20010.yaml")


@story
def a_release(ingress: Ingress) -> None:
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    by_pass(ingress)


@story
def the_revert_of_a_release(ingress: Ingress) -> None:
    a_release(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    revert(ingress, "HEAD")


@story
def an_owner_that_comes_back(ingress: Ingress) -> None:
    ingress.expose("eu1", "gone", annotations=asking(TOMBSTONE))
    by_pass(ingress)


@story
def another_owner_after_the_quarantine(ingress: Ingress) -> None:
    short = ingress.settings(**settings(quarantine="0s"))
    ingress.commit({"wharfinger.yaml": short}, "Let ports rest for no time")
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    ingress.expose("eu1", "heir", annotations=asking(TOMBSTONE))
    by_pass(ingress)
    assert port_of(ingress, "heir") == TOMBSTONE


@story
def a_transfer_that_a_person_orders(ingress: Ingress) -> None:
    path = f"ports/public/{REUSED}.yaml"
    text = ingress.show(path) + "next: eu1/shop/heir\n"
    ingress.commit({path: text.encode()}, "Hand the port over to heir")


@story
def a_transfer_that_a_pass_makes(ingress: Ingress) -> None:
    a_transfer_that_a_person_orders(ingress)
    ingress.git("branch", "-f", "base", "main", at=ingress.remote)
    ingress.expose("eu1", "heir")
    (ingress.clusters / "eu1" / "second.yaml").unlink()
    by_pass(ingress)
    assert port_of(ingress, "heir") == REUSED


@story
def other_settings(ingress: Ingress) -> None:
    changed = settings(quarantine="48h")
    tenants = [{"clusters": ["*"], "gateways": ["public"], "endpoints": []}]
    text = ingress.settings(**{**changed, "tenants": tenants})
    ingress.commit({"wharfinger.yaml": text}, "Change settings")


@story
def another_name_of_the_gateway(ingress: Ingress) -> None:
    text = ingress.show("wharfinger.yaml").replace(
        "domain: example.com", "domain: example.org"
    )
    ingress.commit({"wharfinger.yaml": text.encode()}, "Move to example.org")


@story
def documents_pipelines_and_links_that_are_none_of_ours(ingress: Ingress) -> None:
    files = {
        "README.md": b"# Ingress\n",
        ".github/workflows/check.yml": b"on: pull_request\n",
        ".gitattributes": b"manifests/** linguist-generated\n",
        "CODEOWNERS": b"* @platform\n",
    }
    ingress.commit(files, "Say how we work")
    ingress.pull()
    (ingress.work / "latest").symlink_to("README.md")
    ingress.commit({}, "Point at it")


@story
def a_note_beside_a_revert(ingress: Ingress) -> None:
    a_new_exposure_and_its_revert(ingress)
    ingress.commit({"docs/incident.md": b"# What happened\n"}, "Write it down")


@story
def a_second_cluster(ingress: Ingress) -> None:
    ingress.cluster("eu2")
    ingress.expose("eu2", "orders")
    by_pass(ingress)


@story
def an_sni_host_more(ingress: Ingress) -> None:
    made = documents.virtual_service(
        "shop", annotations={"wharfinger.dev/expose": "tls"}
    )
    route = [{"destination": {"host": "web", "port": {"number": 5432}}}]
    host = "shop.apps.example.com"
    tls = [{"match": [{"port": 443, "sniHosts": [host]}], "route": route}]
    ingress.write("eu1/shop.yaml", {**made, "spec": {"hosts": [host], "tls": tls}})
    by_pass(ingress)


@story
def all_policies_at_once(ingress: Ingress) -> None:
    values = {
        "failover": "any",
        "allow-cidrs": "10.0.0.0/8,2001:db8::/32",
        "proxy-protocol": "v2",
        "idle-timeout": "10m",
        "max-connections": "100",
    }
    policy = {f"wharfinger.dev/{key}": value for key, value in values.items()}
    ingress.expose("eu1", "strict", annotations=policy)
    by_pass(ingress)


@story
def a_squash_of_ours(ingress: Ingress) -> None:
    ingress.pull()
    base = ingress.tip()
    ingress.expose("eu1", "fresh")
    by_pass(ingress)
    ingress.expose("eu1", "orders", destinations={"orders": 90, "billing": 10})
    by_pass(ingress)
    made = ingress.tip()
    ingress.git("update-ref", "refs/heads/main", base, at=ingress.remote)
    ingress.git("update-ref", "refs/heads/made", made, at=ingress.remote)
    ingress.pull()
    ingress.git("fetch", "-q", "origin", "made")
    ingress.git("merge", "-q", "--squash", "FETCH_HEAD")
    ingress.git("commit", "-q", "-m", "Expose fresh (#7)")
    ingress.git("push", "-q", "origin", "HEAD:main")


@story
def a_gateways_own_file(ingress: Ingress) -> None:
    path = "manifests/public/gateway.yaml"
    text = ingress.show(path) + (
        "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\n"
        "metadata:\n  name: proxies\n  namespace: ingress\n"
    )
    ingress.commit({path: text.encode()}, "Keep a proxy up")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Ingress:
    made = with_a_past(Path(tmp_path_factory.mktemp("past")))
    made.git("branch", "-f", "base", "main", at=made.remote)
    return made


def test_there_are_enough_of_them() -> None:
    assert len(STORIES) >= 10


@pytest.mark.parametrize("name", STORIES)
def test_a_benign_change_is_not_found_fault_with(
    past: Ingress, tmp_path: Path, name: str
) -> None:
    ingress = copied(past, tmp_path / "copy")
    STORIES[name](ingress)
    done = here(ingress, "check", "--base", "base", "-o", "json")
    assert (done.code, codes(done)) == (0, set()), done.out + done.err


def test_a_branch_is_not_blamed_for_what_was_merged_meanwhile(
    past: Ingress, tmp_path: Path
) -> None:
    ingress = copied(past, tmp_path / "copy")
    branch = Branch(ingress, name="notes").start()
    branch.write("NOTES.md", "x\n")
    branch.commit()
    ingress.git("checkout", "-q", "main")
    ingress.commit({".gitlab-ci.yml": b"x: {script: [x]}\n"}, "Run CI")
    ingress.expose("eu1", "fresh")
    passed(ingress)
    assert codes(branch.check()) == set()
    branch.git("checkout", "-q", "notes")
    branch.git("fetch", "-q", "origin")
    branch.git("merge", "-q", "--no-edit", "origin/main")
    branch.commit()
    assert codes(branch.check()) == set()

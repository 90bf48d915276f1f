"""Ports that change hands, vanish or come back too late."""

from __future__ import annotations

from reconciler.codes import Code
from tests.changes import ORDERS, ORDERS_AT, REUSED, TOMBSTONE, Branch
from tests.malice.table import (
    CLUSTER,
    GONE,
    LEDGER,
    change,
    serve,
    take,
)


@change(Code.OWNER_CHANGED)
def the_ledger_names_another_owner(branch: Branch) -> None:
    branch.edit(LEDGER, "name: orders", "name: mine")


@change(Code.OWNER_CHANGED)
def ledger_and_manifests_move_to_another_unit_together(branch: Branch) -> None:
    branch.edit(LEDGER, "name: orders", "name: mine")
    serve(branch, 20010)
    branch.remove(ORDERS, ORDERS_AT)


@change(Code.OWNER_CHANGED)
def a_transfer_is_ordered_and_made_in_one_change(branch: Branch) -> None:
    branch.edit(LEDGER, "name: orders", "name: mine")
    branch.write(LEDGER, branch.read(LEDGER) + "next: eu1/shop/mine\n")
    serve(branch, 20010)
    branch.remove(ORDERS, ORDERS_AT)


@change(Code.OWNER_CHANGED)
def two_commits_of_one_change_hide_a_theft_behind_an_order(branch: Branch) -> None:
    branch.write(LEDGER, branch.read(LEDGER) + "next: eu1/shop/mine\n")
    branch.commit("Order")
    branch.edit(LEDGER, "name: orders", "name: mine")


@change(Code.OWNER_CHANGED)
def a_removed_unit_leaves_its_port_to_another(branch: Branch) -> None:
    branch.remove(ORDERS, ORDERS_AT)
    branch.edit(LEDGER, "name: orders", "name: mine")
    branch.edit(LEDGER, "state: active", "state: released")


@change(Code.OWNER_TWICE)
def an_owner_takes_a_second_port(branch: Branch) -> None:
    text = branch.read(LEDGER).replace("20010", "20012")
    branch.write("ports/public/20012.yaml", text)


@change(Code.OWNER_UNKNOWN)
def the_ledger_names_another_cluster_id(branch: Branch) -> None:
    branch.edit(LEDGER, "clusterId: id-eu1", "clusterId: id-evil")


@change(Code.OWNER_UNKNOWN)
def a_clusters_record_is_removed_under_its_units(branch: Branch) -> None:
    branch.remove(CLUSTER)


@change(Code.LIVE_TAKEN_AWAY)
def a_live_ledger_file_is_deleted(branch: Branch) -> None:
    branch.remove(LEDGER)


@change(Code.LIVE_TAKEN_AWAY)
def a_live_ledger_file_is_renamed(branch: Branch) -> None:
    branch.write("ports/public/020010.yaml", branch.read(LEDGER))
    branch.remove(LEDGER)


@change(Code.LIVE_TAKEN_AWAY)
def a_served_port_is_released_by_hand(branch: Branch) -> None:
    branch.edit(LEDGER, "state: active", "state: released")


@change(Code.LIVE_TAKEN_AWAY)
def a_port_is_released_by_hand_with_its_unit(branch: Branch) -> None:
    branch.remove(ORDERS, ORDERS_AT)
    branch.edit(LEDGER, "state: active", "state: released")


@change(Code.LIVE_TAKEN_AWAY)
def a_live_port_is_reserved_by_hand(branch: Branch) -> None:
    branch.edit(LEDGER, "state: active", "state: reserved")


@change(Code.LIVE_TAKEN_AWAY)
def a_live_host_is_taken_away(branch: Branch) -> None:
    branch.remove("hosts/public/web.apps.example.com.yaml")


@change(Code.REUSED_SINCE)
def a_release_is_reverted_after_the_port_was_reused(branch: Branch) -> None:
    release = branch.git("log", "--format=%H", "--grep=first", "-1", "released").strip()
    branch.ingress.git(
        "checkout", "-q", f"{release}~", "--", f"ports/public/{REUSED}.yaml"
    )
    for path in ("vs-first.yaml", "vs-first.endpoints.yaml"):
        branch.git(
            "checkout", "-q", f"{release}~", "--", f"manifests/public/eu1/shop/{path}"
        )


@change(Code.TOMBSTONE_CHANGED)
def a_tombstone_is_deleted(branch: Branch) -> None:
    branch.remove(GONE)


@change(Code.TOMBSTONE_CHANGED)
def a_tombstone_names_another_former_owner(branch: Branch) -> None:
    branch.edit(GONE, "name: gone", "name: mine")


@change(Code.QUARANTINED)
def a_resting_port_is_given_away(branch: Branch) -> None:
    take(branch, TOMBSTONE)
    serve(branch, TOMBSTONE)


@change(Code.QUARANTINED)
def a_change_shortens_the_quarantine_for_itself(branch: Branch) -> None:
    branch.edit("wharfinger.yaml", 'quarantine: "24h"', 'quarantine: "0s"')
    take(branch, TOMBSTONE)
    serve(branch, TOMBSTONE)


@change(Code.LEDGER_MALFORMED)
def a_state_that_there_is_not(branch: Branch) -> None:
    branch.edit(LEDGER, "state: active", "state: eternal")


@change(Code.LEDGER_MALFORMED)
def a_key_that_there_is_not(branch: Branch) -> None:
    branch.write(LEDGER, branch.read(LEDGER) + "approved: true\n")


@change(Code.LEDGER_MALFORMED)
def a_port_in_a_file_of_another(branch: Branch) -> None:
    branch.edit(LEDGER, "port: 20010", "port: 20019")


@change(Code.LEDGER_MALFORMED)
def a_next_that_is_no_unit(branch: Branch) -> None:
    branch.write(LEDGER, branch.read(LEDGER) + 'next: "../../x"\n')


@change(Code.LEDGER_MALFORMED)
def a_note_among_the_ports(branch: Branch) -> None:
    branch.write("ports/public/README.md", "mine\n")


@change(Code.LEDGER_NOT_CANONICAL)
def a_comment_in_the_ledger(branch: Branch) -> None:
    branch.write(LEDGER, "# checked\n" + branch.read(LEDGER))


@change(Code.LEDGER_NOT_CANONICAL)
def a_ledger_file_with_other_line_ends(branch: Branch) -> None:
    branch.git("config", "core.autocrlf", "false")
    branch.write(LEDGER, branch.read(LEDGER).replace("\n", "\r\n"))


@change(Code.UNKNOWN_GATEWAY)
def a_port_of_a_gateway_that_there_is_not(branch: Branch) -> None:
    text = branch.read(LEDGER).replace("gateway: public", "gateway: other")
    branch.write("ports/other/20010.yaml", text)


@change(Code.PORT_NOT_ALLOCATABLE)
def a_unit_on_a_port_outside_of_the_range(branch: Branch) -> None:
    take(branch, 22)
    serve(branch, 22)


@change(Code.PORT_NOT_ALLOCATABLE)
def a_unit_on_an_excluded_port(branch: Branch) -> None:
    take(branch, 20050)
    serve(branch, 20050)


@change(Code.PORT_NOT_ALLOCATABLE)
def a_unit_on_a_port_of_the_proxies_with_a_wider_range(branch: Branch) -> None:
    branch.edit("wharfinger.yaml", "20000-20099", "15000-20099")
    take(branch, 15090)
    serve(branch, 15090)

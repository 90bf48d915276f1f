"""Files, names and companions that have no place in a change, and what people write."""

from __future__ import annotations

from reconciler.codes import Code
from tests.changes import ORDERS, Branch
from tests.malice.table import (
    CLUSTER,
    LEDGER,
    ROLE,
    change,
    touch_ours,
)


@change(Code.FOREIGN_FILE)
def another_manifest_beside_the_gateway(branch: Branch) -> None:
    branch.write("manifests/public/extra.yaml", ROLE)


@change(Code.FOREIGN_FILE)
def a_kustomization_that_patches_all(branch: Branch) -> None:
    branch.write("manifests/public/eu1/kustomization.yaml", "patches: []\n")


@change(Code.NO_REGULAR_FILE)
def a_ledger_file_is_a_link(branch: Branch) -> None:
    branch.link(LEDGER, "20011.yaml")


@change(Code.NO_REGULAR_FILE)
def a_link_out_of_the_repository(branch: Branch) -> None:
    branch.link("manifests/public/eu1/shop/vs-x.yaml", "/etc/passwd")


@change(Code.NO_REGULAR_FILE)
def a_submodule_below_manifests(branch: Branch) -> None:
    branch.submodule("manifests/public/eu2")


@change(Code.NO_REGULAR_FILE)
def a_manifest_that_can_be_run(branch: Branch) -> None:
    branch.run_by(ORDERS)


@change(Code.NO_REGULAR_FILE)
def a_link_elsewhere_together_with_ours(branch: Branch) -> None:
    touch_ours(branch)
    branch.link("docs/all", "..")


@change(Code.NO_REGULAR_FILE)
def a_program_together_with_ours(branch: Branch) -> None:
    touch_ours(branch)
    branch.write("tools/build", "#!/bin/sh\n")
    branch.run_by("tools/build")


@change(Code.UNSAFE_NAME)
def a_name_with_a_line_break(branch: Branch) -> None:
    branch.write("manifests/public/eu1/shop/vs-a\n::error::b.yaml", "x: 1\n")


@change(Code.UNSAFE_NAME)
def a_folder_that_looks_like_ours(branch: Branch) -> None:
    branch.write("Manifests/public/eu1/api.yaml", ROLE)


@change(Code.NO_REGULAR_FILE)
def a_link_where_a_folder_of_ours_would_be(branch: Branch) -> None:
    branch.link("holds", "/etc")


@change(Code.NO_REGULAR_FILE)
def all_manifests_become_a_submodule(branch: Branch) -> None:
    branch.git("rm", "-q", "-r", "manifests")
    branch.submodule("manifests")


@change(Code.UNSAFE_NAME)
def settings_in_another_spelling(branch: Branch) -> None:
    branch.write("Wharfinger.YAML", branch.read("wharfinger.yaml"))


@change(Code.UNSAFE_NAME)
def a_name_that_reads_backwards(branch: Branch) -> None:
    branch.write("notes/\u202etxt.exe", "x\n")


@change(Code.NAMES_COLLIDE)
def two_names_that_differ_in_case(branch: Branch) -> None:
    branch.write("holds/eu1.yaml", "reason: x\nby: Ada\n")
    branch.write("holds/EU1.yaml", "reason: x\nby: Ada\n")


@change(Code.FILE_TOO_LARGE)
def a_huge_file(branch: Branch) -> None:
    branch.write("holds/eu1.yaml", "#" * (1 << 20) + "\nreason: x\nby: Ada\n")


@change(Code.PIPELINE_CHANGED)
def a_workflow_together_with_ours(branch: Branch) -> None:
    touch_ours(branch)
    branch.write(".github/workflows/check.yml", "on: push\n")


@change(Code.PIPELINE_CHANGED)
def a_pipeline_in_another_spelling(branch: Branch) -> None:
    touch_ours(branch)
    branch.write(".GITLAB-CI.yml", "x: {script: [env]}\n")


@change(Code.PIPELINE_CHANGED)
def a_workflow_in_a_commit_of_its_own_but_not_a_change_of_its_own(
    branch: Branch,
) -> None:
    branch.write(".forgejo/workflows/x.yaml", "on: push\n")
    branch.commit("Speed CI up")
    touch_ours(branch)


@change(Code.REVIEW_CHANGED)
def attributes_that_hide_the_ledger(branch: Branch) -> None:
    touch_ours(branch)
    branch.write(".gitattributes", "ports/** -diff linguist-generated\n")


@change(Code.REVIEW_CHANGED)
def other_owners_of_code(branch: Branch) -> None:
    touch_ours(branch)
    branch.write("docs/CODEOWNERS", "* @mine\n")


@change(Code.REVIEW_CHANGED)
def a_list_of_submodules_together_with_ours(branch: Branch) -> None:
    touch_ours(branch)
    branch.write(".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = ../x\n')


@change(Code.RECORD_CHANGED)
def a_cluster_gets_another_id(branch: Branch) -> None:
    branch.edit(CLUSTER, "id: id-eu1", "id: id-evil")


@change(Code.RECORD_CHANGED)
def an_id_is_accepted_and_used_in_one_change(branch: Branch) -> None:
    text = branch.read(CLUSTER).replace("id: id-eu1", "id: id-evil")
    branch.write(CLUSTER, text + "accept:\n  - id-evil\n")


@change(Code.RECORD_CHANGED)
def a_clusters_api_is_said_to_be_elsewhere(branch: Branch) -> None:
    branch.edit(CLUSTER, "host: eu1.k8s.example.com", "host: evil.example.net")


@change(Code.RECORD_INVALID)
def a_record_of_another_cluster(branch: Branch) -> None:
    branch.write("clusters/eu2.yaml", branch.read(CLUSTER))


@change(Code.HOLD_INVALID)
def a_hold_that_holds_nothing(branch: Branch) -> None:
    branch.write("holds/eu1/shop/orders/x.yaml", "reason: x\nby: Ada\n")


@change(Code.SETTINGS_INVALID)
def settings_with_a_key_twice(branch: Branch) -> None:
    branch.write("wharfinger.yaml", branch.read("wharfinger.yaml") + "domain: a.b\n")


@change(Code.UNKNOWN_GATEWAY)
def a_gateway_is_renamed_under_its_units(branch: Branch) -> None:
    text = branch.read("wharfinger.yaml").replace("name: public", "name: shared")
    branch.write("wharfinger.yaml", text.replace("- public", "- shared"))

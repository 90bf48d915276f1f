"""What Argo CD and Flux report as applied."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.prove.engines import (
    Applied,
    argo_applied,
    find_applications,
    find_kustomizations,
    flux_applied,
)
from tests.proving import HEAD, OLDER, Json

FOLDER = "manifests/public/eu1"
SOURCE = {"repoURL": "https://git.example.com/i.git", "path": FOLDER}
EARLY, LATE = "2026-01-01T12:00:00Z", "2026-01-01T12:00:05Z"
ROUTE = {
    "group": "gateway.networking.k8s.io",
    "kind": "TCPRoute",
    "namespace": "ingress",
    "name": "route",
    "status": "Synced",
}


def operation(phase: str = "Succeeded", at: str = HEAD, finished: str = EARLY) -> Json:
    """An operation's state; a running one has no end."""
    state: Json = {"phase": phase, "syncResult": {"revision": at}}
    return {**state, "finishedAt": finished} if phase != "Running" else state


def application(spec: Json | None = None, **status: Any) -> Json:
    """`argocd/ingress-public-eu1`, synced to HEAD and at rest."""
    base = {
        "sync": {
            "status": "Synced",
            "revision": HEAD,
            "comparedTo": {"source": dict(SOURCE)},
        },
        "operationState": operation(),
        "reconciledAt": LATE,
        "resources": [ROUTE],
    }
    return {
        "metadata": {"namespace": "argocd", "name": "ingress-public-eu1"},
        "spec": spec or {"source": dict(SOURCE)},
        "status": {**base, **status},
    }


def test_an_application_at_rest_reports_its_revision_and_objects() -> None:
    assert argo_applied(application(), 0) == Applied(
        revision=HEAD,
        objects=frozenset(
            {("gateway.networking.k8s.io", "TCPRoute", "ingress", "route")}
        ),
    )


def test_objects_that_are_out_of_sync_are_not_applied() -> None:
    out = {**ROUTE, "status": "OutOfSync"}
    assert argo_applied(application(resources=[out]), 0).objects == frozenset()


def test_what_is_still_to_be_pruned_is_told() -> None:
    extra = {**ROUTE, "status": "OutOfSync", "requiresPruning": True}
    assert argo_applied(application(resources=[extra]), 0).pruning


@pytest.mark.parametrize(
    "name",
    ["ComparisonError", "InvalidSpecError", "UnknownError", "SharedResourceWarning"],
)
def test_conditions_that_spoil_the_comparison_are_problems(name: str) -> None:
    assert name in argo_applied(application(conditions=[{"type": name}]), 0).problem


def test_a_comparison_with_another_source_is_stale() -> None:
    for key, value in (("path", "x"), ("targetRevision", "v1"), ("repoURL", "y")):
        moved = application({"source": {**SOURCE, key: value}})
        assert "not compared the present source" in argo_applied(moved, 0).problem
    never = application(sync={})
    assert "not compared the present source" in argo_applied(never, 0).problem


@pytest.mark.parametrize(
    ("state", "reconciled", "moving"),
    [
        (operation("Running", OLDER), LATE, (OLDER,)),
        (operation("Running", HEAD), LATE, ()),
        (operation("Succeeded", OLDER, LATE), EARLY, (OLDER,)),
        (operation("Failed", OLDER, LATE), EARLY, (OLDER,)),
        (operation("Succeeded", OLDER, EARLY), LATE, ()),
        # One object of the Application fails: what is synced is synced all the same.
        (operation("Failed", HEAD, EARLY), LATE, ()),
        (operation("Error", OLDER, EARLY), LATE, ()),
        (operation("Succeeded", OLDER, "garbage"), LATE, (OLDER,)),
        (operation("Succeeded", OLDER, "2026-01-01T12:00:00"), LATE, (OLDER,)),
        (operation("Succeeded", OLDER), None, (OLDER,)),
        ({}, None, ()),
    ],
)
def test_revisions_that_are_applied_since_the_comparison_count_too(
    state: Json, reconciled: str | None, moving: tuple[str, ...]
) -> None:
    told = application(operationState=state, reconciledAt=reconciled)
    found = argo_applied(told, 0)
    assert (found.problem, found.revision, found.moving) == ("", HEAD, moving)


def test_an_operation_whose_revision_is_not_told_is_a_problem() -> None:
    unsaid: tuple[Json, ...] = ({"sync": {}}, {"initiatedBy": {}})
    for pending in unsaid:
        told = {**application(), "operation": pending}
        assert argo_applied(told, 0).problem == "Argo CD is syncing"
    told = application(operationState={"phase": "Running"})
    assert argo_applied(told, 0).problem == "Argo CD is syncing"


def test_a_pending_operation_moves_to_its_revision() -> None:
    told = {**application(), "operation": {"sync": {"revision": OLDER}}}
    assert argo_applied(told, 0).moving == (OLDER,)


def test_of_several_sources_ours_has_its_own_revision() -> None:
    other = {"repoURL": "https://charts.example.com", "chart": "x"}
    sync = {
        "revisions": ["1.2.3", HEAD],
        "comparedTo": {"sources": [other, dict(SOURCE)]},
    }
    told = application(
        {"sources": [other, dict(SOURCE)]},
        sync=sync,
        operationState={"phase": "Running", "syncResult": {"revisions": ["1", OLDER]}},
    )
    assert find_applications([told], ["argocd/ingress-*"], FOLDER) == ((told, 1),)
    found = argo_applied(told, 1)
    assert (found.revision, found.moving) == (HEAD, (OLDER,))
    assert argo_applied(application({"sources": [dict(SOURCE)]}), 0).problem


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (FOLDER, True),
        (f"./{FOLDER}", True),
        (f"/{FOLDER}/", True),
        (f"prod/{FOLDER}", True),
        ("manifests/public/eu10", False),
        ("manifests/public", False),
        (f"{FOLDER}/shop", False),
        (f"x{FOLDER}", False),
        (None, False),
    ],
)
def test_engines_are_found_by_the_folder_that_they_apply(
    path: str | None, found: bool
) -> None:
    source = {**SOURCE, "path": path}
    applications = find_applications(
        [application({"source": source})], ["argocd/ingress-*"], FOLDER
    )
    assert bool(applications) is found
    one = kustomization(spec={"path": path})
    assert bool(find_kustomizations([one], ["flux-system/*"], FOLDER)) is found


def test_engines_outside_of_the_globs_are_not_asked() -> None:
    for globs in (["argocd/other-*"], ["other/ingress-*"], []):
        assert not find_applications([application()], globs, FOLDER)
        assert not find_kustomizations([kustomization()], globs, FOLDER)


def test_empty_objects_are_no_crash() -> None:
    assert argo_applied({}, 0).problem
    assert flux_applied({}).problem
    assert not find_applications([{}], ["*"], FOLDER)
    assert not find_kustomizations([{"spec": None}], ["*"], FOLDER)


def kustomization(spec: Json | None = None, **status: Any) -> Json:
    """`flux-system/ingress-eu1`, applied at HEAD."""
    base = {
        "observedGeneration": 3,
        "lastAppliedRevision": f"main@sha1:{HEAD}",
        "lastAttemptedRevision": f"main@sha1:{HEAD}",
        "conditions": [{"type": "Ready", "status": "True"}],
        "inventory": {
            "entries": [
                {"id": "ingress_route_gateway.networking.k8s.io_TCPRoute", "v": "v1"},
                {"id": "_ingress__Namespace", "v": "v1"},
                {"id": "broken", "v": "v1"},
            ]
        },
    }
    return {
        "metadata": {
            "namespace": "flux-system",
            "name": "ingress-eu1",
            "generation": 3,
        },
        "spec": {"path": f"./{FOLDER}"} if spec is None else spec,
        "status": {**base, **status},
    }


def test_a_kustomization_reports_its_commit_and_inventory() -> None:
    assert flux_applied(kustomization()) == Applied(
        revision=HEAD,
        objects=frozenset(
            {
                ("gateway.networking.k8s.io", "TCPRoute", "ingress", "route"),
                ("", "Namespace", "", "ingress"),
            }
        ),
    )


@pytest.mark.parametrize(
    "revision",
    [
        f"main@sha1:{HEAD}",
        f"sha1:{HEAD}",
        f"refs/heads/a@b@sha1:{HEAD}",
        f"main/{HEAD}",
        HEAD,
    ],
)
def test_every_spelling_of_a_revision_is_read(revision: str) -> None:
    told = kustomization(lastAppliedRevision=revision, lastAttemptedRevision=revision)
    assert flux_applied(told).revision == HEAD


def test_a_packaged_revision_counts_by_its_origin() -> None:
    packaged = "latest@sha256:" + "c" * 64
    told = kustomization(
        lastAppliedRevision=packaged,
        lastAttemptedRevision=packaged,
        lastAppliedOriginRevision=f"main@sha1:{HEAD}",
    )
    assert flux_applied(told) == flux_applied(kustomization())


def test_a_failed_attempt_leaves_what_was_applied() -> None:
    failed = [{"type": "Ready", "status": "False", "reason": "ReconciliationFailed"}]
    told = kustomization(
        conditions=failed,
        lastAppliedRevision=f"main@sha1:{OLDER}",
    )
    found = flux_applied(told)
    assert (found.revision, found.moving, found.problem) == (OLDER, (HEAD,), "")


def test_a_kustomization_that_applied_nothing_says_why() -> None:
    failed = [{"type": "Ready", "status": "False", "reason": "BuildFailed"}]
    told = kustomization(conditions=failed, lastAppliedRevision=None)
    assert flux_applied(told).problem == "Flux has applied nothing yet (BuildFailed)"


def test_a_kustomization_of_an_older_generation_says_nothing() -> None:
    assert (
        "not seen the present"
        in flux_applied(kustomization(observedGeneration=2)).problem
    )

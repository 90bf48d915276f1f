"""Who is asked after a push: whoever applies what it touched, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.prove.touched import (
    Touched,
    application_sets,
    applications,
    git_repositories,
    without_application,
)

ORDERS = "manifests/public/eu1/shop/vs-orders.yaml"
GATEWAY = "manifests/public/gateway.yaml"
LEDGER = "ports/public/20017.yaml"
GLOBS = ("argocd/ingress-*",)


def application(
    name: str, *paths: str, recurse: bool = True, kind: str = "Directory"
) -> dict[str, Any]:
    made = [{"path": path, "directory": {"recurse": recurse}} for path in paths]
    spec = {"source": made[0]} if len(made) == 1 else {"sources": made}
    return {
        "metadata": {"namespace": "argocd", "name": name},
        "spec": spec,
        "status": {"sourceType": kind},
    }


def kustomization(name: str, path: str, source: str, **spec: object) -> dict[str, Any]:
    reference = {"kind": "GitRepository", "name": source}
    return {
        "metadata": {"namespace": "flux-system", "name": name},
        "spec": {"path": path, "sourceRef": reference, **spec},
    }


def asked(*objects: dict[str, Any], paths: tuple[str, ...] = (ORDERS,)) -> list[str]:
    touched = Touched.of(paths, "public")
    return [each.name for each in applications(objects, GLOBS, touched)]


def test_the_application_of_a_touched_folder_is_asked_and_its_neighbours_are_not() -> (
    None
):
    found = asked(
        application("ingress-eu1", "manifests/public/eu1"),
        application("ingress-us1", "manifests/public/us1"),
        application("ingress-eu10", "manifests/public/eu10"),
        application("ingress-other", "manifests/other/eu1"),
        application("somebody", "manifests/public/eu1"),
        application("ingress-alone", "manifests/public", recurse=False),
    )
    assert found == ["ingress-eu1"]


def test_the_gateways_own_file_concerns_its_application_alone() -> None:
    found = asked(
        application("ingress-eu1", "manifests/public/eu1"),
        application("ingress-alone", "./manifests/public/", recurse=False),
        paths=(GATEWAY, LEDGER),
    )
    assert found == ["ingress-alone"]


@pytest.mark.parametrize(
    "path", ["manifests/public", "manifests", ".", "", "ingress/manifests/public/eu1"]
)
def test_an_application_of_a_folder_above_is_asked(path: str) -> None:
    assert asked(application("ingress-all", path)) == ["ingress-all"]


def test_one_of_several_sources_is_enough() -> None:
    found = application("ingress-two", "charts/x", "manifests/public/eu1")
    assert asked(found) == ["ingress-two"]


def test_a_source_that_is_no_plain_directory_may_read_below_its_folder() -> None:
    found = application(
        "ingress-all", "manifests/public", recurse=False, kind="Kustomize"
    )
    assert asked(found) == ["ingress-all"]


def test_ledger_and_settings_concern_no_engine() -> None:
    assert not Touched.of([LEDGER, "wharfinger.yaml"], "public").folders


def application_set(*patterns: str, **more: object) -> dict[str, Any]:
    folders = [{"path": pattern, **more} for pattern in patterns]
    return {
        "metadata": {"namespace": "argocd", "name": "ingress-public"},
        "spec": {"generators": [{"git": {"directories": folders}}]},
    }


def test_a_folder_without_application_is_told_to_the_set_that_would_make_one() -> None:
    touched = Touched.of([ORDERS, "manifests/public/ap1/shop/vs-a.yaml"], "public")
    known = [application("ingress-eu1", "manifests/public/eu1")]
    new = without_application(known, GLOBS, touched)
    assert new == {"manifests/public/ap1"}

    def names(*sets: dict[str, Any]) -> list[str]:
        return [each.name for each in application_sets(sets, new)]

    assert names(application_set("manifests/public/*")) == ["ingress-public"]
    assert names(application_set("ingress/manifests/public/*")) == ["ingress-public"]
    assert not names(application_set("manifests/other/*"))
    assert not names(application_set("manifests/*"))
    assert not names(application_set("manifests/public/*", exclude=True))
    assert not names({"metadata": {}, "spec": {"generators": [{"list": {}}]}})


def test_an_application_of_all_clusters_leaves_no_folder_without() -> None:
    touched = Touched.of([ORDERS], "public")
    above = application("ingress-all", "manifests/public")
    alone = application("ingress-alone", "manifests/public", recurse=False)
    assert not without_application([above], GLOBS, touched)
    assert without_application([alone], GLOBS, touched)


def test_flux_is_asked_at_the_sources_of_touched_folders_each_once() -> None:
    touched = Touched.of([ORDERS, GATEWAY], "public")
    objects = [
        kustomization("ingress-eu1", "./manifests/public/eu1", "ingress"),
        kustomization("ingress-eu1-too", "./manifests/public/eu1", "ingress"),
        kustomization("ingress-us1", "./manifests/public/us1", "of-us1"),
        kustomization("ingress-public", "./manifests/public", "alone"),
        kustomization("ingress-off", "./manifests/public/eu1", "off", suspend=True),
        kustomization("somebody", "./manifests/public/eu1", "others"),
        kustomization(
            "ingress-oci", "./", "x", sourceRef={"kind": "OCIRepository", "name": "x"}
        ),
        kustomization(
            "ingress-far",
            "./",
            "",
            sourceRef={"kind": "GitRepository", "name": "far", "namespace": "shared"},
        ),
    ]
    found = list(git_repositories(objects, ("flux-system/ingress-*",), touched, "now"))
    assert [f"{each.namespace}/{each.name}" for each in found] == [
        "flux-system/ingress",
        "flux-system/alone",
        "shared/far",
    ]
    assert {each.value for each in found} == {"now"}

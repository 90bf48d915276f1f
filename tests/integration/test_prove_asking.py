"""Asking engines to sync over HTTP: only what was touched, seldom, and a refusal told once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from reconciler.kube import KubeApi
from reconciler.prove.asking import Asked, Asks, ask_to_sync
from reconciler.prove.views import Listing, View
from reconciler.settings import Platform, Settings
from tests.kubeserver import (
    Answer,
    Handler,
    Request,
    Server,
    ok,
    page,
    running,
    serving,
    status,
)
from tests.rendering import settings
from tests.stack.certificates import Authority, Issued

Made = tuple[Authority, Issued]
PATHS = ("manifests/public/eu1/shop/vs-orders.yaml",)
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SETS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return serving(tmp_path_factory.mktemp("tls"))


def told(quiet: float = 0, proof: object = None) -> Settings:
    made = settings(proof=proof or {"argocd": ["argocd/ingress-*"]})
    watch = made.watch.model_copy(update={"quiet": timedelta(seconds=quiet)})
    platform = Platform(context="hub")
    return made.model_copy(update={"platform": platform, "watch": watch})


def answering(*clusters: str, patch: Answer | None = None) -> Handler:
    """A server with an Application for each cluster."""
    items = [
        {
            "metadata": {"namespace": "argocd", "name": f"ingress-{cluster}"},
            "spec": {
                "source": {
                    "path": f"manifests/public/{cluster}",
                    "directory": {"recurse": True},
                }
            },
        }
        for cluster in clusters
    ]

    def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return patch or ok({"kind": "Application", "metadata": {}})
        return page(items if request.path == APPLICATIONS else [])

    return answer


def ask(
    made: Made, handler: Handler, about: Settings, times: int = 1
) -> tuple[list[tuple[Asked, ...]], Server]:
    """The outcomes of asking again and again about one push."""

    async def run() -> tuple[list[tuple[Asked, ...]], Server]:
        async with running(made, handler) as server:

            @asynccontextmanager
            async def look(platform: Platform) -> AsyncIterator[View]:
                async with KubeApi(server.credentials(), name="platform") as api:
                    yield Listing(api)

            asks = Asks()
            found = [await ask_to_sync(about, PATHS, asks, look) for _ in range(times)]
            return found, server

    return asyncio.run(run())


def patches(server: Server) -> list[Request]:
    return [each for each in server.requests if each.method == "PATCH"]


def test_the_touched_application_alone_is_annotated(made: Made) -> None:
    (found,), server = ask(made, answering("eu1", "us1", "ap1"), told())
    assert found == (Asked(what="applications argocd/ingress-eu1"),)
    (patch,) = patches(server)
    assert patch.path == f"{APPLICATIONS}/ingress-eu1"
    assert patch.headers["content-type"] == "application/merge-patch+json"
    annotations = {"argocd.argoproj.io/refresh": "normal"}
    assert json.loads(patch.body) == {"metadata": {"annotations": annotations}}
    assert [each.path for each in server.requests if each.method == "GET"] == [
        APPLICATIONS
    ]


def test_a_refused_permission_is_told_once_and_not_tried_again(made: Made) -> None:
    refusing = answering("eu1", patch=status(403, "Forbidden"))
    (first, *later), server = ask(made, refusing, told(), times=3)
    (outcome,) = first
    assert outcome.what == "patch applications in argocd"
    assert "403 Forbidden" in outcome.problem
    assert later == [(), ()]
    assert len(patches(server)) == 1


def test_a_list_that_is_refused_costs_nothing_more(made: Made) -> None:
    found, server = ask(made, lambda _: status(403, "Forbidden"), told(), times=3)
    assert [len(each) for each in found] == [1, 0, 0]
    assert len(server.requests) == 1


def test_an_object_is_asked_once_in_a_quiet_window_and_no_push_is_lost(
    made: Made,
) -> None:
    began = time.monotonic()
    found, server = ask(made, answering("eu1"), told(0.3), times=3)
    assert time.monotonic() - began >= 0.6
    assert [len(each) for each in found] == [1, 1, 1]
    assert len(patches(server)) == 3


def test_a_failure_is_told_each_time_and_raises_nothing(made: Made) -> None:
    failing = answering("eu1", patch=status(500, "InternalError"))
    found, server = ask(made, failing, told(), times=2)
    assert all("500" in each[0].problem for each in found)
    assert len(patches(server)) == 2


def test_a_new_folder_is_looked_for_in_application_sets(made: Made) -> None:
    folders = [{"path": "manifests/public/*"}]
    found = {
        "metadata": {"namespace": "argocd", "name": "ingress-public"},
        "spec": {"generators": [{"git": {"directories": folders}}]},
    }

    def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return ok({"kind": "ApplicationSet", "metadata": {}})
        return page([found] if request.path == SETS else [])

    _, server = ask(made, answer, told())
    (patch,) = patches(server)
    assert patch.path == f"{SETS}/ingress-public"
    annotations = {"argocd.argoproj.io/application-set-refresh": "true"}
    assert json.loads(patch.body) == {"metadata": {"annotations": annotations}}


def test_without_an_engine_or_a_platform_nothing_is_requested(made: Made) -> None:
    for about in (
        told(proof={"envoySync": "/var/status.json"}),
        told(proof="off"),
        told().model_copy(update={"platform": None}),
    ):
        found, server = ask(made, answering("eu1"), about)
        assert (found, server.requests) == ([()], [])

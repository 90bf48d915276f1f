"""Asking engines to sync over HTTP: only what was touched, seldom, and a refusal told once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.kube import KubeApi
from reconciler.live.syncing import TRIES, Syncing
from reconciler.model.plans import NO_PLAN
from reconciler.model.repository import CommitId
from reconciler.passes import Memory, PassResult
from reconciler.prove.asking import Asked, Asks, Push, ask_again, ask_to_sync
from reconciler.prove.views import Listing, Look, View
from reconciler.settings import Platform, Settings
from tests.integration.remotes import draft
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


def application(cluster: str) -> dict[str, Any]:
    """An Application of a cluster's folder."""
    path = f"manifests/public/{cluster}"
    return {
        "metadata": {"namespace": "argocd", "name": f"ingress-{cluster}"},
        "spec": {"source": {"path": path, "directory": {"recurse": True}}},
    }


def answering(*clusters: str, patch: Answer | None = None) -> Handler:
    """A server with an Application for each cluster."""
    items = [application(cluster) for cluster in clusters]

    def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return patch or ok({"kind": "Application", "metadata": {}})
        return page(items if request.path == APPLICATIONS else [])

    return answer


def looking(server: Server) -> Look:
    """How this server is seen."""

    @asynccontextmanager
    async def look(platform: Platform) -> AsyncIterator[View]:
        async with KubeApi(server.credentials(), name="platform") as api:
            yield Listing(api)

    return look


def ask(
    made: Made, handler: Handler, about: Settings, times: int = 1
) -> tuple[list[tuple[Asked, ...]], Server]:
    """The outcomes of asking again and again about one push."""

    async def run() -> tuple[list[tuple[Asked, ...]], Server]:
        async with running(made, handler) as server:
            look, asks = looking(server), Asks()
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


@pytest.mark.parametrize(
    ("compared", "revision", "pending", "asked"),
    [
        ("12:00:00Z", "c0", False, 0),  # not since it was asked
        ("12:00:09Z", "c0", True, 0),  # it will be, for the annotation is there
        ("12:00:09Z", "c0", False, 1),  # the request was wiped out
        ("12:00:09Z", "c1", False, 1),  # both pushes touched it
        ("12:00:09Z", "c2", False, 0),  # the later push has the earlier one
    ],
)
def test_an_application_that_lost_its_request_is_asked_again(
    made: Made, compared: str, revision: str, pending: bool, asked: int
) -> None:
    found = application("eu1")

    def is_now(at: str, at_revision: str) -> None:
        sync = {"revision": at_revision}
        found["status"] = {"reconciledAt": f"2026-11-24T{at}", "sync": sync}

    def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return ok({"kind": "Application", "metadata": {}})
        return page([found])

    async def run() -> Server:
        async with running(made, answer) as server:
            look, asks = looking(server), Asks()
            is_now("12:00:00Z", "c0")
            await ask_to_sync(told(), PATHS, asks, look)
            is_now(compared, revision)
            if pending:
                annotations = {"argocd.argoproj.io/refresh": "normal"}
                found["metadata"]["annotations"] = annotations
            pushes = [
                Push(paths=frozenset(PATHS), commit=each) for each in ("c1", "c2")
            ]
            await ask_again(told(), pushes, asks, look)
            return server

    assert len(patches(asyncio.run(run()))) == 1 + asked


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


def a_push(about: Settings) -> PassResult:
    """What a pass leaves that pushed the commit `c1`."""
    plan = replace(NO_PLAN, drafts=(draft(PATHS[0], b"new"),))
    commit = CommitId("c1")
    return PassResult(plan=plan, settings=about, head=None, history=None, commit=commit)


def test_what_was_heard_is_not_asked_about_when_somebody_else_pushed(
    made: Made,
) -> None:
    """Something of ours is on its way for long, as a unit that fails is."""
    found = application("eu1")

    def answer(request: Request) -> Answer:
        if request.method == "PATCH":
            return ok({"kind": "Application", "metadata": {}})
        return page([found])

    async def run() -> Server:
        async with running(made, answer) as server:
            syncing = Syncing(Memory(), looking(server))
            found["status"] = {"reconciledAt": "1", "sync": {"revision": "c0"}}
            syncing.start(a_push(told()))
            await syncing.finish()
            for at, revision in (("2", "c1"), ("3", "theirs")):
                found["status"] = {"reconciledAt": at, "sync": {"revision": revision}}
                syncing.proven(told())
                await syncing.finish()
            return server

    assert len(patches(asyncio.run(run()))) == 1


def test_a_push_is_asked_about_again_until_it_has_arrived(made: Made) -> None:
    found, asked = application("eu1"), []

    def answer(request: Request) -> Answer:
        """An Argo CD that wipes every request out with a comparison of an older commit."""
        if request.method == "PATCH":
            asked.append(request)
            return ok({"kind": "Application", "metadata": {}})
        at = f"{len(asked)}"
        found["status"] = {"reconciledAt": at, "sync": {"revision": "c0"}}
        return page([found])

    async def run() -> list[int]:
        async with running(made, answer) as server:
            about, counts = told(), []
            syncing = Syncing(Memory(), looking(server))
            pushed = a_push(about)
            syncing.start(pushed)
            for moving in (*[about] * (TRIES + 2), None, about):
                await syncing.finish()
                counts.append(len(asked))
                syncing.proven(moving)
            syncing.start(pushed)
            await syncing.finish()
            syncing.proven(None)
            syncing.proven(about)
            await syncing.finish()
            return [*counts, len(asked)]

    tried = [min(each, 1 + TRIES) for each in range(1, TRIES + 5)]
    assert asyncio.run(run()) == [*tried, 2 + TRIES]

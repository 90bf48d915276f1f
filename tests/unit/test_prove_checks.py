"""One unit judged by content, engine, gateway and what is left to dial."""

from __future__ import annotations

import pytest

from reconciler.model.proofs import ServedEndpoint, Stage
from reconciler.names import endpoints_path
from reconciler.prove.checks import Dial, Judged, is_removed, judge
from reconciler.prove.engines import Applied
from reconciler.settings import Renderer
from tests.proving import (
    HEAD,
    OBJECTS,
    OLDER,
    UNIT,
    Json,
    Repository,
    condition,
    conditions,
    evidence,
    gateway,
    live_gateway,
    live_route,
    live_set,
    platform,
    target,
)

APPLIED = Applied(revision=HEAD, objects=OBJECTS)


def judged(*answers: Applied, **overrides: object) -> Judged:
    about = target()
    told = evidence(*answers, **overrides)
    return judge(about, gateway(), told, Repository(about).content_at)


def test_what_is_applied_and_programmed_lacks_only_the_connection() -> None:
    found = judged()
    assert found.stage is Stage.APPLIED
    assert found.provable
    assert found.dials == (Dial(address="192.0.2.1", port=20017),)


def test_every_address_and_endpoint_is_dialled() -> None:
    serves = tuple(
        ServedEndpoint(route=str(port), host="tcp.example.com", port=port)
        for port in (20017, 20018)
    )
    about = target(serves=serves)
    told = evidence(addresses=("192.0.2.1", "2001:db8::1"))
    found = judge(about, gateway(), told, Repository(about).content_at)
    assert list(map(str, found.dials)) == [
        "192.0.2.1:20017",
        "192.0.2.1:20018",
        "[2001:db8::1]:20017",
        "[2001:db8::1]:20018",
    ]


def test_tls_is_dialled_with_its_host_as_sni() -> None:
    about = target(
        tls=True, serves=(ServedEndpoint(route="a", host="a.example.com", port=443),)
    )
    found = judge(about, gateway(), evidence(), Repository(about).content_at)
    assert found.dials == (Dial(address="192.0.2.1", port=443, sni="a.example.com"),)


@pytest.mark.parametrize("missing", ["wish", "endpoints"])
def test_both_files_must_be_as_at_head_in_the_applied_revision(missing: str) -> None:
    about = target()
    path = about.wish_path if missing == "wish" else endpoints_path("public", UNIT)
    for files in ({path: "f" * 40}, {}):
        repository = Repository(about)
        kept = {key: value for key, value in repository.files.items() if key != path}
        repository.revisions[HEAD] = {**kept, **files}
        found = judge(about, gateway(), evidence(), repository.content_at)
        assert found.stage is Stage.WAITING
        assert "has another content of it" in found.message


def test_a_later_revision_that_changes_nothing_in_the_unit_keeps_the_proof() -> None:
    about = target()
    repository = Repository(about)
    repository.revisions["c" * 40] = {
        **repository.files,
        "ports/public/1.yaml": "d" * 40,
    }
    told = evidence(Applied(revision="c" * 40, objects=OBJECTS))
    assert judge(about, gateway(), told, repository.content_at).provable


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Applied(revision=OLDER, objects=OBJECTS), "not in this repository's history"),
        (Applied(), "no revision is reported applied yet"),
        (Applied(problem="no Application for x", absent=True), "no Application for x"),
        (Applied(revision=HEAD, objects=frozenset()), "ListenerSet set is not applied"),
        (
            Applied(revision=HEAD, objects=OBJECTS, moving=(OLDER,)),
            "not in this repository's history",
        ),
    ],
)
def test_without_a_report_of_this_content_a_unit_waits(
    answer: Applied, said: str
) -> None:
    found = judged(answer)
    assert found.stage is Stage.WAITING
    assert said in found.message
    assert not found.dials


def test_an_engine_busy_with_the_same_content_takes_no_proof_away() -> None:
    about = target()
    repository = Repository(about)
    repository.revisions[OLDER] = repository.files
    told = evidence(Applied(revision=HEAD, objects=OBJECTS, moving=(OLDER,)))
    assert judge(about, gateway(), told, repository.content_at).provable
    repository.revisions[OLDER] = {}
    found = judge(about, gateway(), told, repository.content_at)
    assert found.stage is Stage.WAITING


def test_of_several_objects_of_the_engine_one_is_enough() -> None:
    assert judged(Applied(problem="another repository"), APPLIED).provable
    assert judged(APPLIED, Applied(problem="another repository")).provable


def test_what_the_proxy_refused_is_failing() -> None:
    found = judged(refused={target().wish_path: "port taken"})
    assert (found.stage, found.message) == (
        Stage.FAILING,
        "the proxy refused it: port taken",
    )


def without_proxies(**overrides: object) -> Json:
    status = conditions("Accepted")
    status.append(condition("Programmed", "False", reason="NoResources"))
    return live_gateway(conditions=status, **overrides)


def test_a_gateway_that_is_not_programmed_is_dialled_but_proves_nothing() -> None:
    seen = platform(without_proxies(), live_set(), live_route())
    found = judged(platform=seen)
    assert found.stage is Stage.APPLIED
    assert found.dials
    assert not found.provable
    assert found.message == "Gateway public is not Programmed: NoResources"


def test_a_gateway_without_address_is_never_dialled() -> None:
    seen = platform(without_proxies(addresses=[]), live_set(), live_route())
    found = judged(platform=seen, addresses=())
    assert (found.stage, found.dials) == (Stage.FAILING, ())
    fresh = platform(live_gateway(addresses=[]), live_set(), live_route())
    found = judged(platform=fresh, addresses=())
    assert (found.stage, found.dials) == (Stage.APPLIED, ())
    assert found.message == "Gateway public has no address"


def test_a_refused_listener_is_failing_without_a_connection() -> None:
    taken = live_set(
        {"conditions": [condition("Conflicted", reason="ProtocolConflict")]}
    )
    found = judged(platform=platform(live_gateway(), taken, live_route()))
    assert (found.stage, found.dials) == (Stage.FAILING, ())
    assert "Conflicted: ProtocolConflict" in found.message


@pytest.mark.parametrize(
    ("connect", "cidrs", "said"),
    [
        (False, (), "connections are not tried (connect: false)"),
        (True, ("10.0.0.0/8",), "allow-cidrs may exclude the prober"),
    ],
)
def test_a_connection_that_is_not_tried_is_said(
    connect: bool, cidrs: tuple[str, ...], said: str
) -> None:
    about = target(allow_cidrs=cidrs)
    content_at = Repository(about).content_at
    found = judge(about, gateway(), evidence(connect=connect), content_at)
    assert (found.stage, found.dials) == (Stage.SERVING, ())
    assert said in found.message
    down = platform(without_proxies(), live_set(), live_route())
    told = evidence(connect=connect, platform=down)
    found = judge(about, gateway(), told, content_at)
    assert (found.stage, found.dials) == (Stage.APPLIED, ())


def test_plain_envoy_needs_its_acknowledged_revision_and_the_connection() -> None:
    about = target()
    told = evidence(Applied(revision=HEAD), platform=None, addresses=("127.0.0.1",))
    found = judge(about, gateway(Renderer.ENVOY), told, Repository(about).content_at)
    assert found.provable
    assert found.dials == (Dial(address="127.0.0.1", port=20017),)


def removed(*answers: Applied, files: dict[str, str] | None = None) -> bool:
    repository = Repository(target())
    repository.revisions[HEAD] = files or {}
    repository.revisions[OLDER] = repository.files
    told = evidence(*answers, platform=platform(live_gateway()))
    return is_removed(UNIT, gateway(), told, repository.content_at)


def test_a_unit_is_gone_when_a_revision_without_it_is_applied() -> None:
    assert removed(APPLIED)
    assert removed(APPLIED, files={"manifests/public/eu1/api.yaml": "f" * 40})


@pytest.mark.parametrize(
    "answer",
    [
        Applied(revision=OLDER, objects=OBJECTS),
        Applied(revision="c" * 40, objects=OBJECTS),
        Applied(revision=HEAD, moving=(OLDER,)),
        Applied(revision=HEAD, pruning=True),
        Applied(problem="Argo CD is syncing"),
        Applied(),
    ],
)
def test_a_unit_is_not_gone_before_that(answer: Applied) -> None:
    assert not removed(answer)
    assert not removed(APPLIED, answer)


def folders(unit_objects: tuple[Json, ...], whole: Applied) -> bool:
    """The Application of the cluster's folder is gone; that of the gateway's says `whole`."""
    repository = Repository(target())
    repository.revisions = {HEAD: {}, OLDER: repository.files}

    def applied(folder: str) -> tuple[Applied, ...]:
        if folder == "manifests/public":
            return (whole,)
        return (Applied(problem=f"no Application for {folder}", absent=True),)

    told = evidence(applied=applied, platform=platform(live_gateway(), *unit_objects))
    return is_removed(UNIT, gateway(), told, repository.content_at)


def test_with_the_last_unit_of_a_cluster_its_application_is_gone() -> None:
    assert folders((), APPLIED)
    assert not folders((), Applied(revision=OLDER))
    assert not folders((), Applied(problem="no Application", absent=True))


def test_objects_that_an_application_left_behind_are_not_gone() -> None:
    left = live_route()
    left["metadata"]["name"] = "w-eu1-shop-orders-tcp-0eec8052d5"
    assert not folders((left,), APPLIED)

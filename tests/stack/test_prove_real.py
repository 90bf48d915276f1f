"""Proof on a real Envoy Gateway, and write-back through a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.model.claims import Source
from reconciler.model.proofs import Proof, ProofTarget, Stage
from reconciler.model.units import UnitId
from reconciler.prove import prove, removed_applied
from reconciler.render import gateway_files, render
from reconciler.settings import Inventory, Kubeconfig, Platform, Renderer, Settings
from reconciler.writeback import ObjectChange, Refusals, write_back
from reconciler.writeback.kubernetes import ATTEMPTS, CHANGED
from tests.proving import HEAD, UNIT, Repository, target
from tests.rendering import destination, renamed, settings, tcp
from tests.stack.documents import Ref
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.workloads import Workload, wait_served

pytestmark = pytest.mark.stack
KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"
PORT = 20017


@dataclass(kw_only=True)
class OneUnit:
    """One unit on the gateway `public` of the hub; we say what the engine reports."""

    hub: Cluster
    settings: Settings
    target: ProofTarget
    repository: Repository
    seen: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.settings.gateways[0].namespace

    def apply_gateway(self) -> None:
        """The gateway's own file, as `init` and the first pass write it."""
        gateway = self.settings.gateways[0]
        for file in gateway_files(gateway, self.settings, frozenset({PORT}), {}):
            self.hub.api.apply((file.data or b"").decode())

    def apply(self) -> None:
        """What an engine would do."""
        self.hub.api.apply(self.target.endpoints.decode())
        self.hub.api.apply(self.target.wish.decode())

    def report(self, revision: str = HEAD) -> None:
        """Say as Flux would that a revision is applied; suspended, so that nobody else does."""
        reference = {"kind": "GitRepository", "name": "none"}
        kustomization = {
            "apiVersion": KUSTOMIZE,
            "kind": "Kustomization",
            "metadata": {"name": "public-eu1", "namespace": self.namespace},
            "spec": {
                "path": "./manifests/public/eu1",
                "sourceRef": reference,
                "interval": "1h",
                "prune": True,
                "suspend": True,
            },
        }
        (found,) = self.hub.api.apply(kustomization)
        texts = (self.target.wish, self.target.endpoints)
        objects = [each.data for text in texts for each in yamlio.load_all(text)]
        entries = [_entry(each) for each in objects]
        status = {
            "observedGeneration": found["metadata"]["generation"],
            "lastAppliedRevision": f"main@sha1:{revision}",
            "lastAttemptedRevision": f"main@sha1:{revision}",
            "inventory": {"entries": entries},
        }
        self.hub.api.patch_status(Ref.of(kustomization), status)

    def prove(self) -> Proof:
        """The proof of now."""
        content_at = self.repository.content_at
        (proof,) = asyncio.run(
            prove([self.target], self.settings, content_at, self.seen)
        )
        return proof

    def wait(self, stage: Stage) -> Proof:
        """The proof, as soon as it has come to a stage."""
        found: list[Proof] = []

        def there() -> bool:
            found[:] = [self.prove()]
            return found[0].stage is stage

        wait_until(there, f"stage {stage}", seconds=60)
        return found[0]


def _entry(document: Any) -> dict[str, str]:
    group, _, version = document["apiVersion"].rpartition("/")
    metadata = document["metadata"]
    parts = (metadata["namespace"], metadata["name"], group, document["kind"])
    return {"id": "_".join(parts), "v": version}


@pytest.fixture
def unit(envoy_gateway: EnvoyGateway, namespace: str, blue: Workload) -> OneUnit:
    """The unit `eu1/shop/orders` in front of `blue`, nothing applied yet."""
    hub = envoy_gateway.hub
    hub.install("crds/flux")
    told = settings(
        renderer=Renderer.ENVOY_GATEWAY,
        namespace=namespace,
        proof={"flux": [f"{namespace}/public-*"]},
    )
    platform = Platform(context=hub.name, kubeconfig=str(hub.kubeconfig_file()))
    told = told.model_copy(update={"platform": platform})
    made = tcp(destination("db", 1, f"{blue.address}:{blue.port}"), port=PORT)
    files = render(made.placement, made.addresses, told.gateways[0], told)
    about = target(wish=files.wish, endpoints=files.endpoints)
    return OneUnit(hub=hub, settings=told, target=about, repository=Repository(about))


def test_a_unit_is_proven_step_by_step(
    unit: OneUnit, envoy_gateway: EnvoyGateway, blue: Workload
) -> None:
    first = unit.prove()
    assert first.stage is Stage.WAITING
    assert first.message == "no Kustomization for manifests/public/eu1"
    unit.report("b" * 40)
    assert "not in this repository's history" in unit.prove().message
    unit.report()
    bare = unit.prove()
    assert (bare.stage, "is not there" in bare.message) == (Stage.APPLIED, True)
    unit.apply_gateway()
    unit.apply()
    wait_served(envoy_gateway.address("public", unit.namespace), PORT, {"blue"})
    assert unit.wait(Stage.SERVING).message == "serving"
    blue.stop()
    assert unit.prove().stage is Stage.SERVING  # not dialled again by this process
    unit.seen.clear()
    failing = unit.wait(Stage.FAILING)
    assert "the workload is not reached" in failing.message
    blue.start()
    unit.wait(Stage.SERVING)


def test_a_crashed_proxy_is_failing_although_it_was_proven(
    unit: OneUnit, envoy_gateway: EnvoyGateway
) -> None:
    unit.report()
    unit.apply_gateway()
    unit.apply()
    unit.wait(Stage.SERVING)
    proxy = envoy_gateway.kubelet.proxy("public", unit.namespace)
    proxy.stop()
    assert "refused" in unit.wait(Stage.FAILING).message.lower()
    proxy.start()
    unit.wait(Stage.SERVING)


def test_a_gateway_without_address_serves_nothing(
    unit: OneUnit, envoy_gateway: EnvoyGateway
) -> None:
    envoy_gateway.kubelet.pause()
    try:
        unit.report()
        unit.apply_gateway()
        unit.apply()
        found = unit.wait(Stage.FAILING)
        assert found.message == "Gateway public has no address"
    finally:
        envoy_gateway.kubelet.resume()
    unit.wait(Stage.SERVING)


def test_a_port_that_another_set_has_is_failing(
    unit: OneUnit, envoy_gateway: EnvoyGateway, blue: Workload
) -> None:
    other = tcp(destination("db", 1, f"{blue.address}:{blue.port}"), port=PORT)
    other = renamed(other, "an-older-one")
    gateway = unit.settings.gateways[0]
    files = render(other.placement, other.addresses, gateway, unit.settings)
    unit.apply_gateway()
    unit.hub.api.apply(files.endpoints.decode())
    unit.hub.api.apply(files.wish.decode())
    wait_served(envoy_gateway.address("public", unit.namespace), PORT, {"blue"})
    unit.report()
    unit.apply()
    assert "listener tcp-20017 is Conflicted" in unit.wait(Stage.FAILING).message


def test_a_unit_is_gone_when_a_revision_without_it_is_applied(unit: OneUnit) -> None:
    def gone() -> frozenset[UnitId]:
        content_at = unit.repository.content_at
        return asyncio.run(removed_applied([UNIT], unit.settings, content_at))

    unit.report()
    assert gone() == frozenset()
    unit.repository.revisions["c" * 40] = {}
    unit.report("c" * 40)
    assert gone() == {UNIT}


HOST, STATE = "wharfinger.dev/host", "wharfinger.dev/state"
ISTIO = "networking.istio.io/v1"


@dataclass(kw_only=True)
class Exposed:
    """A VirtualService on a workload cluster, and write-back to it."""

    cluster: Cluster
    ref: Ref
    refusals: Refusals = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The object as it is now."""
        metadata = self.cluster.api.get(self.ref)["metadata"]
        name = self.ref.name
        unit = UnitId(
            cluster=self.cluster.name, namespace=self.ref.namespace, name=name
        )
        return Source(
            unit=unit,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=metadata["generation"],
            annotations=metadata.get("annotations", {}),
        )

    def write(self, source: Source, **change: str | None) -> str:
        """The problem of one write, empty when it was kept."""
        annotations = {f"wharfinger.dev/{key}": value for key, value in change.items()}
        made = ObjectChange(source=source, inventory="lab", annotations=annotations)
        path = str(self.cluster.kubeconfig_file())
        lab = Inventory(name="lab", kubeconfig=Kubeconfig(path=path))
        told = settings().model_copy(update={"inventories": (lab,)})
        (outcome,) = asyncio.run(write_back([made], told, "auto", {}, self.refusals))
        return outcome.problem

    def annotate(self, annotations: Mapping[str, str | None]) -> None:
        """As a person would."""
        self.cluster.api.patch(self.ref, {"metadata": {"annotations": annotations}})


@pytest.fixture
def exposed(workload_1: Cluster, namespace: str) -> Exposed:
    """`orders` in a namespace of its own."""
    workload_1.namespace(namespace)
    document = {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {
            "name": "orders",
            "namespace": namespace,
            "annotations": {"wharfinger.dev/expose": "tcp"},
        },
        "spec": {
            "hosts": ["*"],
            "tcp": [{"route": [{"destination": {"host": "db"}}]}],
        },
    }
    workload_1.api.apply(document)
    return Exposed(cluster=workload_1, ref=Ref.of(document))


def test_annotations_are_set_and_removed_and_the_generation_stays(
    exposed: Exposed,
) -> None:
    before = exposed.source
    assert exposed.write(before, state="Ready", host="tcp.example.com") == ""
    now = exposed.source
    assert now.annotations == {
        **before.annotations,
        STATE: "Ready",
        HOST: "tcp.example.com",
    }
    assert now.generation == before.generation
    assert exposed.write(now, state=None, host=None) == ""
    assert exposed.source.annotations == before.annotations


def test_annotations_are_made_where_there_are_none(exposed: Exposed) -> None:
    exposed.annotate({"wharfinger.dev/expose": None})
    assert exposed.source.annotations == {}
    assert exposed.write(exposed.source, state="Held") == ""
    assert exposed.source.annotations == {STATE: "Held"}


def test_an_object_that_changed_meanwhile_is_left_to_the_next_pass(
    exposed: Exposed,
) -> None:
    before = exposed.source
    exposed.annotate({"wharfinger.dev/expose": "tls"})
    assert exposed.write(before, state="Ready") == CHANGED
    assert STATE not in exposed.source.annotations
    assert exposed.write(replace(exposed.source, uid="another"), state="x") == CHANGED
    assert exposed.write(exposed.source, state="Ready") == ""
    assert not exposed.refusals


def test_an_object_that_is_gone_is_no_error_of_others(exposed: Exposed) -> None:
    before = exposed.source
    exposed.cluster.api.delete(exposed.ref)
    assert exposed.write(before, state="Ready") == "the object is gone"


def test_a_change_that_the_server_refuses_is_not_sent_for_ever(
    exposed: Exposed,
) -> None:
    exposed.annotate({"big": "x" * (256 * 1024 - 100)})
    source = exposed.source
    said = [exposed.write(source, message="y" * 500) for _ in range(ATTEMPTS + 1)]
    assert all("the API server refuses the change" in each for each in said[:-1])
    assert said[-1] == f"not kept {ATTEMPTS} times, not sent again"
    exposed.annotate({"big": None})
    assert exposed.write(exposed.source, message="y" * 500) == ""
    assert not exposed.refusals

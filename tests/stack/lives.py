"""The life of one cluster in each inventory that is a hub, played by its objects (does I/O).

The objects are the golden ones of the unit tests, so that what those say stands on the API
server's own answer: a field that its definition does not have would be lost here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import hub_objects as golden
from tests.hub_objects import Golden, encoded
from tests.stack.behind import Behind
from tests.stack.documents import Document, Ref
from tests.stack.garden import Garden
from tests.stack.kube import Cluster

HOLD = ["wharfinger.dev/held-by-a-test"]
NAME = "eu1"
ELSEWHERE = "192.0.2.1"  # nobody's, by RFC 5737


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the workload cluster is reached: its API server, and that behind a path of a host."""

    workload: Cluster
    behind: Behind

    def kubeconfig(self, token: str, at: str = "") -> str:
        """A kubeconfig of the workload cluster, or of it behind the path."""
        server = at or self.workload.access.server
        ca = self.behind.ca if at else self.workload.ca
        text = golden.kubeconfig(server, token=token)
        return text.replace(encoded(golden.PEM), encoded(ca))


@dataclass(slots=True, kw_only=True)
class Life:
    """One cluster of one inventory. `data` makes what its Secret holds from a token."""

    source: str
    hub: Cluster
    golden: Golden
    data: Callable[[str], Mapping[str, str]]
    secret: tuple[str, str]
    host: str
    settings: Document = field(default_factory=dict)

    @property
    def ref(self) -> Ref:
        """Its object."""
        return Ref.of(self.golden.body, namespace="")

    def appear(self) -> None:
        """Somebody asks for the cluster; nothing of it is there yet."""
        for namespace in {self.secret[0], self.ref.namespace} - {""}:
            self.hub.namespace(namespace)
        self.hub.api.apply(self._wished())

    def _wished(self) -> Document:
        body = self.golden.body
        metadata = {**body["metadata"], "finalizers": HOLD}
        for key in ("uid", "generation", "resourceVersion"):
            metadata.pop(key, None)
        kept = {key: body[key] for key in ("apiVersion", "kind", "spec")}
        return {**kept, "metadata": metadata}

    def provision(self, token: str) -> None:
        """Its controllers have made it."""
        self.rotate(token)
        self.hub.api.apply(self._wished())
        if status := self.golden.body.get("status"):
            self.hub.api.patch_status(self.ref, _times(status))

    def rotate(self, token: str) -> None:
        """It has other credentials."""
        namespace, name = self.secret
        values = {key: encoded(text) for key, text in self.data(token).items()}
        metadata = {"name": name, "namespace": namespace}
        head = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        self.hub.api.apply({**head, "data": values})

    def move(self) -> None:
        """Its masters are others: nothing answers at the new address."""
        self.hub.api.apply(self._moved(self._wished()))
        if status := self.golden.body.get("status"):
            self.hub.api.patch_status(self.ref, self._moved(_times(status)))

    def _moved(self, body: Document) -> Document:
        text = json.dumps(body).replace(self.host, ELSEWHERE)
        return dict(json.loads(text))

    def delete(self) -> None:
        """Somebody deletes it, and its finalizer holds it."""
        self.hub.api.delete(self.ref)

    def vanish(self) -> None:
        """Its object is gone."""
        self.hub.api.patch(self.ref, {"metadata": {"finalizers": []}})
        self.hub.api.delete(self.ref)
        self.hub.api.wait_gone(self.ref)

    def forget(self) -> None:
        """Nothing of it is left, however far it came."""
        if self.hub.api.find(self.ref) is not None:
            self.vanish()
        namespace, name = self.secret
        self.hub.api.delete(Ref("v1", "Secret", name, namespace))


def _times(status: Document) -> Document:
    """The status with what definitions ask of conditions."""
    more = {
        "lastTransitionTime": "2026-11-24T19:00:00Z",
        "reason": "AsExpected",
        "message": "",
    }
    listed = [{**more, **each} for each in status.get("conditions", ())]
    times = [
        {**each, "lastObservedTime": "2026-11-24T19:00:00Z"}
        for each in status.get("properties", ())
    ]
    found = {**status, "conditions": listed}
    return {**found, "properties": times} if times else found


@dataclass(slots=True, kw_only=True)
class ShootLife(Life):
    """Shoots are not in the hub's own storage, and their credentials are asked for."""

    garden: Garden

    def appear(self) -> None:
        self.hub.namespace(self.ref.namespace)
        new = {"lastOperation": {"type": "Create", "state": "Processing"}}
        self.garden.put({**self.golden.body, "status": new})

    def provision(self, token: str) -> None:
        self.rotate(token)
        self.garden.put(self.golden.body)

    def rotate(self, token: str) -> None:
        self.garden.kubeconfigs[NAME] = self.data(token)["kubeconfig"]

    def move(self) -> None:
        self.garden.put(self._moved(self.golden.body))

    def delete(self) -> None:
        notes = {"confirmation.gardener.cloud/deletion": "true"}
        gone = golden.deleted(self.golden.body)
        metadata = {**gone["metadata"], "annotations": notes}
        self.garden.put({**gone, "metadata": metadata})

    def vanish(self) -> None:
        self.garden.drop(self.ref.namespace, NAME)

    def forget(self) -> None:
        if self.garden.listed("")["items"]:
            self.vanish()


def life(source: str, hub: Cluster, ways: Ways, garden: Garden) -> Life:
    """The life of `eu1` in this inventory; the workload cluster is behind it."""
    server, ca = ways.workload.access.server, ways.workload.ca
    common: dict[str, Any] = {
        "source": source,
        "hub": hub,
        "host": ways.workload.host,
    }

    def kubeconfig(token: str) -> Mapping[str, str]:
        return {"value": ways.kubeconfig(token)}

    def behind(token: str) -> Mapping[str, str]:
        return {"value": ways.kubeconfig(token, ways.behind.server), "token": token}

    match source:
        case "cluster_profile":
            way = {"server": server, "certificate-authority-data": encoded(ca)}
            made = golden.cluster_profile(NAME)
            offered = [{"name": "token", "cluster": way}]
            return Life(
                **common,
                golden=_with(made, "status", accessProviders=offered),
                secret=("fleet", "eu1-token"),
                data=lambda token: {"token": token},
                settings=made.settings,
            )
        case "open_cluster_management":
            clients = [{"url": server, "caBundle": encoded(ca)}]
            made = golden.managed_cluster(NAME)
            return Life(
                **common,
                golden=_with(made, "spec", managedClusterClientConfigs=clients),
                secret=(NAME, "wharfinger"),
                data=lambda token: {"token": token, "ca.crt": ca},
            )
        case "flux":
            return Life(
                **common,
                golden=_flux(),
                secret=("flux-system", "eu1-kubeconfig"),
                data=kubeconfig,
            )
        case "rancher":
            return Life(
                **common,
                golden=golden.rancher_cluster(NAME),
                secret=("fleet-default", "eu1-kubeconfig"),
                data=behind,
            )
        case "karmada":
            made = golden.karmada_cluster(NAME)
            return Life(
                **common,
                golden=_with(made, "spec", apiEndpoint=server, id=ways.workload.uid),
                secret=("karmada-cluster", NAME),
                data=lambda token: {"token": token, "caBundle": ca},
            )
        case _:
            listed = [{"name": "external", "url": server}]
            return ShootLife(
                **common,
                golden=_with(golden.shoot(NAME), "status", advertisedAddresses=listed),
                secret=("", ""),
                data=lambda token: {"kubeconfig": ways.kubeconfig(token)},
                garden=garden,
            )


def _with(made: Golden, part: str, **fields: Any) -> Golden:
    body = golden.changed(made.body, part, **fields)
    return Golden(plural=made.plural, body=body, answers={}, settings=made.settings)


def _flux() -> Golden:
    made = golden.kustomization(NAME)
    return Golden(plural=made.plural, body=made.body, answers={})


def definitions() -> list[Path]:
    """Files of definitions that no module has."""
    return sorted((Path(__file__).parent / "crds").glob("*.yaml"))

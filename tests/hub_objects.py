"""Objects of hubs as their programs write them, and a source read without a hub; pure.

Each golden cluster is called by a name, and stands with the answers to what it references.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.kubeerrors import KubeError, NotFound
from reconciler.model.clusters import ClusterView, Unknown, Why
from reconciler.observe.inventories import HUBS, Member, Server
from reconciler.observe.inventories.source import Objects, Reference, keyed
from reconciler.settings_inventories import Inventory

Body = dict[str, Any]
TOKEN = "canary-t0ken"
PEM = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
UID = "6f1b6c0e-8f0b-4f7e-9d2c-1f6d2c3a4b5c"


def encoded(text: str) -> str:
    """Base64, as the values of a Secret are."""
    return base64.b64encode(text.encode()).decode()


def secret(**data: str) -> Body:
    """A Secret as an API server prints it; `_` in a key stands for a dot."""
    values = {key.replace("_", "."): encoded(text) for key, text in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": values}


def kubeconfig(server: str = "https://10.0.0.1:6443", **user: str) -> str:
    """A kubeconfig with one context."""
    cluster = {"server": server, "certificate-authority-data": encoded(PEM)}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "default",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user or {"token": TOKEN}}],
        "contexts": [
            {"name": "default", "context": {"cluster": "cluster", "user": "user"}}
        ],
    }
    return json.dumps(body)


def metadata(name: str, namespace: str = "") -> Body:
    """What an API server adds to a name."""
    found: Body = {"name": name, "uid": UID, "generation": 1, "resourceVersion": "7"}
    return {**found, "namespace": namespace} if namespace else found


def deleted(body: Body) -> Body:
    """The object, somebody has deleted it and a finalizer holds it."""
    found = {**body["metadata"], "deletionTimestamp": "2026-11-24T19:00:00Z"}
    return {**body, "metadata": found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One cluster of a hub: its object and what the paths that it references answer.

    `beside` are objects of other kinds that are listed, too.
    """

    plural: str
    body: Body
    answers: Mapping[str, Body] = field(default_factory=dict)
    settings: Body = field(default_factory=dict)
    beside: Mapping[str, Body] = field(default_factory=dict)


def cluster_profile(name: str = "eu1") -> Golden:
    way = {
        "server": "https://10.0.0.1:6443",
        "certificate-authority-data": encoded(PEM),
    }
    body = {
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ClusterProfile",
        "metadata": metadata(name, "fleet"),
        "spec": {"displayName": name.upper(), "clusterManager": {"name": "ocm"}},
        "status": {
            "conditions": [{"type": "ControlPlaneHealthy", "status": "True"}],
            "version": {"kubernetes": "1.37.2"},
            "properties": [{"name": "location", "value": "eu"}],
            "accessProviders": [{"name": "token", "cluster": way}],
        },
    }
    return Golden(
        plural="clusterprofiles",
        body=body,
        answers={f"/api/v1/namespaces/fleet/secrets/{name}-token": secret(token=TOKEN)},
        settings={"providers": {"token": {"secret": "{name}-token"}}},
    )


def managed_cluster(name: str = "eu1") -> Golden:
    client = {"url": "https://10.0.0.1:6443", "caBundle": encoded(PEM)}
    body = {
        "apiVersion": "cluster.open-cluster-management.io/v1",
        "kind": "ManagedCluster",
        "metadata": metadata(name),
        "spec": {
            "hubAcceptsClient": True,
            "leaseDurationSeconds": 60,
            "managedClusterClientConfigs": [client],
        },
        "status": {
            "conditions": [
                {"type": "HubAcceptedManagedCluster", "status": "True"},
                {"type": "ManagedClusterJoined", "status": "True"},
                {"type": "ManagedClusterConditionAvailable", "status": "True"},
            ],
            "version": {"kubernetes": "v1.37.2"},
            "clusterClaims": [{"name": "id.k8s.io", "value": UID}],
        },
    }
    path = f"/api/v1/namespaces/{name}/secrets/wharfinger"
    return Golden(
        plural="managedclusters",
        body=body,
        answers={path: secret(token=TOKEN, ca_crt=PEM)},
    )


def kustomization(name: str = "eu1") -> Golden:
    body = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": metadata(f"{name}-apps", "flux-system"),
        "spec": {
            "interval": "10m",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            "kubeConfig": {"secretRef": {"name": f"{name}-kubeconfig"}},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    path = f"/api/v1/namespaces/flux-system/secrets/{name}-kubeconfig"
    return Golden(
        plural="kustomizations", body=body, answers={path: secret(value=kubeconfig())}
    )


def rancher_cluster(name: str = "eu1") -> Golden:
    body = {
        "apiVersion": "provisioning.cattle.io/v1",
        "kind": "Cluster",
        "metadata": metadata(name, "fleet-default"),
        "spec": {
            "kubernetesVersion": "v1.33.5+rke2r1",
            "rkeConfig": {},
            "localClusterAuthEndpoint": {},
        },
        "status": {
            "ready": True,
            "agentDeployed": True,
            "clusterName": "c-m-7xk2v9qz",
            "clientSecretName": f"{name}-kubeconfig",
            "observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    text = kubeconfig("https://rancher.example.com/k8s/clusters/c-m-7xk2v9qz")
    path = f"/api/v1/namespaces/fleet-default/secrets/{name}-kubeconfig"
    return Golden(
        plural="clusters", body=body, answers={path: secret(value=text, token=TOKEN)}
    )


def karmada_cluster(name: str = "eu1") -> Golden:
    named = {"namespace": "karmada-cluster", "name": name}
    body = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": metadata(name),
        "spec": {
            "syncMode": "Push",
            "id": "0b9f63a0-9a3a-4a0e-a4a9-6d6a3c5c9a11",
            "apiEndpoint": "https://10.0.0.1:6443",
            "secretRef": named,
            "impersonatorSecretRef": {**named, "name": f"{name}-impersonator"},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    path = f"/api/v1/namespaces/karmada-cluster/secrets/{name}"
    return Golden(
        plural="clusters", body=body, answers={path: secret(token=TOKEN, caBundle=PEM)}
    )


def shoot(name: str = "eu1") -> Golden:
    addresses = {
        "external": f"https://api.{name}.shop.shoot.example.com",
        "internal": f"https://api.{name}.shop.internal.example.com",
        "service-account-issuer": "https://discovery.example.com/projects/shop/issuer",
    }
    body = {
        "apiVersion": "core.gardener.cloud/v1beta1",
        "kind": "Shoot",
        "metadata": {**metadata(name, "garden-shop"), "annotations": {}},
        "spec": {"region": "eu", "hibernation": {"enabled": False}},
        "status": {
            "hibernated": False,
            "uid": UID,
            "technicalID": f"shoot--shop--{name}",
            "lastOperation": {
                "type": "Reconcile",
                "state": "Processing",
                "progress": 40,
            },
            "advertisedAddresses": [
                {"name": key, "url": url} for key, url in addresses.items()
            ],
        },
    }
    path = f"/apis/core.gardener.cloud/v1beta1/namespaces/garden-shop/shoots/{name}"
    text = kubeconfig(addresses["external"])
    status = {
        "kubeconfig": encoded(text),
        "expirationTimestamp": "2026-11-24T20:00:00Z",
    }
    answer = {"kind": "ViewerKubeconfigRequest", "status": status}
    return Golden(
        plural="shoots", body=body, answers={f"{path}/viewerkubeconfig": answer}
    )


def capi_cluster(name: str = "eu1") -> Golden:
    body = {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Cluster",
        "metadata": {**metadata(name, "team-a"), "annotations": {}},
        "spec": {"controlPlaneEndpoint": {"host": "10.0.0.1", "port": 6443}},
        "status": {
            "initialization": {"controlPlaneInitialized": True},
            "conditions": [{"type": "Available", "status": "True"}],
            "phase": "Provisioned",
        },
    }
    labels = {"cluster.x-k8s.io/cluster-name": name}
    beside = {
        **secret(value=kubeconfig()),
        "type": "cluster.x-k8s.io/secret",
        "metadata": {**metadata(f"{name}-kubeconfig", "team-a"), "labels": labels},
    }
    return Golden(plural="clusters", body=body, beside={"secrets": beside})


def argocd_secret(name: str = "eu1") -> Golden:
    tls = {"insecure": False, "caData": encoded(PEM)}
    config = json.dumps({"bearerToken": TOKEN, "tlsClientConfig": tls})
    labels = {"argocd.argoproj.io/secret-type": "cluster"}
    body = {
        **secret(name=name, server="https://10.0.0.1:6443", config=config),
        "metadata": {**metadata(f"cluster-{name}", "argocd"), "labels": labels},
    }
    return Golden(plural="secrets", body=body)


GOLDEN: Mapping[str, Callable[[str], Golden]] = {
    "cluster_api": capi_cluster,
    "argocd": argocd_secret,
    "cluster_profile": cluster_profile,
    "open_cluster_management": managed_cluster,
    "flux": kustomization,
    "rancher": rancher_cluster,
    "karmada": karmada_cluster,
    "gardener": shoot,
}


def inventory(source: str, settings: Body | None = None, **more: Any) -> Inventory:
    """An inventory of the settings, called `lab`."""
    field = Inventory.model_fields[source].alias or source
    return Inventory.model_validate({"name": "lab", field: settings or {}, **more})


def wanted(lab: Inventory, objects: Mapping[str, Sequence[Body]]) -> list[Reference]:
    """What a source would have fetched."""
    return list(HUBS[lab.source].references(lab, _objects(lab, objects)))


def _objects(lab: Inventory, objects: Mapping[str, Sequence[Body]]) -> Objects:
    of = {}
    for kind in HUBS[lab.source].kinds(lab):
        found = (keyed(body, kind) for body in objects.get(kind.called, ()))
        of[kind.called] = dict(each for each in found if each is not None)
    return Objects(of=of)


def read(
    lab: Inventory,
    objects: Mapping[str, Sequence[Body]],
    answers: Mapping[str, Body | KubeError],
) -> dict[str, Member]:
    """What a source makes of these objects, by name; what has no answer is not there."""
    seen, source = _objects(lab, objects), HUBS[lab.source]
    missing = NotFound("HTTP 404 NotFound", "lab", why=Why.INCOMPLETE, status=404)
    fetched = {
        each: answers.get(each.path, missing) for each in source.references(lab, seen)
    }
    found = source.clusters(lab, seen, fetched)
    assert len({each.entry.name for each in found}) == len(found)
    return {each.entry.name: each for each in found}


def read_one(
    source: str,
    golden: Golden,
    body: Body | None = None,
    answers: Mapping[str, Body | KubeError] | None = None,
    **more: Any,
) -> Member:
    """What a source makes of one cluster, with another object or other answers maybe."""
    lab = inventory(source, more.pop("settings", golden.settings), **more)
    objects = {golden.plural: [body or golden.body]}
    (found,) = read(
        lab, objects, golden.answers if answers is None else answers
    ).values()
    return found


def reached(found: Member) -> Server:
    """The member, which must be one that can be looked at."""
    assert isinstance(found, Server), found
    return found


def why(found: Member) -> tuple[Why, str]:
    """Why the member cannot be looked at."""
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert TOKEN not in found.objects.message
    return found.objects.why, found.objects.message


def changed(body: Body, part: str, **fields: Any) -> Body:
    """The object with other fields in its spec or status; `None` takes one away."""
    found = {**body.get(part, {}), **fields}
    kept = {key: value for key, value in found.items() if value is not None}
    return {**body, part: kept}

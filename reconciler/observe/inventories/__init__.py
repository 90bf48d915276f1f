"""Inventories: whatever lists a company's clusters. One small module each; this is their list."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.observe.inventories.argocd import Argocd
from reconciler.observe.inventories.cloud_foundry import CloudFoundryReader
from reconciler.observe.inventories.cluster_api import ClusterApi
from reconciler.observe.inventories.cluster_profile import ClusterProfiles
from reconciler.observe.inventories.flux import Flux
from reconciler.observe.inventories.found import Found, Member, Reader, Server
from reconciler.observe.inventories.gardener import Gardener
from reconciler.observe.inventories.hub import HubReader
from reconciler.observe.inventories.karmada import Karmada
from reconciler.observe.inventories.kubeconfig import KubeconfigReader
from reconciler.observe.inventories.ocm import Ocm
from reconciler.observe.inventories.rancher import Rancher
from reconciler.observe.inventories.source import Source
from reconciler.observe.inventories.tkgi import TkgiReader
from reconciler.settings import Inventory

__all__ = ["HUBS", "Found", "Member", "Reader", "Server", "reader"]

HUBS: Mapping[str, Source] = {
    "cluster_api": ClusterApi(),
    "argocd": Argocd(),
    "cluster_profile": ClusterProfiles(),
    "open_cluster_management": Ocm(),
    "flux": Flux(),
    "rancher": Rancher(),
    "karmada": Karmada(),
    "gardener": Gardener(),
}
"""What is read from a Kubernetes API, by the name of its field in the settings."""

_READERS: Mapping[str, Callable[[Inventory], Reader]] = {
    "kubeconfig": KubeconfigReader,
    "tkgi": TkgiReader,
    "cloud_foundry": CloudFoundryReader,
}


def reader(inventory: Inventory) -> Reader:
    """A reader of one inventory, to be kept as long as it is read."""
    if inventory.source in HUBS:
        return HubReader(inventory, HUBS[inventory.source])
    return _READERS[inventory.source](inventory)

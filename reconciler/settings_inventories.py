"""The inventories of the settings: what lists clusters, and where it is asked; pure.

No credentials are in here, and no address that one of ours is sent to: a hub is a context of the
platform's own kubeconfig, the address of a TKGI API lies beside its secret in a mounted folder.
Who may push to the ingress repository must not choose where a secret goes.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StrictBool, model_validator

from reconciler.settings_foundations import CloudFoundry
from reconciler.settings_model import Model
from reconciler.settings_types import (
    ClusterName,
    Label,
    Program,
    ProxyUrl,
    ServerUrl,
    Text,
    Variable,
)


class Directory(Model):
    """A folder whose folders are clusters."""

    path: Text


class Kubeconfig(Model):
    """Contexts of a kubeconfig file; `contexts` are globs."""

    path: str | None = None
    contexts: tuple[Text, ...] = ("*",)


class Tkgi(Model):
    """A TKGI (PKS) API. `credentials` is a folder below the process's `WHARFINGER_CREDENTIALS`.

    In it: `url`, `uaa`, `client`, `secret`, maybe `ca.crt`, and kubeconfigs of clusters as
    `clusters/<name>`. With `binds` kubeconfigs that lack there are asked for, which needs the
    scope `pks.clusters.admin` or `pks.clusters.manage` instead of `pks.clusters.admin.read`.
    """

    credentials: Label
    binds: StrictBool = False


class Hub(Model):
    """A Kubernetes API that has objects about clusters: a context, or `in-cluster`."""

    context: Text = "in-cluster"
    kubeconfig: str | None = None


class HubSource(Model):
    """Clusters that a hub tells of. `namespaces`: only of these (none: of all).

    `selector` are labels that the objects must have.
    """

    hub: Hub = Hub()
    namespaces: tuple[Label, ...] = ()
    selector: dict[str, str] = Field(default_factory=dict)


class ClusterApi(HubSource):
    """Cluster API's Clusters, and their `<name>-kubeconfig` Secrets."""


class AccessProvider(Model):
    """Who we are where a ClusterProfile's access provider leads: exactly one of the two.

    `command` is a program in the process's folder of plug-ins, `secret` the name of a Secret
    beside the profile with a `token`; `{name}` in it is the profile's name.
    """

    command: Program | None = None
    secret: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> AccessProvider:
        if (self.command is None) == (self.secret is None):
            raise ValueError("expected either command or secret")
        return self


class ClusterProfile(HubSource):
    """ClusterProfiles of the multicluster SIG. `managers`: only of these (none: of all).

    `providers` are the access providers that are used, by their names; the first that a profile
    has counts.
    """

    managers: tuple[Text, ...] = ()
    providers: dict[str, AccessProvider] = Field(default_factory=dict)


class OpenClusterManagement(HubSource):
    """ManagedClusters; `serviceAccount` is the ManagedServiceAccount whose token is used."""

    service_account: Label = "wharfinger"


class Argocd(HubSource):
    """Argo CD's cluster Secrets."""

    namespaces: tuple[Label, ...] = ("argocd",)


class Flux(HubSource):
    """What Flux's Kustomizations and HelmReleases apply to by `spec.kubeConfig`.

    A cluster is called like its Secret less `suffix`.
    """

    suffix: str = "-kubeconfig"


class Rancher(HubSource):
    """Rancher's provisioning Clusters."""

    namespaces: tuple[Label, ...] = ("fleet-default",)


class Karmada(HubSource):
    """Karmada's Clusters. Their Secrets are read in `namespaces` alone."""

    namespaces: tuple[Label, ...] = ("karmada-cluster",)


class Gardener(HubSource):
    """Gardener's Shoots. `access` is the kubeconfig that is asked for, for so many seconds.

    A viewer may not patch VirtualServices, so nothing is written back with it.
    """

    access: Literal["viewer", "admin"] = "viewer"
    expiration_seconds: Annotated[int, Field(ge=600, le=86400, strict=True)] = 3600


class Allow(Model):
    """What of other people's kubeconfigs is let through although it can do harm: nothing.

    `exec` are names of programs in the process's folder of plug-ins (`WHARFINGER_PLUGINS`),
    `environment` are names of variables that those programs get of ours (nothing else, no PATH)
    and that a kubeconfig may set for them where we have none. `proxies` are the exact URLs of
    HTTP proxies, `insecure` exact URLs of servers whose certificate is not checked.
    """

    exec: tuple[Program, ...] = ()
    environment: tuple[Variable, ...] = ()
    proxies: tuple[ProxyUrl, ...] = ()
    insecure: tuple[ServerUrl, ...] = ()


Names = dict[str, ClusterName]


class Inventory(Model):
    """A source of clusters: exactly one source key. `names` maps foreign names to ours.

    A foreign name is what the inventory calls it, with `namespace/` before it where it has one.
    `approval`: a cluster that Git does not know waits for `wharfinger accept-cluster`.
    """

    name: Label
    directory: Directory | None = None
    kubeconfig: Kubeconfig | None = None
    tkgi: Tkgi | None = None
    cluster_api: ClusterApi | None = None
    cluster_profile: ClusterProfile | None = None
    open_cluster_management: OpenClusterManagement | None = None
    argocd: Argocd | None = None
    flux: Flux | None = None
    rancher: Rancher | None = None
    karmada: Karmada | None = None
    gardener: Gardener | None = None
    cloud_foundry: CloudFoundry | None = None
    names: Annotated[Names, Field(default_factory=dict)]
    allow: Allow = Allow()
    approval: StrictBool = False

    @model_validator(mode="after")
    def _one_source(self) -> Inventory:
        if len(self._sources()) != 1:
            keys = ", ".join(SOURCES)
            raise ValueError(f"expected exactly one source: {keys}")
        return self

    def _sources(self) -> list[str]:
        return [
            name
            for name in type(self).model_fields
            if name in _FIELDS and getattr(self, name) is not None
        ]

    @property
    def source(self) -> str:
        """The name of its source's field, such as `cluster_api`."""
        return self._sources()[0]

    @property
    def hub(self) -> HubSource | None:
        """Its source when that is a hub."""
        found = getattr(self, self.source)
        return found if isinstance(found, HubSource) else None

    def called(self, foreign: str) -> str:
        """What a cluster of this foreign name is called here; a namespace is left out."""
        return self.names.get(foreign, foreign.rpartition("/")[2])


_FIELDS = tuple(
    name
    for name in Inventory.model_fields
    if name not in ("name", "names", "allow", "approval")
)


def _is_hub(name: str) -> bool:
    kinds = get_args(Inventory.model_fields[name].annotation)
    return any(isinstance(each, type) and issubclass(each, HubSource) for each in kinds)


SOURCES = tuple(Inventory.model_fields[name].alias or name for name in _FIELDS)
HUBS = tuple(
    Inventory.model_fields[name].alias or name for name in _FIELDS if _is_hub(name)
)
"""Sources that are objects of a Kubernetes API, as they are spelled in the settings."""

"""What Flux applies to: the kubeconfigs that Kustomizations and HelmReleases name; pure.

Flux has no object for a cluster. One key of one Secret is one cluster, however many objects name
it; it is called like the Secret less `-kubeconfig`. When the last of those objects is gone the
cluster has vanished, and nobody has said that it is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.loaders import RefusedKubeconfig
from reconciler.model.access import Credentials
from reconciler.model.clusters import ClusterEntry, Why
from reconciler.observe import parse
from reconciler.observe.inventories.found import Member, api_server, member
from reconciler.observe.inventories.objects import (
    answer,
    config_map,
    from_secret,
    or_unknown,
    pem,
    secret,
    shown,
)
from reconciler.observe.inventories.source import Fetched, Kind, Objects, Reference
from reconciler.settings import Inventory
from reconciler.settings_inventories import Flux as Settings

Json = Mapping[str, Any]
KINDS = {
    "kustomizations": "kustomize.toolkit.fluxcd.io/v1",
    "helmreleases": "helm.toolkit.fluxcd.io/v2",
}
DEFAULT_KEYS = ("value", "value.yaml")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Way:
    """What names a cluster: a key of a Secret (empty for the default one), or a ConfigMap."""

    namespace: str
    name: str
    key: str = ""
    config: bool = False

    @property
    def foreign(self) -> str:
        """Its name in the settings' `names`."""
        return "/".join(filter(None, (self.namespace, self.name, self.key)))

    @property
    def origin(self) -> str:
        """Where it stands, in words."""
        kind = "ConfigMap" if self.config else "Secret"
        return f"{kind} {shown(self.foreign)[1:-1]}"

    def called(self, inventory: Inventory) -> str:
        """Its foreign name where the settings map that, else the name that it has here."""
        if self.foreign in inventory.names:
            return self.foreign
        suffix = (inventory.flux or Settings()).suffix
        return self.name.removesuffix(suffix) or self.name

    def reference(self, inventory: Inventory) -> Reference | None:
        """What is read of it."""
        named = config_map if self.config else secret
        return named(self.namespace, self.name, of=self.called(inventory))


class Flux:
    """A Source: the cluster that Flux runs in."""

    def kinds(self, inventory: Inventory) -> tuple[Kind, ...]:
        """Kustomizations, and HelmReleases where they are served."""
        return tuple(
            Kind(
                plural=plural,
                versions=(version,),
                keep=kept,
                required=plural == "kustomizations",
            )
            for plural, version in KINDS.items()
        )

    def references(
        self, inventory: Inventory, objects: Objects
    ) -> tuple[Reference, ...]:
        """Each Secret and each ConfigMap."""
        wanted = (way.reference(inventory) for way in _ways(objects))
        return tuple(each for each in wanted if each is not None)

    def clusters(
        self, inventory: Inventory, objects: Objects, fetched: Fetched
    ) -> tuple[Member, ...]:
        """One cluster for each kubeconfig, not for each object."""
        return tuple(_member(inventory, way, fetched) for way in _ways(objects))


def kept(body: Json) -> Json | None:
    """The `kubeConfig` of an object, nothing of one that Flux applies where it runs."""
    spec = parse.mapping(body.get("spec"))
    named = parse.mapping(spec.get("kubeConfig"))
    return {"kubeConfig": named} if named else None


def _ways(objects: Objects) -> tuple[Way, ...]:
    found = {
        _way(namespace, body["kubeConfig"])
        for plural in KINDS
        for (namespace, _), body in objects.all(plural).items()
    }
    return tuple(sorted(found))


def _way(namespace: str, named: Json) -> Way:
    in_secret = parse.mapping(named.get("secretRef"))
    if not in_secret and named.get("configMapRef"):
        config = parse.mapping(named.get("configMapRef"))
        return Way(
            namespace=namespace, name=parse.text(config.get("name")), config=True
        )
    key = parse.text(in_secret.get("key"))
    return Way(
        namespace=namespace,
        name=parse.text(in_secret.get("name")),
        key="" if key in DEFAULT_KEYS else key,
    )


def _member(inventory: Inventory, way: Way, fetched: Fetched) -> Member:
    reference = way.reference(inventory)
    found = fetched.get(reference) if way.config and reference is not None else None
    data = parse.mapping(parse.mapping(found).get("data"))
    address = api_server(parse.text(data.get("address")))
    kind = "configmaps/" if way.config else ""
    said = ClusterEntry(
        name=way.name,
        inventory=inventory.name,
        api_servers=(address,) if address is not None else (),
        ca_bundle=pem(data.get("ca.crt")),
        inventory_id=parse.cluster_id(f"{kind}{way.foreign}"),
        origin=way.origin,
    )
    access = or_unknown(lambda: _access(inventory, way, fetched))
    return member(inventory, way.called(inventory), said, access)


def _access(inventory: Inventory, way: Way, fetched: Fetched) -> Credentials:
    """Raises RefusedKubeconfig."""
    found = answer(fetched, way.reference(inventory), way.origin)
    if way.config:
        provider = parse.mapping(found.get("data")).get("provider")
        what = f"Flux makes its own tokens for it (provider {shown(provider)})"
        hint = "list the cluster by another inventory, too"
        raise RefusedKubeconfig(what, way.origin, why=Why.UNAUTHORISED, hint=hint)
    keys = (way.key,) if way.key else DEFAULT_KEYS
    return from_secret(found, keys, inventory.allow, way.origin)

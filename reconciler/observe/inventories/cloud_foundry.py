"""A foundation of Cloud Foundry: its domains and TCP routes, from the Cloud Controller (does I/O).

`GET /v3/organizations?names=system`, `/v3/domains` and `/v3/routes?domain_guids=` with a token of
the UAA. Needed is a scope that sees all of them: `cloud_controller.global_auditor` or
`cloud_controller.admin_read_only`.

A foundation is told of in the form of a cluster: what it serves are objects in the namespaces
`cf.domain` and `cf.tcp`, which no cluster has. It is known by its organisation `system`, which is
made once, when the foundation is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlsplit

from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import (
    ClusterEntry,
    ClusterObjects,
    ClusterView,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.mounted import mounted
from reconciler.observe import parse
from reconciler.observe.inventories.found import Found
from reconciler.observe.inventories.pages import Pages
from reconciler.rest import Rest
from reconciler.settings import CloudFoundry, Domains, Exposed, Inventory
from reconciler.uaa import Client, Tokens

SECONDS = 120.0
"""How long one look at a foundation may take, with all of its pages."""
_ANNOTATION = "wharfinger.dev/"
_EXPOSE = f"{_ANNOTATION}expose"
_AT_ONCE = 50  # guids in one query
Json = parse.Json


class CloudFoundryReader:
    """Asks one Cloud Controller; keeps its token between looks."""

    def __init__(self, inventory: Inventory) -> None:
        if inventory.cloud_foundry is None:
            raise AssertionError("not a foundation")
        self._inventory = inventory
        self._source: CloudFoundry = inventory.cloud_foundry
        self._tokens = Tokens()

    async def read(self) -> Found:
        """The one foundation, known or not."""
        return (await self.view(),)

    async def view(self) -> ClusterView:
        """The foundation with all that it serves, or why that is not known."""
        name = self._inventory.called(self._inventory.name)
        entry = ClusterEntry(
            name=name,
            inventory=self._inventory.name,
            origin=f"foundation {self._inventory.name}",
        )
        try:
            async with asyncio.timeout(SECONDS):
                cluster_id, objects = await self._read()
        except (KubeError, RefusedKubeconfig) as exc:
            return ClusterView(entry=entry, objects=exc.unknown())
        except TimeoutError:
            late = f"{name}: not read within {SECONDS:g} s"
            unknown = Unknown(why=Why.TIMEOUT, message=late)
            return ClusterView(entry=entry, objects=unknown)
        known = ClusterEntry(
            name=name,
            inventory=self._inventory.name,
            cluster_id=cluster_id,
            inventory_id=cluster_id,
            origin=entry.origin,
        )
        return ClusterView(entry=known, objects=objects)

    async def _read(self) -> tuple[str, ClusterObjects]:
        """Its id and what it serves. Raises KubeError, RefusedKubeconfig.

        The id is asked for before and after: behind one address another one may answer.
        """
        folder = mounted(self._source.credentials)
        client = Client(
            uaa=folder.text("uaa"),
            name=folder.text("client"),
            secret=folder.text("secret"),
            ca=folder.maybe("ca.crt"),
        )
        address = folder.text("url")
        async with Rest(address, client.ca, name=self._inventory.name) as api:
            pages = Pages(api, client, self._tokens)
            found = await self._id(pages)
            domains = await pages.all("/v3/domains")
            tcp = {_guid(each): each for each in domains if _is_tcp(each)}
            routes = await self._routes(pages, sorted(tcp))
            system = self._system_domain(address)
            served = (
                *([_object("cf.domain", system, {}, _below(system))] if system else []),
                *(
                    self._domain(each)
                    for each in domains
                    if self._is_served(each, system)
                ),
                *(self._route(each, tcp) for each in routes if each.get("port")),
            )
            if await self._id(pages) != found:
                what = "another foundation answered before the lists were whole"
                raise KubeError(what, api.name, why=Why.INCOMPLETE)
        return found, ClusterObjects(virtual_services=_distinct(served, api.name))

    async def _id(self, pages: Pages) -> str:
        listed = await pages.all("/v3/organizations", {"names": "system"})
        ids = [parse.cluster_id(each.get("guid")) for each in listed]
        if len(ids) != 1 or not ids[0] or listed[0].get("name") != "system":
            what = (
                "there is no organisation `system` by which a foundation is known; may the "
                "client see it (cloud_controller.global_auditor)?"
            )
            raise KubeError(what, self._inventory.name, why=Why.NO_ID)
        return ids[0]

    async def _routes(self, pages: Pages, domains: Sequence[str]) -> list[Json]:
        found: list[Json] = []
        for start in range(0, len(domains), _AT_ONCE):
            some = ",".join(domains[start : start + _AT_ONCE])
            found += await pages.all("/v3/routes", {"domain_guids": some})
        return found

    def _system_domain(self, address: str) -> str:
        """The system domain, empty when not known: the Cloud Controller answers at `api.` of it."""
        first, _, rest = (urlsplit(address).hostname or "").partition(".")
        return self._source.system_domain or (rest if first == "api" else "")

    def _is_served(self, domain: Json, system: str) -> bool:
        """Whether a domain is one of HTTP that clients reach, and of whom we are to serve."""
        own = _organisation(domain) is None or self._source.domains is Domains.ALL
        inside = domain.get("internal") is True or _is_tcp(domain)
        return own and not inside and domain.get("name") != system

    def _domain(self, domain: Json) -> VirtualService:
        """A domain: all names below it, and of an organisation's own one also itself."""
        name = parse.text(domain.get("name"))
        own = (name,) if _organisation(domain) is not None else ()
        return _object("cf.domain", name, domain, _below(name, *own))

    def _route(self, route: Json, domains: Mapping[str, Json]) -> VirtualService:
        relation = parse.mapping(
            parse.mapping(route.get("relationships")).get("domain")
        )
        guid = parse.text(parse.mapping(relation.get("data")).get("guid"))
        port = parse.number(route.get("port"))
        if guid not in domains or not 0 < port < 65536:
            what = f"route {_guid(route)} is none of the domains that were asked for"
            raise KubeError(what, "/v3/routes", why=Why.INCOMPLETE)
        domain = parse.text(domains[guid].get("name"))
        all_of_them = self._source.tcp_routes is Exposed.ALL
        spec = {"domain": domain, "port": port}
        expose = "tcp" if all_of_them else ""
        return _object("cf.tcp", f"{domain}-{port}", route, spec, expose)


def _below(name: str, *more: str) -> Json:
    return {"hosts": (f"*.{name}", *more)}


def _object(
    namespace: str,
    name: str,
    body: Json,
    spec: Mapping[str, object],
    expose: str = "tls",
) -> VirtualService:
    """What is served, in the form of an exposed object. Labels are not looked at."""
    metadata = parse.mapping(body.get("metadata"))
    said = parse.mapping(metadata.get("annotations"))
    annotations = {
        key: text
        for key, text in said.items()
        if key.startswith(_ANNOTATION) and isinstance(text, str)
    }
    if expose:
        annotations.setdefault(_EXPOSE, expose)
    return VirtualService(
        namespace=namespace,
        name=name,
        uid=parse.text(body.get("guid")) or name,
        resource_version=parse.text(body.get("updated_at")),
        generation=0,
        deleting=False,
        annotations=annotations,
        spec=spec,
    )


def _distinct(
    served: Iterable[VirtualService], where: str
) -> tuple[VirtualService, ...]:
    found: dict[tuple[str, str], VirtualService] = {}
    for each in served:
        key = (each.namespace, each.name)
        if key in found:
            what = f"{each.name[:80]!a} is listed twice"
            raise KubeError(what, where, why=Why.INCOMPLETE)
        found[key] = each
    return tuple(found[key] for key in sorted(found))


def _guid(body: Json) -> str:
    return quote(parse.text(body.get("guid"))[:80], safe="")


def _is_tcp(domain: Json) -> bool:
    """Whether a domain is one of TCP routes. Before `supported_protocols` a router group said so."""
    protocols = domain.get("supported_protocols")
    if isinstance(protocols, list):
        return "tcp" in protocols
    return bool(domain.get("router_group"))


def _organisation(domain: Json) -> object:
    """Whose domain it is; `None` for one that all share."""
    relation = parse.mapping(
        parse.mapping(domain.get("relationships")).get("organization")
    )
    return relation.get("data")

"""TKGI (PKS): its API lists clusters, their masters and what was last done to them (does I/O).

`GET /v1/clusters` with a token of the UAA; nothing of a cluster but its kubeconfig is elsewhere:

    last_action              last_action_state                 the cluster is
    -----------------------  --------------------------------  ------------------------------------
    CREATE                   in progress, failed               provisioning
    CREATE                   succeeded                         alive
    DELETE                   in progress, succeeded            deleted: the inventory's own word
    DELETE                   failed                            unknown: half of it may be there
    UPDATE, UPGRADE, RESIZE  any; others as well               alive: resizing loses nothing

Alive without masters is unknown: they are not listed while machines are made anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from reconciler.kubeerrors import KubeError
from reconciler.loaders import RefusedKubeconfig, from_kubeconfig
from reconciler.model.access import Credentials
from reconciler.model.clusters import (
    ApiServer,
    ClusterEntry,
    ClusterState,
    Unknown,
    Why,
)
from reconciler.mounted import Mounted, mounted
from reconciler.observe import parse
from reconciler.observe.inventories.found import Found, Member, member
from reconciler.rest import Request, Rest
from reconciler.settings import Inventory
from reconciler.uaa import Client, Tokens

_FILE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]{0,127}\Z")
_PORT = 8443


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One cluster as the API tells of it. `foreign` is its name there."""

    foreign: str
    entry: ClusterEntry
    unknown: Unknown | None = None


class TkgiReader:
    """Asks one TKGI API; keeps its token, and kubeconfigs that it was given, between looks."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._tokens = Tokens()
        self._bound: dict[tuple[str, str], Credentials | Unknown] = {}

    async def read(self) -> Found:
        """All clusters that the API lists."""
        source = self._inventory.tkgi
        if source is None:
            raise AssertionError("not a TKGI inventory")
        try:
            folder = mounted(source.credentials)
            address, client = _place(folder)
            async with Rest(address, client.ca, name=self._inventory.name) as api:
                listed = clusters_in(await self._get(api, client, "/v1/clusters"))
                return tuple(
                    [await self._member(each, folder, api, client) for each in listed]
                )
        except (KubeError, RefusedKubeconfig) as exc:
            return exc.unknown()

    async def _member(
        self, told: Told, folder: Mounted, api: Rest, client: Client
    ) -> Member:
        access = told.unknown or self._mounted(told, folder)
        source = self._inventory.tkgi
        if access is None and source is not None and source.binds:
            access = await self._bind(told, api, client)
        if access is None:
            what = (
                f"there is no kubeconfig of it: mount one as clusters/{told.foreign[:64]} in "
                f"{folder.folder}, or set binds"
            )
            access = Unknown(why=Why.UNAUTHORISED, message=what)
        return member(self._inventory, told.foreign, told.entry, access)

    def _mounted(self, told: Told, folder: Mounted) -> Credentials | Unknown | None:
        if not _FILE.match(told.foreign):
            return None
        try:
            text = folder.maybe(f"clusters/{told.foreign}")
            where = f"the kubeconfig mounted for {told.foreign}"
            return from_kubeconfig(text, self._inventory.allow, where) if text else None
        except RefusedKubeconfig as exc:
            return exc.unknown()

    async def _bind(
        self, told: Told, api: Rest, client: Client
    ) -> Credentials | Unknown:
        """A kubeconfig from the API; asked for once a cluster, since each makes an account.

        One that is refused is not asked for again: the next would be refused, too.
        """
        key = (told.foreign, told.entry.inventory_id)
        if not told.entry.inventory_id:
            what = "it has no uuid, so no kubeconfig is asked for"
            return Unknown(why=Why.NO_ID, message=what)
        if key in self._bound:
            return self._bound[key]
        path = f"/v1/clusters/{quote(told.foreign, safe='')}/binds"
        try:
            found = await self._get(api, client, path, form={})
        except KubeError as exc:
            return exc.unknown()
        try:
            where, allow = f"binds of {told.foreign[:64]}", self._inventory.allow
            self._bound[key] = from_kubeconfig(_as_text(found), allow, where)
        except RefusedKubeconfig as exc:
            self._bound[key] = exc.unknown()
        return self._bound[key]

    async def _get(
        self,
        api: Rest,
        client: Client,
        path: str,
        form: Mapping[str, str] | None = None,
    ) -> object:
        """What the API says; a token that it no longer takes is renewed once."""
        token = await self._tokens.current(client)
        try:
            return await api.json(Request(path=path, authorisation=token, form=form))
        except KubeError as exc:
            if exc.why is not Why.UNAUTHORISED:
                raise
        token = await self._tokens.renewed(client)
        return await api.json(Request(path=path, authorisation=token, form=form))


def _place(folder: Mounted) -> tuple[str, Client]:
    """Address of the API, and who we are. UAA has its own port beside it."""
    address = folder.text("url")
    client = Client(
        uaa=folder.text("uaa"),
        name=folder.text("client"),
        secret=folder.text("secret"),
        ca=folder.maybe("ca.crt"),
    )
    return address, client


def _as_text(found: object) -> str:
    """A kubeconfig that came as JSON, which is YAML, too."""
    return json.dumps(found)


def clusters_in(answer: object) -> tuple[Told, ...]:
    """What an answer lists. Raises KubeError: an answer that is no list lists nothing."""
    if not isinstance(answer, list) or not all(isinstance(e, Mapping) for e in answer):
        what = "the answer is no list of clusters"
        raise KubeError(what, "/v1/clusters", why=Why.UNREADABLE)
    return tuple(map(_told, answer))


def _told(body: parse.Json) -> Told:
    foreign = parse.text(body.get("name"))
    parameters = parse.mapping(body.get("parameters"))
    host = parse.text(parameters.get("kubernetes_master_host"))
    state, unknown = _state(body)
    servers = _servers(body, parse.number(parameters.get("kubernetes_master_port")))
    if state is ClusterState.READY and unknown is None and not servers:
        what = "it has no masters now; they are not listed while machines are made anew"
        unknown = Unknown(why=Why.INCOMPLETE, message=what)
    entry = ClusterEntry(
        name="",
        inventory="",
        state=state,
        api_servers=servers if unknown is None else (),
        certificate_names=parse.certificate_names([host]) if host else None,
        inventory_id=parse.cluster_id(body.get("uuid")),
        origin=f"TKGI cluster {ascii(foreign[:64])[1:-1]}",
    )
    return Told(foreign=foreign, entry=entry, unknown=unknown)


def _state(body: parse.Json) -> tuple[ClusterState, Unknown | None]:
    """The table at the top; words are compared as they are documented, whatever their case."""
    action = parse.text(body.get("last_action")).upper()
    state = parse.text(body.get("last_action_state")).lower()
    shown = ascii(f"{action} {state}"[:64])[1:-1]
    match action, state:
        case "CREATE", "succeeded":
            return ClusterState.READY, None
        case "CREATE", "in progress" | "failed":
            what = f"it is not there yet ({shown})"
            unknown = Unknown(why=Why.INCOMPLETE, message=what)
            return ClusterState.PROVISIONING, unknown
        case "DELETE", "in progress" | "succeeded":
            return ClusterState.DELETED, None
        case "DELETE" | "CREATE" | "", _:
            what = f"what became of it is not known ({shown})"
            unknown = Unknown(why=Why.INCOMPLETE, message=what)
            return ClusterState.UNKNOWN, unknown
    return ClusterState.READY, None


def _servers(body: parse.Json, port: int) -> tuple[ApiServer, ...]:
    hosts = {
        parse.text(each) for each in parse.items(body.get("kubernetes_master_ips"))
    }
    found = port if 0 < port < 65536 else _PORT
    return tuple(ApiServer(host=host, port=found) for host in sorted(hosts - {""}))

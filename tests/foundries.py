"""A foundation of Cloud Foundry, its Cloud Controller, UAA and Routing API as documented (a fake).

Each answer follows its page of the public documentation:

    GET /                                 CC API v3, "Global API Root": links, no token needed
    GET /v3/info                          "Platform Info"
    GET /v3/organizations?names=          "List organizations"
    GET /v3/domains                       "The domain object": router_group, supported_protocols,
                                          relationships.organization.data null: shared
    GET /v3/routes?domain_guids=&ports=   "The route object": protocol, port, url, destinations,
                                          metadata.annotations
    GET /v3/routes/:guid/destinations     "List destinations for a route", with weights
    pages                                 "Pagination": total_results, total_pages, first, last,
                                          next (null on the last one), previous; per_page 1 to 5000
    errors                                "Errors": {"errors": [{code, title, detail}]}; 1000
                                          CF-InvalidAuthToken, 10002, 10003, 10000, 10005
    POST /oauth/token                     UAA, see tests/uaa.py
    GET /routing/v1/router_groups         Routing API, "List Router Groups": a bare array;
                                          scope routing.router_groups.read
    GET /routing/v1/tcp_routes            "List TCP Routes": a bare array with modification_tag
                                          and ttl; scope routing.routes.read

Roles are played by scopes: who has none that sees everything is shown nothing, as the Cloud
Controller does, and not refused. Addresses in answers are the server's own: its `external_domain`.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.stack.certificates import Authority
from tests.tlsweb import Asked, Said, web
from tests.uaa import CLIENT, SECRET, Uaa

AUDITOR, ADMIN_READ = (
    "cloud_controller.global_auditor",
    "cloud_controller.admin_read_only",
)
GROUPS_READ, ROUTES_READ = "routing.router_groups.read", "routing.routes.read"
_DESTINATIONS = re.compile(r"/v3/routes/([^/]+)/destinations")
_TITLES = {
    1000: (401, "CF-InvalidAuthToken", "Invalid Auth Token"),
    10000: (404, "CF-NotFound", "Unknown request"),
    10002: (401, "CF-NotAuthenticated", "Authentication error"),
    10003: (
        403,
        "CF-NotAuthorized",
        "You are not authorized to perform the requested action",
    ),
    10005: (400, "CF-BadQueryParameter", "The query parameter is invalid: "),
    10001: (500, "UnknownError", "An unknown error occurred."),
}
Doc = dict[str, Any]


def failure(code: int, more: str = "") -> Said:
    """An error as the Cloud Controller tells it."""
    status, title, detail = _TITLES[code]
    error = {"code": code, "title": title, "detail": f"{detail}{more}"}
    return Said(status=status, body={"errors": [error]})


def _authority(folder: Path) -> Authority:
    folder.mkdir(parents=True, exist_ok=True)
    return Authority(folder, "foundry")


@dataclass(slots=True, kw_only=True)
class Foundry:
    """One foundation. `meddle` may change what is said: it gets the request and the answer."""

    name: str
    uaa: Uaa = field(
        default_factory=lambda: Uaa(scopes=(AUDITOR, GROUPS_READ, ROUTES_READ))
    )
    domains: list[Doc] = field(default_factory=list)
    routes: list[Doc] = field(default_factory=list)
    organizations: list[Doc] = field(default_factory=list)
    router_groups: list[Doc] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    meddle: Callable[[Asked, Said], Said] | None = None
    url: str = ""
    _made: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Born with its organisation `system` and the router group `default-tcp`."""
        self.organizations.append(self._object("organization", name="system"))
        group = {"name": "default-tcp", "type": "tcp", "reservable_ports": "1024-1123"}
        self.router_groups.append({"guid": self._guid("group"), **group})

    @property
    def guid(self) -> str:
        """By which a foundation is known."""
        return str(self.organizations[0]["guid"])

    def recreate(self) -> None:
        """Another foundation, made anew, at the same place with the same content."""
        self.organizations[0] = self._object("organization", name="system")

    def domain(
        self, name: str, *, tcp: bool = False, organization: str = "", **rest: Any
    ) -> Doc:
        """A domain: shared, or private to an organisation; of HTTP, or of TCP."""
        owner = {"guid": organization} if organization else None
        group = {"guid": self.router_groups[0]["guid"]} if tcp else None
        made = self._object(
            "domain",
            name=name,
            router_group=group,
            supported_protocols=["tcp"] if tcp else ["http"],
            relationships={
                "organization": {"data": owner},
                "shared_organizations": {"data": []},
            },
            **{"internal": False, **rest},
        )
        self.domains.append(made)
        return made

    def tcp_route(self, domain: Doc, port: int, **annotations: str) -> Doc:
        """A TCP route; annotations are ours, without their prefix, `_` for `-`."""
        ours = {
            f"wharfinger.dev/{key.replace('_', '-')}": text
            for key, text in annotations.items()
        }
        url = f"{domain['name']}:{port}"
        return self._route(domain, "tcp", url, port=port, annotations=ours)

    def http_route(self, domain: Doc, host: str) -> Doc:
        """An HTTP route: the foundation's own business."""
        return self._route(domain, "http", f"{host}.{domain['name']}", host=host)

    def _route(self, domain: Doc, protocol: str, url: str, **rest: Any) -> Doc:
        space = {"guid": self._guid("space")}
        annotations = rest.pop("annotations", {})
        made = self._object(
            "route",
            protocol=protocol,
            host=rest.get("host", ""),
            path="",
            port=rest.get("port"),
            url=url,
            destinations=[self._destination(None)],
            relationships={
                "space": {"data": space},
                "domain": {"data": {"guid": domain["guid"]}},
            },
        )
        made["metadata"]["annotations"] = annotations
        self.routes.append(made)
        return made

    def _destination(self, weight: int | None) -> Doc:
        app = {"guid": self._guid("app"), "process": {"type": "web"}}
        where = {"port": 8080, "protocol": "tcp"}
        return {
            "guid": self._guid("destination"),
            "app": app,
            "weight": weight,
            **where,
        }

    def _object(self, kind: str, **rest: Any) -> Doc:
        at = f"2026-11-24T00:00:{next(self._made) % 60:02d}Z"
        return {
            "guid": self._guid(kind),
            "created_at": at,
            "updated_at": at,
            "metadata": {"labels": {}, "annotations": {}},
            **rest,
            "links": {},
        }

    def _guid(self, kind: str) -> str:
        text = f"{self.name}-{kind}-{next(self._made)}"
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, text))

    def answer(self, asked: Asked) -> Said:
        """What the Cloud Controller or the Routing API says."""
        self.asked.append(asked)
        said = self._said(asked)
        return self.meddle(asked, said) if self.meddle is not None else said

    def _said(self, asked: Asked) -> Said:
        if asked.method != "GET":
            return failure(10000)
        if asked.path == "/":
            return Said(body=self._root())
        if asked.path == "/v3/info":
            about = {"build": "", "description": "", "name": "", "version": 0}
            return Said(
                body={**about, "custom": {}, "links": {"self": self._link("/v3/info")}}
            )
        if asked.path.startswith("/routing/v1/"):
            return self._routing(asked)
        if "authorization" not in asked.headers:
            return failure(10002)
        if self.uaa.refusal(asked, *self.uaa.scopes) is not None:
            return failure(1000)
        if destinations := _DESTINATIONS.fullmatch(asked.path):
            return self._destinations(asked, destinations[1])
        lists = {
            "/v3/organizations": self.organizations,
            "/v3/domains": self.domains,
            "/v3/routes": self.routes,
        }
        if asked.path not in lists:
            return failure(10000)
        sees_all = {AUDITOR, ADMIN_READ} & set(self.uaa.scopes)
        return self._page(asked, lists[asked.path] if sees_all else [])

    def _root(self) -> Doc:
        uaa = {"href": f"https://uaa.{self.name}.example.com"}
        v3 = {**self._link("/v3"), "meta": {"version": "3.220.0"}}
        links = {"self": self._link(""), "cloud_controller_v3": v3, "uaa": uaa}
        return {"links": {**links, "login": uaa, "routing": self._link("/routing")}}

    def _page(self, asked: Asked, found: Sequence[Doc]) -> Said:
        query = dict(asked.query)
        page, size = query.pop("page", "1"), query.pop("per_page", "50")
        if not size.isdecimal() or not 1 <= int(size) <= 5000:
            return failure(10005, "Per page must be between 1 and 5000")
        if not page.isdecimal() or int(page) < 1:
            return failure(10005, "Page must be greater than or equal to 1")
        if query.pop("order_by", "created_at").lstrip("-") not in (
            "created_at",
            "updated_at",
        ):
            return failure(10005, "Order by can only be: 'created_at', 'updated_at'")
        kept = [each for each in found if _matches(each, query)]
        number, per = int(page), int(size)
        last = max(1, -(-len(kept) // per))

        def link(which: int) -> Doc:
            asking = {**asked.query, "page": str(which), "per_page": size}
            return self._link(f"{asked.path}?{urlencode(asking, quote_via=quote)}")

        pagination = {
            "total_results": len(kept),
            "total_pages": last,
            "first": link(1),
            "last": link(last),
            "next": link(number + 1) if number < last else None,
            "previous": link(number - 1) if number > 1 else None,
        }
        resources = kept[(number - 1) * per : number * per]
        return Said(body={"pagination": pagination, "resources": resources})

    def _destinations(self, asked: Asked, guid: str) -> Said:
        route = next((each for each in self.routes if each["guid"] == guid), None)
        if route is None:
            return failure(10000)
        links = {
            "self": self._link(asked.path),
            "route": self._link(f"/v3/routes/{guid}"),
        }
        return Said(body={"destinations": route["destinations"], "links": links})

    def _routing(self, asked: Asked) -> Said:
        wanted = {
            "/routing/v1/router_groups": (GROUPS_READ, self.router_groups),
            "/routing/v1/tcp_routes": (ROUTES_READ, list(self._registered())),
        }.get(asked.path)
        if wanted is None:
            return Said(status=404, body={})
        if self.uaa.refusal(asked, wanted[0]) is not None:
            error = {"name": "UnauthorizedError", "message": "Token is expired"}
            return Said(status=401, body=error)
        name = asked.query.get("name")
        found = [each for each in wanted[1] if name in (None, each.get("name"))]
        return Said(body=found)

    def _registered(self) -> Iterator[Doc]:
        for route in self.routes:
            if route["port"]:
                yield {
                    "router_group_guid": self.router_groups[0]["guid"],
                    "backend_port": 60000,
                    "backend_ip": "10.1.1.12",
                    "port": route["port"],
                    "modification_tag": {"guid": route["guid"], "index": 1},
                    "ttl": 120,
                    "isolation_segment": "",
                }

    def _link(self, path: str) -> Doc:
        return {"href": f"{self.url}{path}"}


def _matches(body: Doc, query: Mapping[str, str]) -> bool:
    relations = body.get("relationships", {})
    domain = relations.get("domain", {}).get("data", {}).get("guid")
    has = {
        "names": body.get("name"),
        "guids": body.get("guid"),
        "domain_guids": domain,
        "ports": str(body.get("port")),
        "hosts": body.get("host"),
    }
    return all(has.get(key) in text.split(",") for key, text in query.items())


@contextmanager
def serving(foundry: Foundry, folder: Path) -> Iterator[Path]:
    """Both servers on ports of their own; the folder of credentials that leads to them.

    It is `folder/credentials/<name>`, so foundations of one folder are mounted side by side.
    """
    authority = _authority(folder / f"authority-{foundry.name}")
    issued = authority.server(foundry.name, ("127.0.0.1",))
    with web(issued, foundry.uaa.answer) as uaa, web(issued, foundry.answer) as url:
        foundry.url = url
        mounted = folder / "credentials" / foundry.name
        mounted.mkdir(parents=True)
        files = {"url": url, "uaa": uaa, "client": CLIENT, "secret": SECRET}
        for name, text in files.items():
            (mounted / name).write_text(f"{text}\n")
        (mounted / "ca.crt").write_text(authority.cert.read_text())
        yield mounted

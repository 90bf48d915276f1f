"""A foundation's Cloud Controller as an inventory, against a server that speaks as documented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reconciler import rest
from reconciler.model.clusters import (
    ClusterObjects,
    ClusterView,
    Unknown,
    VirtualService,
    Why,
)
from reconciler.mounted import VARIABLE
from reconciler.observe.inventories.cloud_foundry import CloudFoundryReader
from reconciler.observe.inventories.pages import PER_PAGE
from reconciler.settings import Inventory
from tests.foundries import Foundry, failure, serving
from tests.tlsweb import Asked, Said
from tests.uaa import SECRET


@dataclass(slots=True, kw_only=True)
class Place:
    """A foundation, and what reads it."""

    foundry: Foundry
    folder: Path

    def reader(self, **settings: Any) -> CloudFoundryReader:
        body = {"credentials": "blue", "systemDomain": "sys.blue.example.com"}
        inventory = {"name": "blue", "cloudFoundry": {**body, **settings}}
        return CloudFoundryReader(Inventory.model_validate(inventory))

    def view(self, **settings: Any) -> ClusterView:
        """One look of a new process."""
        return asyncio.run(self.reader(**settings).view())

    def served(self, **settings: Any) -> dict[str, VirtualService]:
        """What is known to be served, by namespace and name."""
        objects = self.view(**settings).objects
        assert isinstance(objects, ClusterObjects), objects
        return {f"{e.namespace}/{e.name}": e for e in objects.virtual_services}

    def unknown(self) -> Unknown:
        """Why nothing is known; never with a secret in it."""
        found = self.view().objects
        assert isinstance(found, Unknown)
        assert SECRET not in found.message
        assert "canary" not in found.message
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    foundry = Foundry(name="blue")
    foundry.domain("apps.blue.example.com")
    with serving(foundry, tmp_path) as folder:
        monkeypatch.setenv(VARIABLE, str(folder.parent))
        yield Place(foundry=foundry, folder=folder)


def many(foundry: Foundry, count: int) -> None:
    tcp = foundry.domain("tcp.blue.example.com", tcp=True)
    for port in range(1024, 1024 + count):
        foundry.tcp_route(tcp, port)


def test_domains_and_tcp_routes_are_what_a_foundation_serves(place: Place) -> None:
    foundry = place.foundry
    tcp = foundry.domain("tcp.blue.example.com", tcp=True)
    foundry.domain("apps.internal", internal=True)
    foundry.domain("shop.example.net", organization="an-organisation")
    foundry.http_route(foundry.domains[0], "shop")
    foundry.tcp_route(tcp, 1024, request_port="20017")
    served = place.served()
    assert sorted(served) == [
        "cf.domain/apps.blue.example.com",
        "cf.domain/sys.blue.example.com",
        "cf.tcp/tcp.blue.example.com-1024",
    ]
    route = served["cf.tcp/tcp.blue.example.com-1024"]
    assert dict(route.annotations) == {
        "wharfinger.dev/expose": "tcp",
        "wharfinger.dev/request-port": "20017",
    }
    assert dict(route.spec) == {"domain": "tcp.blue.example.com", "port": 1024}
    view = place.view()
    assert view.entry.cluster_id == foundry.guid
    assert view.entry.name == "blue"


def test_organisations_domains_and_unasked_routes_are_a_matter_of_settings(
    place: Place,
) -> None:
    place.foundry.domain("shop.example.net", organization="an-organisation")
    tcp = place.foundry.domain("tcp.blue.example.com", tcp=True)
    place.foundry.tcp_route(tcp, 1024)
    place.foundry.tcp_route(tcp, 1025, expose="tcp")
    served = place.served(domains="all", tcpRoutes="annotated")
    own = served["cf.domain/shop.example.net"]
    assert own.spec["hosts"] == ("*.shop.example.net", "shop.example.net")
    asks = [e.annotations for k, e in served.items() if k.startswith("cf.tcp/")]
    assert asks == [{}, {"wharfinger.dev/expose": "tcp"}]


def test_lists_of_several_pages_are_whole(place: Place) -> None:
    many(place.foundry, PER_PAGE * 2 + 1)
    assert len(place.served()) == PER_PAGE * 2 + 3
    pages = [a for a in place.foundry.asked if a.path == "/v3/routes"]
    assert [each.query.get("page", "1") for each in pages] == ["1", "2", "3"] * 2


def test_a_token_that_ends_between_two_pages_is_renewed(place: Place) -> None:
    many(place.foundry, PER_PAGE + 1)
    uaa = place.foundry.uaa

    def meddle(asked: Asked, said: Said) -> Said:
        if asked.query.get("page") is None and asked.path == "/v3/routes":
            uaa.expire()
        return said

    place.foundry.meddle = meddle
    assert len(place.served()) == PER_PAGE + 3
    assert len(uaa.given) > 1


def test_a_token_is_used_until_shortly_before_its_end(place: Place) -> None:
    place.served()
    assert len(place.foundry.uaa.given) == 1


def test_a_route_that_is_deleted_between_two_pages_hides_no_other(place: Place) -> None:
    many(place.foundry, PER_PAGE + 2)
    foundry = place.foundry

    def meddle(asked: Asked, said: Said) -> Said:
        if asked.path == "/v3/routes" and "page" not in asked.query:
            gone = foundry.routes.pop(0)  # and another one comes: as many as before
            foundry.tcp_route(foundry.domains[1], 60000 + int(gone["port"]) % 9)
            foundry.meddle = None
        return said

    foundry.meddle = meddle
    assert place.unknown().why is Why.INCOMPLETE
    assert len(place.served()) == PER_PAGE + 4


def page_of(said: Said) -> dict[str, Any]:
    assert isinstance(said.body, dict)
    return said.body


BROKEN = {
    "a page without what follows": lambda page: page["pagination"].pop("next"),
    "no pagination": lambda page: page.pop("pagination"),
    "no resources": lambda page: page.pop("resources"),
    "fewer than it says": lambda page: page["resources"].pop(),
    "one without a guid": lambda page: page["resources"][0].pop("guid"),
    "one twice": lambda page: page["resources"].append(page["resources"][0]),
    "more than it says": lambda page: page["pagination"].update(total_results=0),
}


@pytest.mark.parametrize("what", BROKEN)
def test_half_an_answer_is_no_answer(place: Place, what: str) -> None:
    many(place.foundry, 3)

    def meddle(asked: Asked, said: Said) -> Said:
        if asked.path == "/v3/routes":
            page = {**page_of(said)}
            page["pagination"] = {**page["pagination"]}
            page["resources"] = [{**each} for each in page["resources"]]
            BROKEN[what](page)
            return replace(said, body=page)
        return said

    place.foundry.meddle = meddle
    assert place.unknown().why is Why.INCOMPLETE


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (failure(10001), Why.UNREACHABLE),
        (failure(10003), Why.FORBIDDEN),
        (failure(1000), Why.UNAUTHORISED),
        (Said(status=429, body={}), Why.UNREACHABLE),
        (Said(body=b'{"pagination": {"total_res'), Why.UNREADABLE),
        (Said(body=b"<html>"), Why.UNREADABLE),
        (Said(body=b" " * (64 * 1024 * 1024)), Why.INCOMPLETE),
    ],
)
def test_an_answer_that_is_none_makes_the_foundation_unknown(
    place: Place, said: Said, why: Why
) -> None:
    place.foundry.meddle = lambda asked, right: (
        said if asked.path == "/v3/domains" else right
    )
    assert place.unknown().why is why


def test_a_server_that_answers_late_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "LIMITS", replace(rest.LIMITS, request_seconds=0.5))
    done = threading.Event()

    def meddle(asked: Asked, said: Said) -> Said:
        if asked.path == "/v3/domains":
            done.wait(20)
        return said

    async def look() -> object:
        try:
            return (await place.reader().view()).objects
        finally:
            done.set()
            await asyncio.sleep(0.2)  # the server may end its side, too

    place.foundry.meddle = meddle
    found = asyncio.run(look())
    assert isinstance(found, Unknown)
    assert found.why is Why.TIMEOUT


def test_no_token_follows_an_answer_to_another_server(
    place: Place, tmp_path: Path
) -> None:
    other = Foundry(name="evil")
    many(place.foundry, PER_PAGE + 1)
    with serving(other, tmp_path):

        def elsewhere(asked: Asked, said: Said) -> Said:
            if asked.path != "/v3/routes":
                return said
            page = page_of(said)
            for href in hrefs:
                page["pagination"]["next"] = {"href": href}
            return said

        for href in (
            f"{other.url}/v3/routes?page=2",
            f"https://user@{place.foundry.url.removeprefix('https://')}/v3/routes?page=2",
            f"//{other.url.removeprefix('https://')}/v3/routes?page=2",
            f"{place.foundry.url}/v3/../oauth?page=2",
            "/v3/routes?page=2",
            "https://[",
        ):
            hrefs = [href]
            place.foundry.meddle = elsewhere
            assert "never followed" in place.unknown().message
        place.foundry.meddle = lambda asked, said: Said(
            status=302, headers={"Location": f"{other.url}/v3/domains"}
        )
        assert "redirect" in place.unknown().message
    assert other.asked == []
    assert other.uaa.asked == []


def test_who_does_not_see_everything_sees_a_foundation_without_an_id(
    place: Place,
) -> None:
    place.foundry.uaa.scopes = ("cloud_controller.read",)
    assert place.unknown().why is Why.NO_ID


def test_another_foundation_that_answers_in_the_middle_is_noticed(place: Place) -> None:
    def meddle(asked: Asked, said: Said) -> Said:
        if asked.path == "/v3/domains":
            place.foundry.recreate()
        return said

    place.foundry.meddle = meddle
    assert place.unknown().why is Why.INCOMPLETE


def test_a_wrong_secret_and_a_missing_file_say_so_without_the_secret(
    place: Place,
) -> None:
    place.foundry.uaa.secret = "another"
    assert place.unknown().why is Why.UNAUTHORISED
    (place.folder / "secret").unlink()
    assert "no file secret" in place.unknown().message


def test_a_server_that_another_authority_vouches_for_gets_nothing(
    place: Place, tmp_path: Path
) -> None:
    other = Foundry(name="evil")
    with serving(other, tmp_path) as folder:
        for name in ("url", "uaa"):
            (place.folder / name).write_text((folder / name).read_text())
        assert place.unknown().why is Why.UNREACHABLE
    assert other.asked == other.uaa.asked == []


def test_the_routing_api_and_destinations_are_there_for_others(place: Place) -> None:
    many(place.foundry, 2)
    token = "Bearer " + _token(place.foundry)
    ask = place.foundry.answer

    def get(path: str, **query: str) -> Said:
        headers = {"authorization": token}
        return ask(
            Asked(method="GET", path=path, query=query, headers=headers, body=b"")
        )

    groups = get("/routing/v1/router_groups", name="default-tcp").body
    assert isinstance(groups, list)
    assert groups[0]["reservable_ports"] == "1024-1123"
    routes = get("/routing/v1/tcp_routes").body
    assert isinstance(routes, list)
    assert [each["port"] for each in routes] == [1024, 1025]
    guid = place.foundry.routes[0]["guid"]
    found = get(f"/v3/routes/{guid}/destinations").body
    assert isinstance(found, dict)
    assert found["destinations"][0]["weight"] is None


def _token(foundry: Foundry) -> str:
    foundry.uaa.valid.add("given")
    return "given"

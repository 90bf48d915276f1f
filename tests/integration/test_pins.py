"""A cluster's CA is pinned in Git: no token goes to a server that another CA vouches for."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.model.clusters import Why
from reconciler.model.pins import Pin
from reconciler.trust import fingerprints
from tests import documents
from tests.ingress import Done, Ingress
from tests.integration.test_run_process import running as running_command
from tests.kubeserver import TOKEN, Server, running, serving
from tests.stack.certificates import Authority, Issued
from tests.watching import FakeCluster, Place, _data, on

Made = tuple[Authority, Issued]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    """Two authorities with a server each."""
    folders = (tmp_path_factory.mktemp(name) for name in ("one", "other"))
    one, other = map(serving, folders)
    return one, other


def cluster() -> FakeCluster:
    found = FakeCluster("id-eu1")
    for kind, name, space, body in (
        ("nodes", "n1", "", documents.node("n1", "10.20.0.1")),
        ("services", "orders", "shop", documents.service("orders", 31000)),
        ("virtualservices", "orders", "shop", documents.virtual_service("orders")),
    ):
        rest = {key: body[key] for key in body if key not in ("kind", "apiVersion")}
        found.put(kind, name, space, **rest)
    return found


class Platform:
    """An ingress repository whose one inventory is a kubeconfig that people change."""

    def __init__(self, root: Path, **more: object) -> None:
        self.ingress = Ingress(root=root)
        self.file = root / "kubeconfig"
        inventory = {"name": "kube", "kubeconfig": {"path": str(self.file)}}
        settings = {"inventories": [inventory], "apis": {"mode": "off"}, **more}
        self.ingress.start(**settings)

    def point(self, server: Server, ca: str, **more: object) -> None:
        """The cluster is at this server, under this CA."""
        url = f"https://127.0.0.1:{server.port}"
        data = {"certificate-authority-data": _data(ca)} if ca else {}
        entries: dict[str, Any] = {
            "clusters": [{"name": "c", "cluster": {"server": url, **data, **more}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "eu1", "context": {"cluster": "c", "user": "u"}}],
        }
        self.file.write_text(json.dumps(entries))

    async def reconcile(self) -> Done:
        return await asyncio.to_thread(self.ingress.reconcile)

    async def run(self, *args: str) -> Done:
        return await asyncio.to_thread(self.ingress.run, *args)

    def record(self) -> dict[str, Any]:
        found = yamlio.load(self.ingress.show("clusters/eu1.yaml").encode())
        assert isinstance(found, dict)
        return found


@asynccontextmanager
async def at_two(two: tuple[Made, Made]) -> AsyncIterator[tuple[Server, Server]]:
    async with running(two[0], cluster()) as one, running(two[1], cluster()) as other:
        yield one, other


def test_a_swapped_server_gets_no_token_until_people_accept_its_ca(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    platform = Platform(tmp_path)

    async def use() -> None:
        async with at_two(two) as (one, other):
            platform.point(one, one.ca)
            first = await platform.reconcile()
            assert first.code == 0, first.err
            assert platform.record()["caBundle"].strip() == one.ca.strip()

            platform.point(other, other.ca)
            swapped = await platform.reconcile()
            assert swapped.code == 5, swapped.err
            (row,) = swapped.rows("skip")
            assert (row["code"], row["cluster"]) == ("WHF310", "eu1")
            assert other.connections == 0
            assert TOKEN not in swapped.out + swapped.err

            found = re.search(r"`wharfinger (accept-cluster \S+ \S+)`", row["reason"])
            assert found is not None
            accepted = await platform.run(*found[1].split())
            assert accepted.code == 0, accepted.err
            assert platform.record()["accept"] == list(fingerprints(other.ca))
            taken = await platform.reconcile()
            assert taken.code == 0, taken.err
            record = platform.record()
            assert record["caBundle"].strip() == other.ca.strip()
            assert "accept" not in record

    asyncio.run(use())


def test_a_bundle_of_both_is_the_rotation(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    platform = Platform(tmp_path)

    async def use() -> None:
        async with at_two(two) as (one, other):
            for server, ca in (
                (one, one.ca),
                (one, one.ca + other.ca),
                (other, other.ca),
            ):
                platform.point(server, ca)
                done = await platform.reconcile()
                assert done.code == 0, done.err
                pinned = fingerprints(platform.record()["caBundle"])
                assert pinned == fingerprints(ca)
            platform.point(one, one.ca)
            assert (await platform.reconcile()).code == 5

    asyncio.run(use())


def test_leaving_the_ca_out_is_no_way_around_it(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    platform = Platform(tmp_path)

    async def use() -> None:
        async with at_two(two) as (one, other):
            platform.point(one, one.ca)
            assert (await platform.reconcile()).code == 0
            platform.point(other, "")
            done = await platform.reconcile()
            assert (done.code, done.rows("skip")[0]["code"]) == (5, "WHF310")
            assert "host:127.0.0.1" in done.rows("skip")[0]["reason"]
            assert other.connections == 0

    asyncio.run(use())


def test_taking_the_record_away_is_no_way_around_it_either(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    platform = Platform(tmp_path)

    async def use() -> None:
        async with at_two(two) as (one, other):
            platform.point(one, one.ca)
            assert (await platform.reconcile()).code == 0
            platform.ingress.commit({"clusters/eu1.yaml": None}, "Tidy up")
            platform.point(other, other.ca)
            done = await platform.reconcile()
            assert done.rows("skip")[0]["code"] == "WHF310"
            assert other.connections == 0

    asyncio.run(use())


def test_run_sends_nothing_to_a_swapped_server_and_takes_it_when_people_accept(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    platform = Platform(tmp_path, watch={"quiet": "0s", "longest": "1s"})
    log = tmp_path / "run.log"

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.2)

    def pinned() -> str:
        known = "clusters/eu1.yaml" in platform.ingress.files()
        return str(platform.record()["caBundle"]).strip() if known else ""

    async def use() -> None:
        async with at_two(two) as (one, other):
            platform.point(one, one.ca)
            with running_command(platform.ingress):
                await until(lambda: pinned() == one.ca.strip())
                platform.point(other, other.ca)
                await until(lambda: "WHF310" in log.read_text())
                assert other.connections == 0
                accept = fingerprints(other.ca)[0]
                assert (await platform.run("accept-cluster", "eu1", accept)).code == 0
                await until(lambda: pinned() == other.ca.strip())
            assert TOKEN not in log.read_text()

    asyncio.run(use())


def test_a_watched_cluster_that_is_swapped_is_unknown_at_once(
    tmp_path: Path, two: tuple[Made, Made]
) -> None:
    place = Place(tmp_path, two[0])

    async def use(place: Place) -> None:
        ca = place.servers["eu1"].ca
        place.watcher.pinned({"eu1": Pin(cluster_id="id-eu1", ca_bundle=ca)})
        async with running(two[1], cluster()) as other:
            place.servers["eu1"] = other
            place.write()
            await place.until(lambda: place.why() is Why.OTHER_CA)
            entry = place.view().entry
            assert (entry.name, entry.api_servers, entry.ca_bundle) == ("eu1", (), "")
            access = place.view().access
            assert access is not None
            assert access.ca == ca
            await place.watcher.look_again(["eu1"])
            assert place.why() is Why.OTHER_CA
            assert other.connections == 0
            accept = fingerprints(other.ca)
            pin = Pin(cluster_id="id-eu1", ca_bundle=ca, accept=accept)
            place.watcher.pinned({"eu1": pin})
            await place.until(lambda: place.why() is None)
            assert place.names() == ["orders"]

    on(place, {"eu1": cluster()}, use)

"""The TKGI inventory against a server that speaks as the documented API does."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.clusters import (
    ApiServer,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.mounted import VARIABLE
from reconciler.observe.inventories import Found, Member, Server, reader
from reconciler.observe.inventories.tkgi import clusters_in
from reconciler.settings import Inventory
from tests.tkgi import ADMIN, MANAGE, Tkgi, serving
from tests.tlsweb import Said
from tests.uaa import SECRET

MASTERS = ("10.197.100.130", "10.197.100.131", "10.197.100.132")


@dataclass(slots=True, kw_only=True)
class Pks:
    """A TKGI API, and the inventory that asks it."""

    tkgi: Tkgi
    folder: Path
    inventory: Inventory

    def look(self) -> Found:
        """One look of a new process."""
        return asyncio.run(reader(self.inventory).read())

    def member(self, name: str) -> Member:
        found = self.look()
        assert not isinstance(found, Unknown), found
        return next(each for each in found if each.entry.name == name)

    def failure(self) -> Unknown:
        found = self.look()
        assert isinstance(found, Unknown)
        assert SECRET not in found.message
        assert "canary" not in found.message
        return found


def inventory(**body: Any) -> Inventory:
    source = {"credentials": "pks", **body}
    return Inventory.model_validate({"name": "pks", "tkgi": source})


@pytest.fixture
def pks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pks]:
    tkgi = Tkgi()
    with serving(tkgi, tmp_path / "tkgi") as folder:
        monkeypatch.setenv(VARIABLE, str(folder.parent))
        yield Pks(tkgi=tkgi, folder=folder, inventory=inventory())


def created(tkgi: Tkgi, name: str = "k1", *masters: str) -> None:
    tkgi.create(name)
    tkgi.done(name, *(masters or MASTERS[:1]))


def kubeconfig(server: str = "https://k1.pks.example.com:8443") -> dict[str, Any]:
    cluster = {"server": server, "certificate-authority-data": ""}
    context = {"cluster": "k1", "user": "u"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "k1",
        "clusters": [{"name": "k1", "cluster": cluster}],
        "contexts": [{"name": "k1", "context": context}],
        "users": [{"name": "u", "user": {"token": "canary-cluster"}}],
    }


def states(pks: Pks) -> tuple[ClusterState, tuple[str, ...]]:
    entry = pks.member("k1").entry
    return entry.state, tuple(each.host for each in entry.api_servers)


def test_a_cluster_is_followed_from_its_creation_to_its_deletion(pks: Pks) -> None:
    tkgi = pks.tkgi
    tkgi.create("k1")
    assert states(pks) == (ClusterState.PROVISIONING, ())
    tkgi.done("k1", MASTERS[0])
    assert states(pks) == (ClusterState.READY, MASTERS[:1])
    tkgi.begin("k1", "UPDATE")
    assert states(pks) == (ClusterState.READY, MASTERS[:1])
    tkgi.done("k1", *MASTERS)
    assert states(pks) == (ClusterState.READY, MASTERS)
    tkgi.begin("k1", "UPDATE")
    tkgi.done("k1", MASTERS[2])
    assert states(pks) == (ClusterState.READY, MASTERS[2:])
    tkgi.begin("k1", "UPGRADE")
    assert states(pks) == (ClusterState.READY, MASTERS[2:])
    tkgi.done("k1", state="failed")
    assert states(pks) == (ClusterState.READY, MASTERS[2:])
    tkgi.begin("k1", "DELETE")
    assert states(pks)[0] is ClusterState.DELETED


def test_what_a_cluster_is_called_and_known_by(pks: Pks) -> None:
    created(pks.tkgi)
    entry = pks.member("k1").entry
    assert entry.inventory_id == pks.tkgi.clusters["k1"]["uuid"]
    assert entry.api_servers == (ApiServer(host=MASTERS[0], port=8443),)
    assert entry.certificate_names == ("k1.pks.example.com",)
    assert entry.origin == "TKGI cluster k1"


@pytest.mark.parametrize(
    ("action", "state"),
    [("DELETE", "failed"), ("CREATE", "odd"), ("", "succeeded"), ("", "")],
)
def test_what_became_of_a_cluster_and_is_not_clear_is_unknown(
    pks: Pks, action: str, state: str
) -> None:
    created(pks.tkgi)
    pks.tkgi.clusters["k1"] |= {"last_action": action, "last_action_state": state}
    found = pks.member("k1")
    assert isinstance(found, ClusterView)
    assert found.entry.state is ClusterState.UNKNOWN
    assert found.entry.api_servers == ()
    assert isinstance(found.objects, Unknown)


@pytest.mark.parametrize("action", ["UPDATE", "UPGRADE", "RESIZE", "ROTATE_CERTS"])
@pytest.mark.parametrize("state", ["in progress", "succeeded", "failed", "odd", ""])
def test_whatever_is_done_to_a_living_cluster_it_stays_alive(
    pks: Pks, action: str, state: str
) -> None:
    created(pks.tkgi)
    pks.tkgi.clusters["k1"] |= {"last_action": action, "last_action_state": state}
    assert states(pks) == (ClusterState.READY, MASTERS[:1])


def test_a_cluster_whose_masters_are_not_listed_for_a_while_is_unknown(
    pks: Pks,
) -> None:
    created(pks.tkgi)
    pks.tkgi.begin("k1", "UPGRADE")
    pks.tkgi.clusters["k1"]["kubernetes_master_ips"] = None
    found = pks.member("k1")
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is Why.INCOMPLETE


def test_a_cluster_without_a_kubeconfig_says_where_to_put_one(pks: Pks) -> None:
    created(pks.tkgi)
    found = pks.member("k1")
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert f"clusters/k1 in {pks.folder}" in found.objects.message


def test_a_mounted_kubeconfig_is_how_a_cluster_is_read(pks: Pks) -> None:
    created(pks.tkgi)
    (pks.folder / "clusters").mkdir()
    (pks.folder / "clusters" / "k1").write_text(json.dumps(kubeconfig()))
    found = pks.member("k1")
    assert isinstance(found, Server)
    assert found.credentials.server == "https://k1.pks.example.com:8443"
    assert [each.host for each in found.entry.api_servers] == [MASTERS[0]]


def test_a_mounted_kubeconfig_that_runs_programs_is_refused(pks: Pks) -> None:
    created(pks.tkgi)
    bad = kubeconfig()
    bad["users"][0]["user"] = {"exec": {"command": "sh", "args": ["-c", "id"]}}
    (pks.folder / "clusters").mkdir()
    (pks.folder / "clusters" / "k1").write_text(json.dumps(bad))
    found = pks.member("k1")
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert "exec is not accepted" in found.objects.message


@pytest.mark.parametrize("scope", [ADMIN, MANAGE])
def test_binds_give_a_kubeconfig_once_a_cluster(pks: Pks, scope: str) -> None:
    created(pks.tkgi)
    pks.tkgi.uaa.scopes = (scope,)
    pks.tkgi.kubeconfigs["k1"] = kubeconfig()
    source = reader(inventory(binds=True))

    async def twice() -> tuple[Found, Found]:
        return await source.read(), await source.read()

    for found in asyncio.run(twice()):
        assert not isinstance(found, Unknown)
        assert isinstance(found[0], Server)
    posts = [each for each in pks.tkgi.asked if each.method == "POST"]
    assert len(posts) == 1


def test_a_kubeconfig_that_is_refused_is_asked_for_once(pks: Pks) -> None:
    created(pks.tkgi)
    pks.tkgi.uaa.scopes = (ADMIN,)
    oidc = kubeconfig()
    oidc["users"][0]["user"] = {"auth-provider": {"name": "oidc"}}
    pks.tkgi.kubeconfigs["k1"] = oidc
    source = reader(inventory(binds=True))

    async def looks() -> None:
        for _ in range(3):
            await source.read()

    asyncio.run(looks())
    assert len([each for each in pks.tkgi.asked if each.method == "POST"]) == 1


def test_clusters_without_an_id_share_no_kubeconfig(pks: Pks) -> None:
    pks.tkgi.uaa.scopes = (ADMIN,)
    for name in ("k1", "k2"):
        created(pks.tkgi, name)
        del pks.tkgi.clusters[name]["uuid"]
        pks.tkgi.kubeconfigs[name] = kubeconfig(f"https://{name}.pks.example.com:8443")
    pks.inventory = inventory(binds=True)
    found = pks.look()
    assert not isinstance(found, Unknown)
    assert not any(isinstance(each, Server) for each in found)


def test_binds_need_a_scope_that_may_have_them(pks: Pks) -> None:
    created(pks.tkgi)
    pks.inventory = inventory(binds=True)
    found = pks.member("k1")
    assert isinstance(found, ClusterView)
    assert isinstance(found.objects, Unknown)
    assert found.objects.why is Why.FORBIDDEN


def test_a_token_is_used_until_it_is_nearly_over(pks: Pks) -> None:
    source = reader(pks.inventory)

    async def looks() -> None:
        for _ in range(3):
            await source.read()

    asyncio.run(looks())
    assert len(pks.tkgi.uaa.given) == 1


def test_a_token_that_is_refused_is_renewed_once(pks: Pks) -> None:
    created(pks.tkgi)
    source = reader(pks.inventory)

    async def looks() -> tuple[Found, Found]:
        first = await source.read()
        pks.tkgi.uaa.expire()
        return first, await source.read()

    first, second = asyncio.run(looks())
    assert first == second
    assert len(pks.tkgi.uaa.given) == 2


def test_a_short_lived_token_is_renewed_before_it_ends(pks: Pks) -> None:
    pks.tkgi.uaa.seconds = 1
    source = reader(pks.inventory)

    async def looks() -> None:
        await source.read()
        await asyncio.sleep(1.0)
        await source.read()

    asyncio.run(looks())
    assert len(pks.tkgi.uaa.given) == 2
    assert [each for each in pks.tkgi.asked if each.method == "GET"]


def test_a_secret_that_is_rotated_is_followed_without_a_restart(pks: Pks) -> None:
    created(pks.tkgi)
    source = reader(pks.inventory)

    async def looks() -> Found:
        await source.read()
        pks.tkgi.uaa.secret = "another"
        pks.tkgi.uaa.expire()
        (pks.folder / "secret").write_text("another")
        return await source.read()

    assert not isinstance(asyncio.run(looks()), Unknown)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, Why.UNAUTHORISED),
        (403, Why.FORBIDDEN),
        (404, Why.INCOMPLETE),
        (429, Why.UNREACHABLE),
        (500, Why.UNREACHABLE),
        (502, Why.UNREACHABLE),
        (504, Why.TIMEOUT),
    ],
)
def test_an_api_that_fails_is_an_inventory_that_is_not_known(
    pks: Pks, status: int, why: Why
) -> None:
    created(pks.tkgi)
    pks.tkgi.fails = [Said(status=status, body={"message": "canary"})] * 2
    assert pks.failure().why is why


@pytest.mark.parametrize(
    "body",
    [
        {"clusters": []},
        {},
        None,
        "k1",
        [None],
        ["k1"],
        [[]],
        b"[{",
        b"",
        b"[NaN]",
        b"<html>login</html>",
        b"[" * 5000,
    ],
)
def test_an_answer_that_is_no_list_of_clusters_is_not_an_empty_one(
    pks: Pks, body: object
) -> None:
    created(pks.tkgi)
    pks.tkgi.fails = [Said(body=body)]
    assert pks.failure().why in (Why.UNREADABLE, Why.INCOMPLETE)


def test_an_empty_list_is_a_list(pks: Pks) -> None:
    assert pks.look() == ()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_no_token_goes_elsewhere(
    pks: Pks, tmp_path: Path, status: int
) -> None:
    other = Tkgi()
    with serving(other, tmp_path / "other"):
        to = {"Location": f"{other.url}/v1/clusters"}
        pks.tkgi.fails = [Said(status=status, headers=to)]
        assert "redirect" in pks.failure().message
    assert not other.asked


@pytest.mark.parametrize("missing", ["url", "uaa", "client", "secret"])
def test_a_file_that_is_missing_is_named(pks: Pks, missing: str) -> None:
    (pks.folder / missing).unlink()
    assert f"there is no file {missing} in it" in pks.failure().message


def test_a_wrong_secret_is_said_without_the_secret(pks: Pks) -> None:
    pks.tkgi.uaa.secret = "another"
    assert pks.failure().why is Why.UNAUTHORISED


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1",
        "https://user:pass@127.0.0.1",
        "https://127.0.0.1:1/path",
        "https://127.0.0.1:99999",
        "file:///etc/passwd",
        "127.0.0.1:9021",
    ],
)
def test_an_address_that_is_no_https_host_is_refused(pks: Pks, address: str) -> None:
    (pks.folder / "url").write_text(address)
    failure = pks.failure()
    assert "its address" in failure.message
    assert "pass@" not in failure.message


def test_a_server_of_another_authority_gets_no_secret(pks: Pks, tmp_path: Path) -> None:
    with serving(Tkgi(), tmp_path / "other") as other:
        shutil.copy(other / "ca.crt", pks.folder / "ca.crt")
        assert "certificate is not trusted" in pks.failure().message
    assert not pks.tkgi.uaa.asked


def test_without_the_folder_of_credentials_it_is_said_what_to_set(
    pks: Pks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    assert VARIABLE in pks.failure().message


def test_clusters_are_mapped_and_odd_names_hide_nobody(pks: Pks) -> None:
    for name in ("K1", "k2", "../../etc", "x" * 300, "all", ""):
        created(pks.tkgi, name)
    pks.inventory = Inventory.model_validate(
        {"name": "pks", "tkgi": {"credentials": "pks"}, "names": {"K1": "k1"}}
    )
    found = pks.look()
    assert not isinstance(found, Unknown)
    assert len(found) == 6
    assert {"k1", "k2"} <= {each.entry.name for each in found}


ODD = [None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"a": 1}, "\x00", "\ud800"]


@pytest.mark.parametrize("key", ["name", "uuid", "last_action", "last_action_state", "kubernetes_master_ips", "parameters"])  # fmt: skip
@pytest.mark.parametrize("value", ODD, ids=ascii)
def test_no_value_of_any_type_breaks_more_than_its_cluster(
    key: str, value: object
) -> None:
    tkgi = Tkgi()
    created(tkgi, "k1")
    created(tkgi, "k2")
    tkgi.clusters["k1"][key] = value
    found = clusters_in(list(tkgi.clusters.values()))
    assert len(found) == 2
    assert found[1].entry.state is ClusterState.READY

"""Two passes at once on one repository: every port has one owner and nothing is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler import yamlio
from reconciler.errors import Exit
from tests.ingress import Done, Ingress

EXPOSURES = 100
RANGE = "20000-20399"


def settings(ingress: Ingress, folder: Path) -> bytes:
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "ports": {"range": RANGE},
    }
    directory = {"name": "lab", "directory": {"path": str(folder)}}
    return ingress.settings(gateways=[gateway], inventories=[directory])


def owners(ingress: Ingress) -> dict[int, tuple[str, str]]:
    """Owner by port, as the ledger at HEAD has them."""
    ingress.pull()
    found = {}
    for file in (ingress.work / "ports" / "public").iterdir():
        body = yamlio.load(file.read_bytes())
        assert isinstance(body, dict)
        assert (body["state"], body["port"]) == ("active", int(file.stem))
        owner = body["owner"]
        found[body["port"]] = (owner["cluster"], owner["name"])
    return found


def together(passes: list[Ingress]) -> list[Done]:
    with ThreadPoolExecutor(len(passes)) as pool:
        return list(pool.map(lambda each: each.reconcile(), passes))


def test_two_directories_share_one_pool_of_ports(tmp_path: Path) -> None:
    """One relative path in the settings, and another working directory for each of them."""
    first = Ingress(root=tmp_path).start()
    (first.clusters / "eu1").rename(tmp_path / "unused")
    first.commit({"wharfinger.yaml": settings(first, Path("clusters"))}, "Share")
    passes = []
    for name in ("eu1", "us1"):
        there = Ingress(
            root=tmp_path / name, environment={"WHARFINGER_REPO": str(first.remote)}
        )
        there.root.mkdir()
        there.cluster(name)
        for index in range(EXPOSURES):
            there.expose(name, f"app{index}")
        passes.append(there)
    for name, done in zip(("eu1", "us1"), together(passes), strict=True):
        # Who begins after the other has pushed does not find the other's cluster in its folder.
        vanished = {row["cluster"] for row in done.rows("skip")}
        assert vanished <= {"eu1", "us1"} - {name}
        assert done.code == (Exit.INCOMPLETE if vanished else Exit.DONE), done.err
        assert len([row for row in done.rows("create") if row["name"]]) == EXPOSURES
    found = owners(first)
    wanted = {(each, f"app{i}") for each in ("eu1", "us1") for i in range(EXPOSURES)}
    assert len(found) == 2 * EXPOSURES
    assert set(found.values()) == wanted
    wishes = [path for path in first.files("manifests") if ".endpoints." not in path]
    assert len(wishes) == 2 * EXPOSURES
    merges = first.git("log", "--merges", "--format=%h", "main", at=first.remote)
    assert merges == ""


def test_two_passes_of_the_same_directory_make_the_commits_once(
    tmp_path: Path,
) -> None:
    first = Ingress(root=tmp_path).start()
    for index in range(20):
        first.expose("eu1", f"app{index}")
    caches = [
        Ingress(root=tmp_path, environment={"XDG_CACHE_HOME": str(tmp_path / name)})
        for name in ("cache1", "cache2")
    ]
    for done in together(caches):
        assert done.code == 0, done.err
    assert len(owners(first)) == 21
    log = first.git("log", "--format=%s", "main", at=first.remote).splitlines()
    assert len(log) == len(set(log))
    assert first.reconcile().plan["changes"] == []


# The first push waits inside the server until the file `go` is there.
HOOK = """#!/bin/sh
cd "$(dirname "$0")/../.."
if mkdir first 2>/dev/null; then
  touch waiting
  while [ ! -e go ]; do sleep 0.05; done
fi
"""


def test_a_late_pass_takes_back_nothing_that_it_has_not_seen(tmp_path: Path) -> None:
    """It looked before there was `news` and before `carts` changed; another pass knew more."""
    place = Ingress(root=tmp_path).start()
    place.expose("eu1", "carts")
    hook = place.remote / "hooks" / "pre-receive"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    late = Ingress(root=tmp_path, environment={"XDG_CACHE_HOME": str(tmp_path / "late")})  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(late.reconcile)
        while not (tmp_path / "waiting").exists():
            assert not running.done(), running.result().err
            time.sleep(0.02)
        place.expose("eu1", "news")
        place.expose("eu1", "carts", annotations={"wharfinger.dev/request-port": "20042"})  # fmt: skip
        assert place.reconcile().code == 0
        tip = place.tip()
        (tmp_path / "go").touch()
        done = running.result()
    assert done.code == 0, done.err
    assert "lost the race" in done.err
    assert place.tip() == tip
    assert place.reconcile().plan["changes"] == []

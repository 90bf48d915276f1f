"""Shards on real Git: two processes with a gateway each are one, whoever is first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler import yamlio
from tests.ingress import Ingress, Near

NAMES = [f"app{index}" for index in range(12)]


def settings(place: Ingress, **overrides: object) -> dict[str, object]:
    gateways = [
        {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": ports},
            "proof": "off",
        }
        for name, ports in (("public", "20000-20005"), ("second", "21000-21099"))
    ]
    tenant = {
        "clusters": ["*"],
        "gateways": ["public", "second"],
        "endpoints": ["10.20.0.0/16"],
        "placement": "overflow",
    }
    return {"gateways": gateways, "tenants": [tenant], **overrides}


def start(root: Path, **overrides: object) -> Ingress:
    place = Near(root=root)
    place.start(**settings(place, **overrides))
    for index, name in enumerate(NAMES):
        named = {"wharfinger.dev/gateway": "second"} if index % 3 == 0 else {}
        place.expose("eu1", name, annotations=named)
    return place


def tree(place: Ingress) -> str:
    """Everything at HEAD but the settings, which name folders of this place."""
    listed = place.git("ls-tree", "-r", "main", at=place.remote).splitlines()
    return "\n".join(line for line in listed if not line.endswith("wharfinger.yaml"))


def written_on(place: Ingress, name: str) -> dict[str, str]:
    body = yamlio.load((place.clusters / "eu1" / f"{name}.yaml").read_bytes())
    assert isinstance(body, dict)
    return dict(body["metadata"]["annotations"])


def test_two_shards_at_once_write_the_tree_of_one_process(tmp_path: Path) -> None:
    alone, shared = start(tmp_path / "alone"), start(tmp_path / "shared")
    assert alone.reconcile().code == 0
    passes = [
        Ingress(root=shared.root, environment={"XDG_CACHE_HOME": str(tmp_path / name)})
        for name in ("public", "second")
    ]
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(
                lambda each: each[0].reconcile(f"--gateway={each[1]}"),
                zip(passes, ("public", "second"), strict=True),
            )
        )
    assert [each.code for each in done] == [0, 0]
    assert tree(shared) == tree(alone)
    assert shared.reconcile().plan["changes"] == []


def test_a_shard_writes_and_tells_only_what_is_its_own(tmp_path: Path) -> None:
    place = start(tmp_path)
    done = place.run("reconcile", "-o", "json", "--write-back=on", "--gateway=second")
    assert {row["gateway"] for row in done.plan["changes"] if row["gateway"]} == {"second"}  # fmt: skip
    assert {path.split("/")[1] for path in place.files("manifests")} == {"second"}
    second = {path.split("/")[-1] for path in place.files("manifests")}
    for name in NAMES:
        told = "wharfinger.dev/state" in written_on(place, name)
        assert told == (f"vs-{name}.yaml" in second)
    again = place.run("reconcile", "-o", "json", "--write-back=on", "--gateway=public")
    assert again.code == 0
    assert all("wharfinger.dev/state" in written_on(place, name) for name in NAMES)


def test_overlapping_shards_do_no_harm(tmp_path: Path) -> None:
    alone, shared = start(tmp_path / "alone"), start(tmp_path / "shared")
    alone.reconcile()
    sets = [("public", "second"), ("second",), ("public",)]

    def one(index: int) -> int:
        cache = {"XDG_CACHE_HOME": str(tmp_path / f"cache{index}")}
        own = Ingress(root=shared.root, environment=cache)
        return own.reconcile(*(f"--gateway={name}" for name in sets[index])).code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == [0, 0, 0]
    assert tree(shared) == tree(alone)


@pytest.mark.parametrize(
    ("more", "gateway", "said"),
    [
        ({}, "publik", "--gateway publik: there is no such gateway"),
        ({"review": {"mode": "pull-request", "forge": "gitea"}}, "public", "--gateway does not go with"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_shard_is_refused(
    tmp_path: Path, more: dict[str, object], gateway: str, said: str
) -> None:
    place = start(tmp_path, **more)
    done = place.reconcile(f"--gateway={gateway}")
    assert done.code == 2
    assert said in done.err


def test_the_twin_in_the_environment_names_several(tmp_path: Path) -> None:
    place = start(tmp_path)
    done = place.reconcile(WHARFINGER_GATEWAY="public second")
    assert {row["gateway"] for row in done.plan["changes"] if row["gateway"]} == {
        "public",
        "second",
    }

"""Directories of clusters of any size, the same for the same numbers."""

from __future__ import annotations

import random
from pathlib import Path

from reconciler import yamlio
from tests import documents

PER_CLUSTER = 100


def write_clusters(root: Path, exposures: int, clusters: int) -> None:
    """`exposures` NodePort exposures, spread evenly over `clusters` folders with three nodes each."""
    for index in range(clusters):
        folder = root / f"c{index:04}"
        folder.mkdir(parents=True)
        mine = range(index, exposures, clusters)
        nodes = [
            documents.node(f"n{n}", f"10.{index // 250}.{index % 250}.{n}")
            for n in (1, 2, 3)
        ]
        base = [documents.namespace(f"id-{index:04}"), *nodes]
        (folder / "base.yaml").write_text(yamlio.dump_all(base))
        services = [documents.service(f"s{i:06}", 30000 + i % 2768) for i in mine]
        (folder / "services.yaml").write_text(yamlio.dump_all(services))
        exposed = [documents.virtual_service(f"s{i:06}") for i in mine]
        (folder / "virtualservices.yaml").write_text(yamlio.dump_all(exposed))


def write_lists(root: Path, exposures: int, clusters: int, seed: int) -> None:
    """The same, each cluster as `kubectl get -o yaml` prints it: one file with one List.

    Ports and nodes are drawn with the seed.
    """
    some = random.Random(seed)
    for index in range(clusters):
        folder = root / f"c{index:04}"
        folder.mkdir(parents=True)
        place = f"10.{index // 250}.{index % 250}"
        ends = some.sample(range(1, 255), 3)
        items = [documents.namespace(f"id-{index:04}")]
        items += [documents.node(f"n{end}", f"{place}.{end}") for end in ends]
        for number in range(index, exposures, clusters):
            name = f"s{number:06}"
            items.append(documents.service(name, some.randrange(30000, 32768)))
            items.append(documents.virtual_service(name))
        body = {"apiVersion": "v1", "items": items, "kind": "List"}
        (folder / "cluster.yaml").write_text(yamlio.dump(body))


def settings(clusters: Path, exposures: int) -> str:
    """Settings with a gateway for every hundred clusters: ten thousand exposures each."""
    names = ["public", *(f"public-{i}" for i in range(1, -(-exposures // 10_000)))]
    each = min(exposures, 10_000)
    return yamlio.dump(
        {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Settings",
            "domain": "ingress.example.com",
            "gateways": [
                {
                    "name": name,
                    "renderer": "envoy-gateway",
                    "namespace": "ingress",
                    "ports": {"range": f"20000-{20000 + 2 * each}"},
                }
                for name in names
            ],
            "inventories": [{"name": "lab", "directory": {"path": str(clusters)}}],
            "tenants": [
                {
                    "clusters": [f"c{index:02}*"],
                    "gateways": [name],
                    "endpoints": ["10.0.0.0/8"],
                }
                for index, name in enumerate(names)
            ],
        }
    )

"""A kubeconfig for a cluster behind the gateway: its entry, and no secret in it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from reconciler import yamlio
from tests.ingress import Done, Ingress

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


def printed(tmp_path: Path, record: dict[str, object], *flags: str) -> Done:
    """The command on a repository with this record of eu1."""
    ingress = Ingress(root=tmp_path).start()
    body = {"cluster": "eu1", "id": "id-eu1", "inventory": "lab", **record}
    ingress.commit({"clusters/eu1.yaml": yamlio.dump(body).encode()}, "Add a record")
    return ingress.run("kubeconfig", "eu1", *flags)


def route(**more: object) -> dict[str, object]:
    where = {"mode": "sni", "host": "eu1.k8s.example.com", "port": 443}
    return {**where, "gateway": "public", **more}


@pytest.mark.parametrize("encoded", [False, True])
def test_an_entry_has_server_and_certificates_and_no_credentials(
    tmp_path: Path, encoded: bool
) -> None:
    bundle = KEY + CERTIFICATE + CERTIFICATE
    text = base64.b64encode(bundle.encode()).decode() if encoded else bundle
    done = printed(tmp_path, {"api": route(), "caBundle": text}, "--user", "ada")
    assert done.code == 0, done.err
    assert yamlio.load(done.out.encode()) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "eu1",
                "cluster": {
                    "server": "https://eu1.k8s.example.com:443",
                    "certificate-authority-data": base64.b64encode(
                        (CERTIFICATE * 2).encode()
                    ).decode(),
                },
            }
        ],
        "users": [{"name": "ada", "user": {}}],
        "contexts": [{"name": "eu1", "context": {"cluster": "eu1", "user": "ada"}}],
        "current-context": "eu1",
    }


def test_a_port_of_its_own_comes_with_the_name_of_the_certificate(
    tmp_path: Path,
) -> None:
    api = route(
        mode="port", host="tcp.example.com", port=20030, serverName="kubernetes"
    )
    done = printed(tmp_path, {"api": api, "caBundle": "no bundle at all"})
    body = yamlio.load(done.out.encode())
    assert isinstance(body, dict)
    assert body["clusters"][0]["cluster"] == {
        "server": "https://tcp.example.com:20030",
        "tls-server-name": "kubernetes",
    }


def test_a_cluster_without_an_api_route_is_usage(tmp_path: Path) -> None:
    done = printed(tmp_path, {})
    assert (done.code, done.out) == (2, "")
    assert "cluster eu1 has no API route" in done.err

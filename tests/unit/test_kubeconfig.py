"""Kubeconfigs: what names a server and proves who we are is accepted, nothing else."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.kubeconfig import (
    Credentials,
    RefusedKubeconfig,
    in_cluster,
    load_kubeconfig,
)
from reconciler.model.clusters import Why

SECRET = "s3cr3t-t0ken"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()


def config(
    cluster: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    **top: object,
) -> str:
    server = {"server": "https://10.0.0.1:6443"}
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "eu1",
        "clusters": [{"name": "c", "cluster": {**server, **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": "eu1", "context": {"cluster": "c", "user": "u"}}],
    }
    return yamlio.dump({**body, **top})


def refused(text: str | Path, context: str = "eu1") -> RefusedKubeconfig:
    with pytest.raises(RefusedKubeconfig) as error:
        load_kubeconfig(text).credentials(context)
    assert SECRET not in str(error.value)
    return error.value


def test_a_token_and_a_ca() -> None:
    text = config({"certificate-authority-data": DATA, "tls-server-name": "kubernetes"})
    found = load_kubeconfig(text).credentials("eu1")
    assert found == Credentials(
        server="https://10.0.0.1:6443",
        ca=PEM,
        tls_server_name="kubernetes",
        token=SECRET,
    )
    assert (found.host, found.port, found.is_root) == ("10.0.0.1", 6443, True)
    assert SECRET not in repr(found)


def test_a_client_certificate() -> None:
    user = {"client-certificate-data": DATA, "client-key-data": DATA}
    found = load_kubeconfig(config(user=user)).credentials("eu1")
    assert (found.client_certificate, found.client_key) == (PEM, PEM)


def test_no_name_means_the_current_context() -> None:
    assert load_kubeconfig(config()).credentials().token == SECRET


@pytest.mark.parametrize(
    ("server", "host", "port", "is_root"),
    [
        ("https://k8s.example.com", "k8s.example.com", 443, True),
        ("https://[2001:db8::1]:6443/", "2001:db8::1", 6443, True),
        ("https://rancher.example.com/k8s/clusters/x", "rancher.example.com", 443, False),
    ],
)  # fmt: skip
def test_servers(server: str, host: str, port: int, is_root: bool) -> None:
    found = load_kubeconfig(config({"server": server})).credentials()
    assert (found.host, found.port, found.is_root) == (host, port, is_root)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxy-url", "http://127.0.0.1:3128"),
        ("insecure-skip-tls-verify", True),
        ("something-new", "x"),
    ],
)
def test_a_cluster_entry_that_weakens_or_redirects_is_refused(
    key: str, value: object
) -> None:
    error = refused(config({key: value}))
    assert key in str(error)
    assert "context 'eu1'" in str(error)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exec", {"command": "touch", "args": ["/tmp/pwned"]}),
        ("auth-provider", {"name": "gcp"}),
        ("username", "admin"),
        ("password", SECRET),
        ("as", "root"),
        ("as-groups", ["system:masters"]),
        ("impersonate-user", "root"),
    ],
)
def test_a_user_entry_that_runs_or_impersonates_is_refused(
    key: str, value: object
) -> None:
    assert key in str(refused(config(user={"token": SECRET, key: value})))


def test_what_is_switched_off_says_nothing() -> None:
    text = config({"insecure-skip-tls-verify": False, "proxy-url": ""})
    assert load_kubeconfig(text).credentials().token == SECRET


@pytest.mark.parametrize(
    "server",
    [
        "http://10.0.0.1:6443",
        "10.0.0.1:6443",
        "https://",
        "https://u:p@10.0.0.1",
        "https://10.0.0.1:99999",
        "https://10.0.0.1:0",
        "https://10.0.0.1/?a=b",
        "file:///etc/passwd",
        "",
    ],
)
def test_only_https_servers(server: str) -> None:
    assert "server" in str(refused(config({"server": server})))


@pytest.mark.parametrize("name", ["certificate-authority", "client-key", "tokenFile"])
def test_a_text_cannot_make_us_read_files(name: str) -> None:
    opened: list[str] = []
    watching = True

    def hook(event: str, args: tuple[object, ...]) -> None:
        if watching and event in ("open", "subprocess.Popen"):
            opened.append(f"{event} {args[0]}")

    files = {name: "/etc/hostname"}
    text = (
        config(files)
        if name == "certificate-authority"
        else config(user={"token": "", **files})
    )
    sys.addaudithook(hook)
    error = refused(text)
    watching = False
    assert name in str(error)
    assert opened == []


def test_a_file_may_name_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(PEM)
    (tmp_path / "token").write_text(f"{SECRET}\n")
    path = tmp_path / "config"
    text = config({"certificate-authority": "ca.crt"}, {"tokenFile": "token"})
    path.write_text(text)
    found = load_kubeconfig(path).credentials("eu1")
    assert (found.ca, found.token) == (PEM, SECRET)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(config({"certificate-authority": "ca.crt"}))
    assert "certificate-authority" in str(refused(path))
    assert str(tmp_path / "none") in str(refused(tmp_path / "none"))


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ({}, Why.UNAUTHORISED),
        ({"client-key-data": DATA}, Why.UNREADABLE),
        ({"client-certificate-data": DATA}, Why.UNREADABLE),
        ({"token": "a\nb"}, Why.UNREADABLE),
        ({"token": "a b"}, Why.UNREADABLE),
        ({"token": "ä"}, Why.UNREADABLE),
        ({"client-certificate-data": "%%%", "client-key-data": DATA}, Why.UNREADABLE),
    ],
)
def test_credentials_that_cannot_be_used(user: dict[str, Any], why: Why) -> None:
    assert refused(config(user=user)).unknown().why is why


def test_an_encrypted_key_never_asks_on_the_terminal() -> None:
    key = base64.b64encode(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n").decode()
    user = {"client-certificate-data": DATA, "client-key-data": key}
    assert "encrypted" in str(refused(config(user=user)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "a: &x 1\nb: *x\n",
        "users: 1\n",
        "users: [1]\n",
        "users: [{name: u, user: 1}]\n",
        f"token: {SECRET}\n  : [",
        f"token: !{SECRET} x",
    ],
)
def test_what_is_no_kubeconfig(text: str) -> None:
    refused(text)


def test_a_context_that_is_not_there() -> None:
    assert "'us1'" in str(refused(config(), "us1"))
    lost = config(contexts=[{"name": "eu1", "context": {"cluster": "c", "user": "x"}}])
    assert "its user" in str(refused(lost))


def test_contexts_by_globs() -> None:
    contexts = [
        {"name": name, "context": {"cluster": "c", "user": "u"}}
        for name in ("prod-2", "lab", "prod-1")
    ]
    found = load_kubeconfig(config(contexts=contexts))
    assert found.matching(("prod-*",)) == ("prod-1", "prod-2")
    assert found.matching(("*",)) == ("lab", "prod-1", "prod-2")
    assert found.matching(("none",)) == ()


def test_one_bad_user_does_not_spoil_other_contexts() -> None:
    text = config(
        users=[
            {"name": "u", "user": {"token": SECRET}},
            {"name": "bad", "user": {"exec": {"command": "x"}}},
        ],
        contexts=[
            {"name": "eu1", "context": {"cluster": "c", "user": "u"}},
            {"name": "us1", "context": {"cluster": "c", "user": "bad"}},
        ],
    )
    assert load_kubeconfig(text).credentials("eu1").token == SECRET
    assert "exec" in str(refused(text, "us1"))


def test_the_first_of_several_files_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text(config())
    second.write_text(config(user={"token": "other"}))
    paths = [str(first), str(tmp_path / "none"), str(second)]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(paths))
    assert load_kubeconfig(None).credentials("eu1").token == SECRET


def test_in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "ca.crt").write_text(PEM)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = in_cluster(tmp_path)
    assert (found.server, found.token, found.ca) == ("https://[fd00::1]:443", SECRET, PEM)  # fmt: skip
    with pytest.raises(RefusedKubeconfig, match="cannot be read"):
        in_cluster(tmp_path / "none")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(RefusedKubeconfig, match="not a pod"):
        in_cluster(tmp_path)

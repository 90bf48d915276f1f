"""Credentials from objects: one strict form, whatever ecosystem keeps them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.kubeaccess import MAX_TEXT
from reconciler.loaders import (
    RefusedKubeconfig,
    from_argocd,
    from_kubeconfig,
    from_token,
    secret_text,
)
from reconciler.model.access import Credentials, Plugin
from reconciler.model.clusters import Why
from reconciler.settings_inventories import Allow

TOKEN = "s3cr3t-t0ken"
SERVER = "https://10.0.0.1:6443"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()
V1 = "client.authentication.k8s.io/v1"
NOTHING = Allow()
EXEC = {"apiVersion": V1, "command": "who", "args": ["--region", "eu1"]}
Load = Callable[[dict[str, Any], dict[str, Any], Allow], Credentials]


def kubeconfig(
    cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None
) -> str:
    return yamlio.dump(
        {
            "current-context": "x",
            "clusters": [
                {"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}
            ],
            "users": [
                {"name": "u", "user": {"token": TOKEN} if user is None else user}
            ],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
    )


def argocd(config: dict[str, Any], allow: Allow = NOTHING) -> Credentials:
    return from_argocd(SERVER, json.dumps(config), allow, "Secret argocd/eu1")


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RefusedKubeconfig) as error:
        call()
    assert TOKEN not in str(error.value) + repr(error.value)
    assert error.value.unknown().why in (Why.UNREADABLE, Why.UNAUTHORISED)
    assert "\n" not in error.value.unknown().message
    return str(error.value)


def test_a_kubeconfig_of_an_object() -> None:
    text = kubeconfig({"certificate-authority-data": DATA, "tls-server-name": "k8s"})
    found = from_kubeconfig(text, NOTHING, "Secret a/b")
    wanted = Credentials(server=SERVER, ca=PEM, tls_server_name="k8s", token=TOKEN)
    assert found == wanted
    assert from_kubeconfig(text, NOTHING, "Secret a/b", "x") == wanted
    assert "Secret a/b: context 'y'" in refused(
        lambda: from_kubeconfig(text, NOTHING, "Secret a/b", "y")
    )


def test_a_kubeconfig_without_a_current_context_says_so() -> None:
    text = kubeconfig().replace("current-context: x\n", "")
    assert "current-context" in refused(lambda: from_kubeconfig(text, NOTHING, "s"))


def test_an_argocd_secret() -> None:
    tls = {"caData": DATA, "certData": DATA, "keyData": DATA, "serverName": "k8s"}
    config = {"bearerToken": TOKEN, "tlsClientConfig": {**tls, "insecure": False}}
    assert argocd({**config, "username": "", "proxyUrl": ""}) == Credentials(
        server=SERVER,
        ca=PEM,
        tls_server_name="k8s",
        token=TOKEN,
        client_certificate=PEM,
        client_key=PEM,
    )


def test_single_values_with_a_ca_in_either_form() -> None:
    wanted = Credentials(server=SERVER, ca=PEM, token=TOKEN)
    assert from_token(SERVER, PEM, TOKEN, "s") == wanted
    assert from_token(SERVER, DATA, TOKEN, "s") == wanted
    assert from_token(SERVER, "", TOKEN, "s") == Credentials(server=SERVER, token=TOKEN)
    refused(lambda: from_token(SERVER, TOKEN, TOKEN, "s"))
    refused(lambda: from_token(SERVER, PEM, "", "s"))


def test_the_text_of_a_secret() -> None:
    secret = {"data": {"value": base64.b64encode(b"a: 1").decode(), "bad": TOKEN}}
    assert secret_text(secret, "value", "s") == "a: 1"
    for key in ("bad", "none"):
        assert key in refused(lambda key=key: secret_text(secret, key, "s"))  # type: ignore[misc]
    refused(lambda: secret_text({}, "value", "s"))
    big = {"data": {"value": "A" * (3 * MAX_TEXT)}}
    assert "more than" in refused(lambda: secret_text(big, "value", "s"))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"username": "admin", "password": TOKEN}, "password"),
        ({"username": "admin"}, "username"),
        ({"awsAuthConfig": {"clusterName": "x"}}, "awsAuthConfig"),
        ({"execProviderConfig": {"command": "touch"}}, "execProviderConfig"),
        ({"proxyUrl": "http://proxy:3128"}, "proxy-url"),
        ({"tlsClientConfig": {"insecure": True}}, "insecure"),
        ({"tlsClientConfig": {"caFile": "/etc/passwd"}}, "caFile"),
        ({"tlsClientConfig": [1]}, "tlsClientConfig"),
        ({"tlsClientConfig": {"caData": TOKEN}}, "caData"),
        ({"bearerToken": f"{TOKEN}\r\nX-Other: 1"}, "token"),
        ({"bearerToken": 7}, "bearerToken"),
        ({"whatever": TOKEN}, "whatever"),
    ],
)
def test_of_argocd_only_tokens_and_certificates(
    config: dict[str, Any], named: str
) -> None:
    assert named in refused(lambda: argocd({"bearerToken": TOKEN, **config}))


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{", f'{{"bearerToken": "{TOKEN}" x', f'{{"{TOKEN}": 1, "{TOKEN}": 2}}'],
)
def test_what_is_no_json_is_not_quoted(config: str) -> None:
    refused(lambda: from_argocd(SERVER, config, NOTHING, "s"))


@pytest.mark.parametrize(
    "server",
    [
        "http://10.0.0.1:6443",
        f"https://user:{TOKEN}@10.0.0.1",
        "https://10.0.0.1\r\nHost: other",
        "https://good.example.com\\@evil.example.com",
        "https://10.0.0.1/../..",
        "https://10.0.0.1/?x",
        "https://10.0.0.1:0",
        "//10.0.0.1",
        "https://[::1",
    ],
)
def test_servers_that_are_read_in_different_ways(server: str) -> None:
    assert "server" in refused(lambda: from_token(server, "", TOKEN, "s"))


def test_a_program_that_the_settings_name() -> None:
    allow = Allow(exec=("who",), environment=("REGION",))
    env = [{"name": "REGION", "value": "eu1"}]
    user = {"exec": {**EXEC, "env": env, "provideClusterInfo": True}}
    more = {"name": f"{V1.rpartition('/')[0]}/exec", "extension": {"a": 1}}
    found = from_kubeconfig(kubeconfig({"extensions": [more]}, user), allow, "s")
    assert found.plugin == Plugin(
        program="who",
        api_version=V1,
        arguments=("--region", "eu1"),
        environment=(("REGION", "eu1"),),
        inherit=("REGION",),
        cluster_info=True,
        config='{"a": 1}',
    )
    provider = {**EXEC, "env": {"REGION": "eu1"}}
    same = argocd({"execProviderConfig": provider}, allow).plugin
    assert same is not None
    assert same.environment == (("REGION", "eu1"),)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"command": "/bin/who"}, "exec"),
        ({"command": "../who"}, "exec"),
        ({"command": "other"}, "exec"),
        ({"env": [{"name": "LD_PRELOAD", "value": TOKEN}]}, "LD_PRELOAD"),
        ({"env": [TOKEN]}, "env"),
        ({"args": TOKEN}, "args"),
        ({"args": ["a\0b"]}, "args"),
        ({"args": ["x"] * 65}, "args"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "apiVersion"),
        ({"interactiveMode": "Always"}, "interactiveMode"),
        ({"shell": "yes"}, "shell"),
    ],
)
def test_a_program_that_they_do_not_name_or_not_so(
    change: dict[str, Any], named: str
) -> None:
    text = kubeconfig(user={"exec": {**EXEC, **change}})
    allow = Allow(exec=("who",))
    assert named in refused(lambda: from_kubeconfig(text, allow, "s"))


def test_a_program_beside_a_token_is_one_too_much() -> None:
    text = kubeconfig(user={"exec": EXEC, "token": TOKEN})
    allow = Allow(exec=("who",))
    assert "beside" in refused(lambda: from_kubeconfig(text, allow, "s"))


def test_one_proxy_and_one_server_by_their_exact_urls() -> None:
    proxy = kubeconfig({"proxy-url": "http://proxy:3128"})
    allow = Allow(proxies=("http://proxy:3128",))
    assert from_kubeconfig(proxy, allow, "s").proxy == "http://proxy:3128"
    other = kubeconfig({"proxy-url": "http://proxy:3129"})
    assert "allow.proxies" in refused(lambda: from_kubeconfig(other, allow, "s"))

    insecure = kubeconfig({"insecure-skip-tls-verify": True})
    assert from_kubeconfig(insecure, Allow(insecure=(f"{SERVER}/",)), "s").insecure
    elsewhere = Allow(insecure=("https://10.0.0.2:6443",))
    assert "allow.insecure" in refused(
        lambda: from_kubeconfig(insecure, elsewhere, "s")
    )
    with_ca = kubeconfig(
        {"insecure-skip-tls-verify": True, "certificate-authority-data": DATA}
    )
    refused(lambda: from_kubeconfig(with_ca, Allow(insecure=(SERVER,)), "s"))


def test_what_is_too_large_is_not_parsed() -> None:
    text = "x" * (MAX_TEXT + 1)
    assert "more than" in refused(lambda: from_kubeconfig(text, NOTHING, "s"))
    assert "more than" in refused(lambda: from_argocd(SERVER, text, NOTHING, "s"))
    assert "more than" in refused(lambda: from_token(SERVER, text, TOKEN, "s"))

"""What inventories without a kubeconfig may not say either: refused, and nothing happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from reconciler.model.clusters import Why
from tests.hub_objects import (
    GOLDEN,
    TOKEN,
    Body,
    Golden,
    changed,
    encoded,
    read_one,
    why,
)

EVENTS = ("open", "subprocess.Popen", "os.system", "os.exec", "socket.connect")
CLUSTER: dict[str, Body] = {
    "certificate-authority": {"certificate-authority": "/etc/passwd"},
    "proxy-url": {"proxy-url": "http://10.9.9.9:3128"},
    "insecure-skip-tls-verify": {"insecure-skip-tls-verify": True},
    "server": {"server": "http://10.0.0.1:6443"},
    "HOST:PORT": {"server": f"https://{TOKEN}@10.0.0.1:6443"},
    "expected": {"server": "https://10.0.0.1:6443/a/../b"},
    "not a PEM": {"certificate-authority-data": TOKEN},
    "anything": {"anything": [1]},
}


@pytest.fixture(scope="module")
def happened() -> Iterator[list[str]]:
    """What was opened, started or connected to while it is not empty of its first entry."""
    found: list[str] = []
    watching = [True]

    def hook(event: str, _: object) -> None:
        if watching and found and event.startswith(EVENTS):
            found.append(event)

    sys.addaudithook(hook)
    yield found
    watching.clear()


Refused = Callable[[str, Golden, Body | None, dict[str, Body] | None], tuple[Why, str]]


@pytest.fixture
def refused(happened: list[str]) -> Refused:
    """Why a source refuses a cluster; nothing may happen meanwhile."""

    def read(
        source: str,
        golden: Golden,
        body: Body | None,
        answers: dict[str, Body] | None,
    ) -> tuple[Why, str]:
        read_one(source, golden, body, answers)  # what is imported late is imported now
        happened[:] = ["watched from here"]
        found = read_one(source, golden, body, answers)
        seen = happened[1:]
        happened.clear()
        assert seen == []
        return why(found)

    return read


@pytest.mark.parametrize("construct", CLUSTER)
def test_in_a_cluster_profile(construct: str, refused: Refused) -> None:
    golden = GOLDEN["cluster_profile"]("eu1")
    (offered,) = golden.body["status"]["accessProviders"]
    way = {**offered["cluster"], **CLUSTER[construct]}
    body = changed(
        golden.body, "status", accessProviders=[{"name": "token", "cluster": way}]
    )
    reason, message = refused("cluster_profile", golden, body, None)
    assert reason is Why.UNREADABLE
    assert construct in message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"insecureSkipTLSVerification": True}, "insecure-skip-tls-verify"),
        ({"proxyURL": "http://10.9.9.9:3128"}, "proxy-url"),
        ({"proxyHeader": {"Authorization": TOKEN}}, "proxyHeader"),
        ({"apiEndpoint": "http://10.0.0.1:6443"}, "server"),
        ({"apiEndpoint": f"https://{TOKEN}@10.0.0.1"}, "server"),
        ({"apiEndpoint": ""}, "server"),
        ({"proxyURL": 7}, "proxy-url"),
        ({"insecureSkipTLSVerification": "yes"}, "insecure-skip-tls-verify"),
    ],
)
def test_in_a_cluster_of_karmada(spec: Body, words: str, refused: Refused) -> None:
    golden = GOLDEN["karmada"]("eu1")
    body = changed(golden.body, "spec", **spec)
    reason, message = refused("karmada", golden, body, None)
    assert reason is Why.UNREADABLE
    assert words in message


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ({"url": "http://10.0.0.1:6443"}, "server"),
        ({"url": f"https://{TOKEN}@10.0.0.1:6443"}, "server"),
        ({"url": "file:///etc/passwd"}, "server"),
        ({"url": "https://10.0.0.1:6443", "caBundle": TOKEN}, "ca"),
    ],
)
def test_in_a_managed_cluster(client: Body, words: str, refused: Refused) -> None:
    golden = GOLDEN["open_cluster_management"]("eu1")
    body = changed(golden.body, "spec", managedClusterClientConfigs=[client])
    reason, message = refused("open_cluster_management", golden, body, None)
    assert reason is Why.UNREADABLE
    assert words in message


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("karmada", "token"),
        ("open_cluster_management", "token"),
        ("cluster_profile", "token"),
    ],
)
@pytest.mark.parametrize("token", ["", "two words", "a\r\nX-Other: 1", "\u00e4"])
def test_a_token_that_is_none(
    source: str, key: str, token: str, refused: Refused
) -> None:
    golden = GOLDEN[source]("eu1")
    answers = {
        path: {**each, "data": {**each["data"], key: encoded(token)}}
        for path, each in golden.answers.items()
    }
    reason, _ = refused(source, golden, None, answers)
    assert reason in (Why.UNREADABLE, Why.UNAUTHORISED)

"""Each forbidden construct from each place that holds something like a kubeconfig: refused by name.

The loaders run in a process of their own in which nothing may be opened, started or connected:
an audit hook sees all of that, whatever code does it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.kubeaccess import MAX_TEXT

CANARY = "canary-s3cret"
SERVER = "https://10.0.0.1:6443"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()
Json = dict[str, Any]

# What runs in the other process: cases come in as lines of JSON, verdicts go out as such.
PROGRAM = """
import json, sys
from reconciler.loaders import *
from reconciler.observe.inventories.objects import from_halves
from reconciler.settings_inventories import Allow

LOADERS = {
    "kubeconfig": lambda case: from_kubeconfig(case["text"], Allow(), "Secret a/b"),
    "argocd": lambda case: from_argocd(case["server"], case["text"], Allow(), "Secret a/b"),
    "token": lambda case: from_token(case["server"], case["ca"], case["token"], "Secret a/b"),
    "halves": lambda case: from_halves(case["cluster"], case["user"], Allow(), "Profile a/b"),
    "secret": lambda case: secret_text(case["secret"], "value", "Secret a/b"),
}
seen, watching = [], False

def hook(event, args):
    touches = ("open", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
    if watching and (event in touches or event.startswith(("socket.", "shutil.", "ctypes."))):
        seen.append(f"{event} {args!r:.200}")

sys.addaudithook(hook)
cases = [json.loads(line) for line in sys.stdin]
for case in cases:  # the first round may still load modules
    for watching in (False, True):
        try:
            LOADERS[case["loader"]](case)
            verdict = "accepted"
        except RefusedKubeconfig as error:
            verdict = f"{error!s} {error!r} {error.unknown()!r}"
        finally:
            watching = False
    print(json.dumps({"verdict": verdict, "seen": seen[:]}))
    seen.clear()
"""


def kubeconfig(cluster: Json | None = None, user: Json | None = None) -> str:
    return yamlio.dump(
        {
            "current-context": "x",
            "clusters": [
                {"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}
            ],
            "users": [{"name": "u", "user": {"token": CANARY, **(user or {})}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
    )


EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "touch",
    "args": ["/tmp/pwned"],
    "interactiveMode": "Never",
}
OF_CLUSTERS: dict[str, Json] = {
    "certificate-authority": {"certificate-authority": "/etc/hostname"},
    "proxy-url": {"proxy-url": f"http://{CANARY}@10.0.0.9:3128"},
    "insecure-skip-tls-verify": {"insecure-skip-tls-verify": True},
    "plain http": {"server": "http://10.0.0.1:6443"},
    "user in the URL": {"server": f"https://{CANARY}:x@10.0.0.1:6443"},
    "query in the URL": {"server": f"{SERVER}?token={CANARY}"},
    "file URL": {"server": "file:///etc/passwd"},
    "CRLF in the URL": {"server": f"{SERVER}\r\nX: {CANARY}"},
    "CRLF in the name": {"tls-server-name": f"a\r\nX: {CANARY}"},
    "unknown of clusters": {"socks-url": CANARY},
}
OF_USERS: dict[str, Json] = {
    "exec": {"exec": EXEC},
    "auth-provider": {"auth-provider": {"name": "gcp", "config": {"cmd": CANARY}}},
    "tokenFile": {"tokenFile": "/etc/hostname"},
    "client-certificate": {"client-certificate": "/etc/hostname"},
    "client-key": {"client-key": "/etc/hostname"},
    "username": {"username": "admin"},
    "password": {"username": "admin", "password": CANARY},
    "as": {"as": "system:admin"},
    "as-uid": {"as-uid": "1"},
    "as-groups": {"as-groups": ["system:masters"]},
    "as-user-extra": {"as-user-extra": {"a": ["b"]}},
    "CRLF in the token": {"token": f"{CANARY}\r\nX: y"},
    "encrypted key": {
        "client-certificate-data": DATA,
        "client-key-data": base64.b64encode(
            f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{CANARY}".encode()
        ).decode(),
    },
    "unknown of users": {"command": CANARY},
}
TRICKS = {
    "anchors": kubeconfig().replace(f"token: {CANARY}", f"token: &a {CANARY}"),
    "aliases": kubeconfig() + "x: &a 1\ny: *a\n",
    "merge keys": kubeconfig().replace("  user:\n", "  user:\n    <<: {exec: 1}\n"),
    "tags": kubeconfig() + f"x: !!python/object/apply:os.system [{CANARY}]\n",
    "a key twice": kubeconfig() + "current-context: y\n",
    "several documents": kubeconfig() + "---\n" + kubeconfig(user={"exec": EXEC}),
    "half a document": kubeconfig() + f'token: "{CANARY}\n',
    "too large": kubeconfig() + "# " + "x" * MAX_TEXT,
    "too deep": kubeconfig() + "x: " + "[" * 200 + "]" * 200 + "\n",
    "a list": f"- {CANARY}\n",
    "nothing": "",
    "binary": "\x00\x01",
}
ARGOCD: dict[str, Json] = {
    "execProviderConfig": {"execProviderConfig": EXEC},
    "awsAuthConfig": {"awsAuthConfig": {"clusterName": "x", "roleARN": CANARY}},
    "proxyUrl": {"proxyUrl": f"http://{CANARY}@10.0.0.9:3128"},
    "username": {"username": "admin"},
    "password": {"username": "admin", "password": CANARY},
    "insecure": {"tlsClientConfig": {"insecure": True}},
    "caFile": {"tlsClientConfig": {"caFile": "/etc/hostname"}},
    "CRLF in the token": {"bearerToken": f"{CANARY}\r\nX: y"},
    "CRLF in the name": {"tlsClientConfig": {"serverName": f"a\r\nX: {CANARY}"}},
    "unknown": {"tokenFile": "/etc/hostname"},
}
URLS = {
    name: str(change["server"])
    for name, change in OF_CLUSTERS.items()
    if "server" in change
}


def cases() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, change in OF_CLUSTERS.items():
        text = kubeconfig(change)
        found[f"kubeconfig: {name}"] = {"loader": "kubeconfig", "text": text}
        cluster, user = {"server": SERVER, **change}, {"token": CANARY}
        found[f"halves: {name}"] = {"loader": "halves", "cluster": cluster, "user": user}  # fmt: skip
    for name, change in OF_USERS.items():
        text = kubeconfig(user=change)
        found[f"kubeconfig: {name}"] = {"loader": "kubeconfig", "text": text}
        cluster, user = {"server": SERVER}, {"token": CANARY, **change}
        found[f"halves: {name}"] = {"loader": "halves", "cluster": cluster, "user": user}  # fmt: skip
    for name, text in TRICKS.items():
        found[f"kubeconfig: {name}"] = {"loader": "kubeconfig", "text": text}
        found[f"argocd: {name}"] = {"loader": "argocd", "server": SERVER, "text": text}
        secret = {"data": {"value": text}}
        found[f"secret: {name}"] = {"loader": "secret", "secret": secret}
    for name, change in ARGOCD.items():
        text = json.dumps({"bearerToken": CANARY, **change})
        found[f"argocd: {name}"] = {"loader": "argocd", "server": SERVER, "text": text}
    twice = f'{{"bearerToken": "{CANARY}", "bearerToken": "{CANARY}"}}'
    found["argocd: a key twice"] = {"loader": "argocd", "server": SERVER, "text": twice}
    for name, url in URLS.items():
        text = json.dumps({"bearerToken": CANARY})
        found[f"argocd: {name}"] = {"loader": "argocd", "server": url, "text": text}
        token = {"loader": "token", "server": url, "ca": PEM, "token": CANARY}
        found[f"token: {name}"] = token
    good = {"loader": "token", "server": SERVER, "ca": PEM, "token": CANARY}
    found["token: CRLF in the token"] = {**good, "token": f"{CANARY}\r\nX: y"}
    found["token: a path as the CA"] = {**good, "ca": "/etc/hostname"}
    found["token: a token as the CA"] = {**good, "ca": CANARY}
    found["token: too large"] = {**good, "token": "x" * MAX_TEXT}
    found["token: nothing"] = {**good, "token": ""}
    return found


GOOD = {
    "kubeconfig": {"loader": "kubeconfig", "text": kubeconfig()},
    "argocd": {
        "loader": "argocd",
        "server": SERVER,
        "text": json.dumps({"bearerToken": CANARY}),
    },
    "token": {"loader": "token", "server": SERVER, "ca": PEM, "token": CANARY},
    "halves": {
        "loader": "halves",
        "cluster": {"server": SERVER},
        "user": {"token": CANARY},
    },
    "secret": {"loader": "secret", "secret": {"data": {"value": "YQ=="}}},
}
CASES = cases()


@cache
def verdicts() -> dict[str, Json]:
    """What the other process says of all cases, the good ones too."""
    asked = {**GOOD, **CASES}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join(f"{json.dumps(case)}\n" for case in asked.values()),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = map(json.loads, done.stdout.splitlines())
    return dict(zip(asked, said, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_touches_nothing(name: str) -> None:
    found = verdicts()[name]
    assert found["verdict"] != "accepted"
    assert found["seen"] == []
    assert CANARY not in found["verdict"]
    assert base64.b64encode(CANARY.encode()).decode() not in found["verdict"]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_plain_is_accepted_and_touches_nothing(name: str) -> None:
    assert verdicts()[name] == {"verdict": "accepted", "seen": []}


@pytest.mark.parametrize(
    "name",
    [*(name for name in OF_CLUSTERS if "-" in name), *(n for n in OF_USERS if " " not in n)],
)  # fmt: skip
def test_what_is_refused_is_named(name: str) -> None:
    assert name in verdicts()[f"kubeconfig: {name}"]["verdict"]


def test_the_hook_sees_what_loaders_must_not_do() -> None:
    program = PROGRAM.replace(
        "LOADERS[case",
        "open('/dev/null').close(); __import__('subprocess').run(['true']); LOADERS[case",
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(GOOD["token"]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = " ".join(json.loads(done.stdout)["seen"])
    assert "open" in seen
    assert "subprocess.Popen" in seen

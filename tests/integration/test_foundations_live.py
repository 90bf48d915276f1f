"""Foundations in `run`, and their traffic through real Envoy."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.headers import parse_wish_header
from reconciler.mounted import VARIABLE
from tests.envoys import HOST, Conversation, RealEnvoy, Talker, client_hello
from tests.foundries import Foundry, failure, serving
from tests.ingress import Ingress, Near
from tests.integration.test_run_process import running, until
from tests.stack.network import free_port
from tests.stack.workloads import Workload, spread

Doc = dict[str, Any]
TENANTS = [
    {
        "clusters": ["*"],
        "gateways": ["public"],
        "endpoints": ["127.0.0.0/8", "10.20.0.0/16", "10.30.0.0/16"],
        "hosts": [".example.com"],
    }
]


def foundation(name: str, **source: Any) -> Doc:
    body = {"credentials": name, "systemDomain": f"sys.{name}.example.com", **source}
    return {"name": name, "cloudFoundry": body}


@pytest.fixture
def blue(tmp_path: Path) -> Iterator[Foundry]:
    foundry = Foundry(name="blue")
    foundry.domain("apps.blue.example.com")
    tcp = foundry.domain("tcp.blue.example.com", tcp=True)
    foundry.tcp_route(tcp, 1024)
    with serving(foundry, tmp_path):
        yield foundry


QUICKLY = """
import sys
from reconciler.cli import execute
from reconciler.observe.watching import Pace
Pace.__init__.__kwdefaults__["foundation"] = 0.2  # seconds between two looks
sys.exit(execute(sys.argv[1:]))
"""


def test_run_follows_a_foundation(blue: Foundry, tmp_path: Path) -> None:
    place = Ingress(root=tmp_path / "place").start(
        watch={"quiet": "0s", "longest": "1s"},
        inventories=[
            foundation("blue", routers=["10.30.0.1"], tcpRouters=["10.30.0.2"])
        ],
        tenants=TENANTS,
        domain="ingress.example.com",
    )
    place.environment[VARIABLE] = str(tmp_path / "credentials")

    def has(port: int) -> bool:
        wish = f"manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-{port}.yaml"
        made = place.git("branch", at=place.remote)
        return bool(made) and wish in place.files()

    with running(place, command=(sys.executable, "-c", QUICKLY)):
        until(lambda: has(1024))
        route = blue.tcp_route(blue.domains[1], 1025)
        until(lambda: has(1025))
        blue.meddle = lambda asked, said: (
            failure(10001) if asked.path == "/v3/routes" else said
        )
        blue.routes.remove(route)
        looks = _looks(blue)
        until(lambda: _looks(blue) > looks + 4)
        assert has(1025)
        blue.meddle = None
        blue.uaa.expire()
        until(lambda: not has(1025))
        assert has(1024)
        blue.domain("apps2.blue.example.com")
        until(
            lambda: (
                "hosts/public/_wildcard.apps2.blue.example.com.yaml" in place.files()
            )
        )


def _looks(foundry: Foundry) -> int:
    return sum(each.path == "/v3/routes" for each in foundry.asked)


@dataclass(slots=True, kw_only=True)
class Routers:
    """What stands for the routers of a foundation: servers on loopback that say their names."""

    stack: ExitStack = field(default_factory=ExitStack)

    def talker(self, name: str) -> int:
        """Reads what a client begins with only after it has said its name."""
        talker = self.stack.enter_context(Talker(name))
        return int(talker.where.rpartition(":")[2])

    def workload(self, name: str) -> int:
        port = free_port()
        self.stack.enter_context(Workload(name, port, HOST))
        return port


@pytest.fixture
def routers() -> Iterator[Routers]:
    with ExitStack() as stack:
        yield Routers(stack=stack)


def reaches(port: int, name: str) -> str:
    return greeted(port, client_hello(name))


def greeted(port: int, hello: bytes) -> str:
    with Conversation(port, hello) as talk:
        return talk.greeting


def until_heard(what: Callable[[], str], wanted: str) -> None:
    """An Envoy that has its files may need a moment for its first connection."""
    deadline = time.monotonic() + 20
    while True:
        try:
            if what() == wanted:
                return
        except (OSError, EOFError):
            pass
        assert time.monotonic() < deadline, wanted
        time.sleep(0.05)


@dataclass(slots=True, kw_only=True)
class Served:
    """Foundations behind a real Envoy; the routers of red speak TLS."""

    ingress: Near
    envoy: RealEnvoy
    tcp: int

    def sync(self) -> None:
        """Bring Envoy to the branch."""
        done = self.ingress.run("envoy-sync", "--once")
        assert done.code == 0, done.err
        assert "unit refused" not in done.err, done.err

    def proofs(self) -> dict[str, Doc]:
        """What `prove` says of each unit."""
        done = self.ingress.run("prove", "-o", "json", "--write-back", "on")
        assert done.code == 0, done.err
        return {each["unit"]: each for each in done.plan["items"]}


def gateway_of(envoy: RealEnvoy) -> Doc:
    return {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "host": "localhost",
        "tlsPort": envoy.tls_port,
        "ports": {"range": [str(free_port()) for _ in range(6)]},
        "proof": {"envoySync": str(envoy.options.status)},
    }


@pytest.fixture
def served(blue: Foundry, tmp_path: Path, routers: Routers) -> Iterator[Served]:
    green, red = Foundry(name="green"), Foundry(name="red")
    green.domain("apps.green.example.com")
    green.domain("apps.blue.example.com")
    red.domain("apps.red.example.com")
    tcp = routers.workload("blue tcp")
    blue.tcp_route(blue.domains[1], tcp)
    ingress = Near(root=tmp_path / "ingress").start()
    with (
        serving(green, tmp_path),
        serving(red, tmp_path),
        RealEnvoy(tmp_path / "envoy") as envoy,
    ):
        options = envoy.options
        ingress.environment |= {
            VARIABLE: str(tmp_path / "credentials"),
            "WHARFINGER_OUT": str(options.folder),
            "WHARFINGER_STATUS": str(options.status),
            "WHARFINGER_ADMIN": options.admin,
            "WHARFINGER_BIND": options.bind,
        }
        shares = {"*.apps.blue.example.com": {"blue": 90, "green": 10}}
        here = {"routers": [HOST], "tcpRouters": [HOST]}
        blues, greens = routers.talker("blue http"), routers.talker("green http")
        reds = int(red.url.rpartition(":")[2])
        settings = ingress.settings(
            domain="ingress.example.com",
            tenants=TENANTS,
            gateways=[gateway_of(envoy)],
            inventories=[
                {"name": "lab", "directory": {"path": str(ingress.clusters)}},
                foundation("blue", routerPort=blues, shares=shares, **here),
                foundation("green", routerPort=greens, **here),
                foundation("red", routerPort=reds, **here),
            ],
        )
        ingress.commit({"wharfinger.yaml": settings}, "Set up")
        done = ingress.run("reconcile", "-o", "json")
        assert done.code == 0, done.err + done.out
        yield Served(ingress=ingress, envoy=envoy, tcp=tcp)


@pytest.mark.envoy
def test_names_and_ports_of_foundations_reach_their_routers(served: Served) -> None:
    served.sync()
    tls = served.envoy.tls_port
    for name in ("api.sys.blue.example.com", "login.sys.blue.example.com"):
        until_heard(lambda name=name: reaches(tls, name), "blue http")
    until_heard(lambda: reaches(tls, "a.apps.green.example.com"), "green http")
    with pytest.raises((OSError, EOFError)):
        reaches(tls, "a.apps.elsewhere.example.com")
    path = f"manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-{served.tcp}.yaml"
    header = parse_wish_header(served.ingress.show(path).encode())
    assert header is not None
    assert set(spread(HOST, header.served[0].port, 20)) == {"blue tcp"}
    with ThreadPoolExecutor(max_workers=16) as pool:
        hello = client_hello("a.apps.blue.example.com")
        counted = Counter(pool.map(lambda _: greeted(tls, hello), range(1000)))
    print(dict(counted))
    assert counted.total() == 1000
    assert abs(counted["blue http"] - 900) <= 50, counted


@pytest.mark.envoy
def test_units_of_foundations_are_proven_by_connections(served: Served) -> None:
    """A name below the wildcard is said, and only who speaks TLS for it is reached."""
    route = f"blue/cf.tcp/tcp.blue.example.com-{served.tcp}"
    assert served.proofs()[route]["stage"] != "serving"
    served.sync()
    proofs = served.proofs()
    print({unit: (each["stage"], each["message"]) for unit, each in proofs.items()})
    assert proofs[route]["stage"] == "serving"
    assert proofs["red/cf.domain/apps.red.example.com"]["stage"] == "serving"
    no_tls = proofs["blue/cf.domain/apps.blue.example.com"]
    assert no_tls["stage"] != "serving"
    assert "for wharfinger.apps.blue.example.com" in no_tls["message"]

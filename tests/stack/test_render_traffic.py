"""Bytes through real Envoy Gateway and Istio from rendered files: the contract of all renderers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from reconciler.model.units import Failover, Policy, ProxyProtocol
from reconciler.render import gateway_files, render
from reconciler.settings import Renderer, Settings
from tests.envoys import Conversation, Talker, client_hello
from tests.rendering import (
    API,
    Case,
    Route,
    api,
    case,
    destination,
    renamed,
    settings,
    tcp,
    tls,
)
from tests.stack.documents import Ref
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.istio import Ingress, Istio
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.workloads import (
    FAILED,
    MOST_AT_ONCE,
    Workload,
    ask,
    spread,
    wait_served,
)
from tests.weights import BOTH, CONNECTIONS, Row, rows

pytestmark = pytest.mark.stack
KUBERNETES = (Renderer.ENVOY_GATEWAY, Renderer.ISTIO, Renderer.ISTIO_CLASSIC)
FIRST = 20100
V1 = ProxyProtocol.V1
EG = Renderer.ENVOY_GATEWAY
# Istio has no health checks: it puts an address back after a while, and learns from the first
# connections there (as many as are made at once) that it still is down.
RETRIED = MOST_AT_ONCE + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A gateway of a renderer with a real proxy at `address`."""

    hub: Cluster
    settings: Settings
    address: str

    @property
    def renderer(self) -> Renderer:
        return self.settings.gateways[0].renderer

    def apply(self, *cases: Case) -> None:
        """Apply the files of units."""
        gateway = self.settings.gateways[0]
        for each in cases:
            files = render(each.placement, each.addresses, gateway, self.settings)
            self.hub.api.apply(files.endpoints.decode())
            self.hub.api.apply(files.wish.decode())

    def attached(self) -> list[int]:
        """Routes of each listener of the ListenerSets, as their status counts them."""
        kind = Ref(
            "gateway.networking.k8s.io/v1", "ListenerSet", namespace=self.namespace
        )
        sets = self.hub.api.list(kind)
        listeners = [each for found in sets for each in found["status"]["listeners"]]
        return [int(each["attachedRoutes"]) for each in listeners]

    @property
    def namespace(self) -> str:
        return self.settings.gateways[0].namespace


def start(
    request: pytest.FixtureRequest, renderer: Renderer, namespace: str, ports: set[int]
) -> Served:
    """Apply the gateway's own files and start its proxy."""
    hub: Cluster = request.getfixturevalue("hub")
    made = settings(
        renderer=renderer,
        namespace=namespace,
        ports={"range": f"{FIRST}-{FIRST + 99}"},
        selector={"istio": namespace},
    )
    written = gateway_files(made.gateways[0], made, frozenset(ports), {})
    texts = [(each.data or b"").decode() for each in written]
    if renderer is Renderer.ENVOY_GATEWAY:
        controller: EnvoyGateway = request.getfixturevalue("envoy_gateway")
        for text in texts:
            hub.api.apply(text)
        address = controller.address("public", namespace)
    else:
        istio: Istio = request.getfixturevalue("istio")
        spec = Ingress(
            service="public", namespace=namespace, labels=(("istio", namespace),)
        )
        proxy = istio.ingress(spec)
        for text in texts:
            hub.api.apply(text)
        address = proxy.wait_address()
    return Served(hub=hub, settings=made, address=address)


@pytest.fixture(params=KUBERNETES)
def served(request: pytest.FixtureRequest, namespace: str) -> Served:
    """A gateway of each renderer in turn."""
    return start(request, request.param, namespace, set(range(FIRST, FIRST + 8)))


def at(workload: Workload) -> str:
    return f"{workload.address}:{workload.port}"


def settled(served: Served, port: int) -> bool:
    return FAILED not in spread(served.address, port, 30)


def test_weights_split_and_fail_over_as_the_contract_says(
    served: Served, blue: Workload, green: Workload
) -> None:
    workloads = {"blue": blue, "green": green}
    for row in rows(BOTH):
        found = [
            destination(name, weight, at(workloads[name]))
            for name, weight in row.weights.items()
        ]
        unit = tcp(
            *found,
            port=FIRST + row.port_offset,
            policy=Policy(failover=row.failover),
            name=f"row-{row.port_offset}",
        )
        served.apply(unit)
        wait_served(served.address, FIRST + row.port_offset, {"blue", "green"})
    faults = []
    for up in (BOTH, frozenset({"blue"}), frozenset({"green"})):
        for name, workload in workloads.items():
            workload.stop()
            if name in up:
                workload.start()
        faults += [measured(served, row) for row in rows(frozenset(up))]
    assert not list(filter(None, faults))


def measured(served: Served, row: Row) -> str:
    port = FIRST + row.port_offset
    if not row.expected().get(FAILED):
        wait_until(lambda: settled(served, port), f"{row} settles", seconds=120)
    counted = spread(served.address, port, CONNECTIONS)
    print(f"MEASURED {served.renderer} {row} {dict(counted)}")
    alone = CONNECTIONS in row.expected().values() and row.failover is Failover.ANY
    if served.renderer is not EG and alone:
        failed = counted.pop(FAILED, 0) if FAILED not in row.expected() else 0
        counted.update({next(iter(row.expected())): failed if failed <= RETRIED else 0})
    return row.fault(counted)


def test_one_destination_is_served_by_its_healthy_addresses(
    served: Served, blue: Workload, green: Workload
) -> None:
    served.apply(tcp(destination("db", 1, at(blue), at(green)), port=FIRST))
    wait_served(served.address, FIRST, {"blue", "green"})
    assert set(spread(served.address, FIRST, 50)) == {"blue", "green"}
    blue.stop()
    wait_until(lambda: settled(served, FIRST), "blue is left out", seconds=60)
    counted = spread(served.address, FIRST, 50)
    assert counted["green"] >= 50 - RETRIED * (served.renderer is not EG)
    assert set(counted) <= {"green", FAILED}
    green.stop()
    assert spread(served.address, FIRST, 20) == {FAILED: 20}
    green.start()
    # At once: with none healthy, all are tried.
    assert "green" in spread(served.address, FIRST, 10)


def test_a_share_without_addresses_fails_and_a_route_without_any_refuses(
    served: Served, blue: Workload
) -> None:
    found = (destination("blue", 90, at(blue)), destination("green", 10))
    lenient = Policy(failover=Failover.ANY)
    served.apply(
        tcp(*found, port=FIRST, name="strict"),
        tcp(*found, port=FIRST + 1, name="lenient", policy=lenient),
        tcp(destination("none", 1), port=FIRST + 2, name="none"),
    )
    row = rows(frozenset({"blue"}))[0]
    for port in (FIRST, FIRST + 1):
        wait_served(served.address, port, {"blue"})
    wait_until(lambda: settled(served, FIRST + 1), "blue takes over", seconds=60)
    counted = spread(served.address, FIRST, CONNECTIONS)
    print(f"MEASURED {served.renderer} half-left {dict(counted)}")
    assert not row.fault(counted)
    counted = spread(served.address, FIRST + 1, 200)
    print(f"MEASURED {served.renderer} half-left-any {dict(counted)}")
    assert counted == {"blue": 200}
    with pytest.raises(ConnectionResetError):
        ask(served.address, FIRST + 2)
    if served.renderer is not Renderer.ISTIO_CLASSIC:
        assert served.attached() == [1, 1, 1]


@pytest.fixture
def talker(address: str) -> Iterator[Talker]:
    """A server that pods reach, which says `blue` and then echoes."""
    with Talker("blue", address) as started:
        yield started


def closed(served: Served, port: int, first: bytes = b"hello\n") -> bool:
    """Whether a client that sends something is cut off without an echo."""
    try:
        with Conversation(port, first, host=served.address) as talk:
            talk.hear()
    except (OSError, EOFError):
        return True
    return False


def test_other_clients_are_cut_off_and_the_workload_hears_of_the_client(
    served: Served, talker: Talker
) -> None:
    found = destination("db", 1, talker.where)
    ours, theirs = ("10.0.0.0/8",), ("192.0.2.0/24",)
    served.apply(
        tcp(found, port=FIRST, name="in", policy=Policy(allow_cidrs=ours)),
        tcp(found, port=FIRST + 1, name="out", policy=Policy(allow_cidrs=theirs)),
        tcp(found, port=FIRST + 2, name="idle", policy=Policy(idle_timeout_seconds=2)),
        tcp(found, port=FIRST + 3, name="proxy", policy=Policy(proxy_protocol=V1)),
    )
    for port in (FIRST, FIRST + 2, FIRST + 3):
        wait_until(lambda port=port: not closed(served, port), f"{port} is served")
    wait_until(lambda: closed(served, FIRST + 1), "others are cut off")
    with Conversation(FIRST, host=served.address) as talk:
        assert talk.say("hello") == "hello"
    with Conversation(FIRST + 3, host=served.address) as talk:
        assert talk.say("hello").startswith("PROXY TCP4 10.")
    with Conversation(FIRST + 2, host=served.address) as talk:
        started = time.monotonic()
        with pytest.raises((EOFError, OSError)):
            talk.hear()
        assert 1 < time.monotonic() - started < 4


def test_hosts_share_the_tls_port_and_a_hello_may_come_in_pieces(
    served: Served, talker: Talker
) -> None:
    found = destination("db", 1, talker.where)
    hosts = ("a.apps.example.com", "b.apps.example.com")
    cluster = Route(located=(api(talker.where),), hosts=("eu1.k8s.example.com",))
    served.apply(
        tls(found, hosts=hosts),
        case({"api": cluster}, unit=API),
    )
    for name in (*hosts, *cluster.hosts):
        hello = client_hello(name)
        wait_until(lambda hello=hello: talks(served, hello), f"{name} is served")
        for piece in (1, 5, 100):
            with Conversation(443, hello, piece, host=served.address) as talk:
                assert talk.greeting == "blue"
    assert not talks(served, client_hello("c.apps.example.com"))
    assert not talks(served, b"GET / HTTP/1.0\r\n\r\n")


def talks(served: Served, hello: bytes) -> bool:
    try:
        with Conversation(443, hello, host=served.address) as talk:
            return talk.greeting == "blue"
    except (OSError, EOFError):
        return False


def test_a_draining_port_and_a_second_route_are_listeners_of_their_own(
    served: Served, blue: Workload, green: Workload
) -> None:
    unit = case(
        {
            "1": Route(
                located=(destination("a", 1, at(blue)),),
                ports=(FIRST,),
                draining=(FIRST + 1,),
            ),
            "2": Route(located=(destination("b", 1, at(green)),), ports=(FIRST + 2,)),
        }
    )
    served.apply(unit)
    for port, name in ((FIRST, "blue"), (FIRST + 1, "blue"), (FIRST + 2, "green")):
        wait_served(served.address, port, {name})
    if served.renderer is not Renderer.ISTIO_CLASSIC:
        assert served.attached() == [1, 1, 1]


def test_a_limit_of_connections_holds_per_port(
    request: pytest.FixtureRequest, namespace: str, talker: Talker
) -> None:
    served = start(request, Renderer.ENVOY_GATEWAY, namespace, {FIRST})
    limit = Policy(max_connections=2)
    served.apply(tcp(destination("db", 1, talker.where), port=FIRST, policy=limit))
    wait_until(lambda: not closed(served, FIRST), "it is served")
    with contextlib.ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(Conversation(FIRST, host=served.address))
        with pytest.raises((EOFError, OSError)):
            Conversation(FIRST, host=served.address)


@pytest.mark.parametrize("renderer", [Renderer.ISTIO, Renderer.ISTIO_CLASSIC])
def test_istio_cuts_other_clients_off_by_host(
    request: pytest.FixtureRequest, namespace: str, talker: Talker, renderer: Renderer
) -> None:
    served = start(request, renderer, namespace, set())
    found = destination("db", 1, talker.where)
    units = {
        "in": tls(
            found,
            hosts=("in.apps.example.com",),
            policy=Policy(allow_cidrs=("10.0.0.0/8",)),
        ),
        "out": tls(
            found,
            hosts=("out.apps.example.com",),
            policy=Policy(allow_cidrs=("192.0.2.0/24",)),
        ),
        "all": tls(found, hosts=("all.apps.example.com",)),
    }
    served.apply(*(renamed(each, name) for name, each in units.items()))
    for name in ("in", "all"):
        hello = client_hello(f"{name}.apps.example.com")
        wait_until(lambda hello=hello: talks(served, hello), f"{name} is served")
    hello = client_hello("out.apps.example.com")
    wait_until(lambda: not talks(served, hello), "others are cut off")
    assert talks(served, client_hello("in.apps.example.com"))


def test_envoy_gateway_gives_the_share_of_a_name_that_does_not_resolve_to_others(
    request: pytest.FixtureRequest, namespace: str, blue: Workload
) -> None:
    controller: EnvoyGateway = request.getfixturevalue("envoy_gateway")
    name = f"blue.{namespace}.example.com"
    controller.kubelet.hosts[name] = blue.address
    served = start(request, Renderer.ENVOY_GATEWAY, namespace, {FIRST})
    found = destination("a", 90, f"{name}:{blue.port}")
    gone = destination("b", 10, "gone.invalid:1")
    served.apply(
        tcp(found, destination("b", 10), port=FIRST),
        tcp(found, gone, port=FIRST + 1, name="gone"),
    )
    for port in (FIRST, FIRST + 1):
        wait_served(served.address, port, {"blue"})
        assert spread(served.address, port, 100) == {"blue": 100}
    assert served.attached() == [1, 1]

"""Bytes through real Envoy, fed by `envoy-sync` from what the renderer writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.units import Policy, ProxyProtocol
from tests.envoys import HOST, Conversation, RealEnvoy, Talker, client_hello
from tests.rendering import API, Case, Route, api, case, destination, renamed, tcp, tls
from tests.stack.network import free_port
from tests.stack.process import wait_until
from tests.stack.workloads import FAILED, Workload, ask, spread
from tests.weights import BOTH, CONNECTIONS, Row, rows

pytestmark = pytest.mark.envoy


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[RealEnvoy]:
    """An Envoy that serves nothing yet."""
    with RealEnvoy(tmp_path) as started:
        yield started


@pytest.fixture
def workloads() -> Iterator[dict[str, Workload]]:
    """Two servers on loopback that say their names."""
    with (
        Workload("blue", free_port(), HOST) as blue,
        Workload("green", free_port(), HOST) as green,
    ):
        yield {"blue": blue, "green": green}


def at(workload: Workload) -> str:
    return f"{workload.address}:{workload.port}"


def unit_of(row: Row, workloads: dict[str, Workload], port: int) -> Case:
    found = [
        destination(name, weight, at(workloads[name]))
        for name, weight in row.weights.items()
    ]
    policy = Policy(failover=row.failover)
    return tcp(*found, port=port, policy=policy, name=f"row-{row.port_offset}")


def settled(port: int) -> bool:
    """Nothing fails any more."""
    return FAILED not in spread(HOST, port, 30)


def test_weights_split_and_fail_over_as_the_contract_says(
    envoy: RealEnvoy, workloads: dict[str, Workload]
) -> None:
    ports = {row.port_offset: free_port() for row in rows(BOTH)}
    units = [unit_of(row, workloads, ports[row.port_offset]) for row in rows(BOTH)]
    assert envoy.serve(*units).listeners == 4
    faults: list[str] = []
    for up in (BOTH, frozenset({"blue"}), frozenset({"green"}), frozenset()):
        for name, workload in workloads.items():
            workload.stop()
            if name in up:
                workload.start()
        for row in rows(frozenset(up)):
            port = ports[row.port_offset]
            if not row.expected().get(FAILED):
                wait_until(lambda port=port: settled(port), f"{row} settles")
            counted = spread(HOST, port, CONNECTIONS)
            print(row, dict(counted))
            faults.append(row.fault(counted))
    assert not list(filter(None, faults))


def test_one_destination_is_served_by_its_healthy_addresses(
    envoy: RealEnvoy, workloads: dict[str, Workload]
) -> None:
    port = free_port()
    where = [at(each) for each in workloads.values()]
    envoy.serve(tcp(destination("db", 1, *where), port=port))
    assert set(spread(HOST, port, 50)) == {"blue", "green"}
    workloads["blue"].stop()
    wait_until(lambda: settled(port), "blue is left out")
    assert spread(HOST, port, 100) == {"green": 100}
    workloads["green"].stop()
    assert spread(HOST, port, 20) == {FAILED: 20}
    workloads["green"].start()
    # At once: with none healthy, all are tried.
    assert "green" in spread(HOST, port, 10)


def test_without_an_address_the_port_stays_and_refuses(envoy: RealEnvoy) -> None:
    port = free_port()
    envoy.serve(tcp(destination("db", 1), port=port))
    with pytest.raises(ConnectionResetError):
        ask(HOST, port)


def test_a_share_without_addresses_fails_or_is_taken_over(
    envoy: RealEnvoy, workloads: dict[str, Workload]
) -> None:
    strict, lenient = free_port(), free_port()
    found = (destination("blue", 90, at(workloads["blue"])), destination("green", 10))
    row = rows(frozenset({"blue"}))[0]
    envoy.serve(
        tcp(*found, port=strict, name="strict"),
        tcp(*found, port=lenient, name="lenient", policy=Policy(failover=rows(BOTH)[2].failover)),
    )  # fmt: skip
    assert not row.fault(spread(HOST, strict, CONNECTIONS))
    assert spread(HOST, lenient, CONNECTIONS) == {"blue": CONNECTIONS}


def test_hosts_share_the_tls_port_and_a_hello_may_come_in_pieces(
    envoy: RealEnvoy,
) -> None:
    with Talker("blue") as blue, Talker("cluster") as cluster:
        envoy.serve(
            tls(destination("a", 1, blue.where), hosts=("a.apps.example.com",)),
            case(
                {"api": Route(located=(api(cluster.where),), hosts=("eu1.k8s.example.com",))},
                unit=API,
            ),
        )  # fmt: skip
        for name, greeting in (
            ("a.apps.example.com", "blue"),
            ("eu1.k8s.example.com", "cluster"),
        ):
            for piece in (0, 1, 5, 100):
                with Conversation(envoy.tls_port, client_hello(name), piece) as talk:
                    assert talk.greeting == greeting
        for name in ("b.apps.example.com", "apps.example.com"):
            with pytest.raises((EOFError, OSError)):
                Conversation(envoy.tls_port, client_hello(name))
        with pytest.raises((EOFError, OSError)):
            Conversation(envoy.tls_port, b"GET / HTTP/1.0\r\n\r\n")


def test_clients_out_of_the_allowed_networks_hear_nothing(envoy: RealEnvoy) -> None:
    inside, outside = free_port(), free_port()
    with Talker("blue") as blue:
        found = destination("db", 1, blue.where)
        envoy.serve(
            tcp(found, port=inside, name="in", policy=Policy(allow_cidrs=("127.0.0.0/8",))),
            tcp(found, port=outside, name="out", policy=Policy(allow_cidrs=("10.0.0.0/8",))),
            renamed(
                tls(found, hosts=("a.apps.example.com",), policy=Policy(allow_cidrs=("10.0.0.0/8",))),
                "sni",
            ),
        )  # fmt: skip
        with Conversation(inside) as talk:
            assert talk.say("hello") == "hello"
        with pytest.raises((EOFError, OSError)):
            Conversation(outside)
        with pytest.raises((EOFError, OSError)):
            Conversation(envoy.tls_port, client_hello("a.apps.example.com"))


def test_more_connections_than_allowed_are_closed_and_idle_ones_end(
    envoy: RealEnvoy,
) -> None:
    limited, idle = free_port(), free_port()
    with Talker("blue") as blue, contextlib.ExitStack() as open_ones:
        found = destination("db", 1, blue.where)
        envoy.serve(
            tcp(found, port=limited, name="limited", policy=Policy(max_connections=2)),
            tcp(found, port=idle, name="idle", policy=Policy(idle_timeout_seconds=1)),
        )
        for _ in range(2):
            open_ones.enter_context(Conversation(limited))
        with pytest.raises((EOFError, OSError)):
            Conversation(limited)
        quiet = open_ones.enter_context(Conversation(idle))
        with pytest.raises((EOFError, OSError)):
            quiet.hear()


def test_the_workload_hears_of_the_client_by_proxy_protocol(envoy: RealEnvoy) -> None:
    port = free_port()
    policy = Policy(proxy_protocol=ProxyProtocol.V1)
    with Talker("blue") as blue:
        envoy.serve(tcp(destination("db", 1, blue.where), port=port, policy=policy))
        with Conversation(port) as talk:
            assert talk.say("hello").startswith(f"PROXY TCP4 {HOST} {HOST} ")


def test_names_are_resolved(envoy: RealEnvoy, workloads: dict[str, Workload]) -> None:
    port, dead = free_port(), free_port()
    blue = workloads["blue"]
    envoy.serve(
        tcp(destination("db", 1, f"localhost:{blue.port}"), port=port, name="names"),
        tcp(destination("db", 1, "nothing.invalid:1"), port=dead, name="nothing"),
    )
    wait_until(lambda: settled(port), "the name is resolved")
    assert ask(HOST, port) == "blue"
    with pytest.raises(ConnectionResetError):
        ask(HOST, dead)

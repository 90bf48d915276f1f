"""`envoy-sync` against real Envoy: what an update changes, and what one bad unit cannot."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.envoysync import prepare, sync
from reconciler.errors import Unavailable
from reconciler.model.units import Policy
from reconciler.names import wish_path
from tests.envoys import (
    HOST,
    Conversation,
    RealEnvoy,
    Talker,
    client_hello,
    files_of,
)
from tests.rendering import Case, destination, settings, tcp, tls
from tests.stack.network import free_port
from tests.stack.process import listens, wait_until

pytestmark = pytest.mark.envoy
GATEWAY = "public"


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[RealEnvoy]:
    """An Envoy that serves nothing yet."""
    with RealEnvoy(tmp_path) as started:
        yield started


@pytest.fixture
def blue() -> Iterator[Talker]:
    with Talker("blue") as talker:
        yield talker


@pytest.fixture
def green() -> Iterator[Talker]:
    with Talker("green") as talker:
        yield talker


def path_of(case: Case) -> str:
    return wish_path(GATEWAY, case.placement.wish.unit)


def heard(port: int) -> str:
    with Conversation(port) as talk:
        return talk.greeting


def test_the_status_names_the_revision_that_envoy_took(
    envoy: RealEnvoy, blue: Talker
) -> None:
    port = free_port()
    result = envoy.serve(tcp(destination("db", 1, blue.where), port=port))
    assert result.acknowledged
    assert (result.listeners, result.clusters) == (1, 1)
    status = envoy.status()
    assert status["revision"] == "c1"
    assert status["acknowledged"] is True
    assert status["refused"] == {}
    assert heard(port) == "blue"


def test_established_connections_survive_what_changes_around_them(
    envoy: RealEnvoy, blue: Talker, green: Talker
) -> None:
    mine, other = free_port(), free_port()
    keeps = tcp(destination("db", 1, blue.where), port=mine, name="keeps")
    first = tcp(destination("db", 1, blue.where), port=other, name="other")
    split = (destination("db", 1, blue.where), destination("new", 3, green.where))
    moved = tcp(destination("db", 1, green.where), port=other, name="other")
    hosts = ("a.apps.example.com", "b.apps.example.com")
    chains = [
        tls(destination("db", 1, blue.where), hosts=hosts[:count]) for count in (1, 2)
    ]
    envoy.serve(keeps, first, chains[0])
    with contextlib.ExitStack() as stack:
        talks = [
            stack.enter_context(Conversation(mine)),
            stack.enter_context(Conversation(other)),
            stack.enter_context(Conversation(envoy.tls_port, client_hello(hosts[0]))),
        ]
        for update in (
            (keeps, tcp(*split, port=other, name="other"), chains[0]),
            (keeps, moved, chains[0]),
            (keeps, moved, chains[1]),
            (keeps,),
        ):
            envoy.serve(*update)
            assert [talk.say("still here") for talk in talks[:2]] == ["still here"] * 2
        wait_until(lambda: not listens(HOST, other)(), "the removed port is closed")


def test_a_bad_unit_keeps_its_last_good_resources_and_stops_nobody(
    envoy: RealEnvoy, blue: Talker, green: Talker
) -> None:
    ports = [free_port() for _ in range(3)]
    names = ("a", "b", "c")
    units = [
        tcp(destination("db", 1, blue.where), port=port, name=name)
        for port, name in zip(ports, names, strict=True)
    ]
    envoy.serve(*units[:2])
    files = files_of(*units[:1], *units[2:], tls_port=envoy.tls_port)
    bad = files_of(units[1])[path_of(units[1])].replace(b"3s", b"-3s")
    files |= files_of(units[1])
    files[path_of(units[1])] = bad
    result = envoy.sync(files)
    assert set(result.refused) == {path_of(units[1])}
    assert result.refused[path_of(units[1])].startswith("Invalid duration")
    assert envoy.status()["refused"] == dict(result.refused)
    assert [heard(port) for port in ports] == ["blue"] * 3
    # And when it is good again, it follows.
    fixed = tcp(destination("db", 1, green.where), port=ports[1], name="b")
    assert not envoy.serve(units[0], fixed, units[2]).refused
    wait_until(lambda: heard(ports[1]) == "green", "the unit follows again")


def test_a_bad_unit_that_never_was_good_is_left_out(
    envoy: RealEnvoy, blue: Talker
) -> None:
    port = free_port()
    good = tcp(destination("db", 1, blue.where), port=port, name="good")
    bad = tcp(destination("db", 1, blue.where), port=free_port(), name="bad")
    files = files_of(good, bad)
    files[path_of(bad)] = b"listeners: [\n"
    assert set(envoy.sync(files).refused) == {path_of(bad)}
    assert heard(port) == "blue"


def test_a_port_that_another_program_has_is_the_fault_of_one_unit(
    envoy: RealEnvoy, blue: Talker
) -> None:
    good = tcp(destination("db", 1, blue.where), port=free_port(), name="good")
    with socket.create_server((HOST, 0)) as foreign:
        taken = foreign.getsockname()[1]
        bad = tcp(destination("db", 1, blue.where), port=taken, name="bad")
        result = envoy.serve(bad, good)
        assert set(result.refused) == {path_of(bad)}
        assert "in use" in result.refused[path_of(bad)]
        assert heard(good.placement.routes[0].ports[0]) == "blue"
    assert not envoy.serve(bad, good).refused
    assert heard(taken) == "blue"


def test_of_two_units_that_claim_a_port_one_is_served(
    envoy: RealEnvoy, blue: Talker, green: Talker
) -> None:
    port = free_port()
    first = tcp(destination("db", 1, blue.where), port=port, name="first")
    second = tcp(destination("db", 1, green.where), port=port, name="second")
    result = envoy.serve(first, second)
    assert result.refused == {path_of(second): f"port {port} is another's"}
    assert heard(port) == "blue"


def test_an_envoy_that_starts_later_serves_what_was_written(
    tmp_path: Path, blue: Talker
) -> None:
    envoy = RealEnvoy(tmp_path)
    port = free_port()
    files = files_of(tcp(destination("db", 1, blue.where), port=port))
    gateway = settings(tlsPort=envoy.tls_port).gateways[0]
    hasty = replace(envoy.options, seconds=0.1)
    with pytest.raises(Unavailable, match="does not answer"):
        sync(files, "c0", gateway, hasty)
    status = envoy.status()
    assert status["acknowledged"] is False
    assert "does not answer" in status["problem"]
    with envoy:
        assert envoy.sync(files).acknowledged
        assert heard(port) == "blue"


def test_the_admin_interface_may_be_a_unix_socket(tmp_path: Path, blue: Talker) -> None:
    where = tmp_path / "admin.sock"
    port = free_port()
    with RealEnvoy(tmp_path, admin=str(where)) as envoy:
        envoy.serve(tcp(destination("db", 1, blue.where), port=port))
        assert heard(port) == "blue"
        assert where.stat().st_mode & 0o077 == 0


def test_the_same_revision_again_writes_nothing_for_envoy(
    envoy: RealEnvoy, blue: Talker
) -> None:
    unit = tcp(destination("db", 1, blue.where), port=free_port())
    envoy.serve(unit)
    names = ("lds.json", "cds.json")
    before = [(envoy.options.folder / name).stat() for name in names]
    envoy.serve(unit)
    assert [(envoy.options.folder / name).stat() for name in names] == before


def test_weights_of_one_unit_do_not_touch_the_policy_of_another(
    envoy: RealEnvoy, blue: Talker
) -> None:
    found = destination("db", 1, blue.where)
    idle = tcp(
        found, port=free_port(), name="idle", policy=Policy(idle_timeout_seconds=1)
    )
    calm = tcp(found, port=free_port(), name="calm")
    envoy.serve(idle, calm)
    with Conversation(calm.placement.routes[0].ports[0]) as talk:
        with (
            Conversation(idle.placement.routes[0].ports[0]) as quiet,
            pytest.raises((EOFError, OSError)),
        ):
            quiet.hear()
        assert talk.say("still here") == "still here"


def test_the_folder_is_prepared_once(tmp_path: Path) -> None:
    envoy = RealEnvoy(tmp_path)
    assert prepare(envoy.options) == prepare(envoy.options)

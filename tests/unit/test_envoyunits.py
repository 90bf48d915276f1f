"""What `envoy-sync` takes from a repository: what we render, and no other configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from reconciler.envoyunits import join, read_units
from reconciler.names import endpoints_path, wish_path
from reconciler.render import render
from tests.rendering import CASES, Case, destination, renamed, settings, tcp, tls

MADE = settings()
GATEWAY = MADE.gateways[0]


def files_of(case: Case) -> dict[str, bytes]:
    unit = case.placement.wish.unit
    rendered = render(case.placement, case.addresses, GATEWAY, MADE)
    return {
        wish_path("public", unit): rendered.wish,
        endpoints_path("public", unit): rendered.endpoints,
    }


def only_fault(files: Mapping[str, bytes]) -> str:
    units, faults = read_units(files, "public")
    assert units == {}
    (fault,) = faults.values()
    return fault


@pytest.mark.parametrize("name", CASES)
def test_everything_that_is_rendered_is_taken(name: str) -> None:
    units, faults = read_units(files_of(CASES[name]), "public")
    assert faults == {}
    joined = join(units, GATEWAY, "127.0.0.1")
    assert joined.refused == {}
    assert joined.listeners
    for listener in joined.listeners:
        assert listener["address"]["socket_address"]["address"] == "127.0.0.1"
    # Every cluster has its addresses beside it, and nothing else is added to the unit.
    assert all("load_assignment" in each for each in joined.clusters)


def test_files_of_other_gateways_and_of_the_gateway_itself_are_no_units() -> None:
    (wish, endpoints) = files_of(CASES["tcp"]).values()
    files = {
        "manifests/private/eu1/shop/vs-orders.yaml": wish,
        "manifests/public/gateway.yaml": b"kind: Gateway\n",
        "manifests/public/eu1/shop/vs-orders.endpoints.yaml": endpoints,
        "manifests/public/eu1/shop/README.md": b"",
        "ports/public/20017.yaml": b"",
    }
    assert read_units(files, "public") == ({}, {})


def test_without_its_addresses_file_a_unit_has_no_addresses() -> None:
    files = files_of(CASES["tcp"])
    units, faults = read_units(
        {next(iter(files)): next(iter(files.values()))}, "public"
    )
    assert faults == {}
    (unit,) = units.values()
    assert unit.clusters[0]["load_assignment"]["endpoints"] == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"listeners:", b"listeners: [\n", "not what Wharfinger renders"),
        (b"listeners:", b"secrets:", "secrets is no field"),
        (b"name: tcp-20017", b"access_log: tcp-20017", "access_log is no field"),
        (b"connect_timeout", b"transport_socket_matches", "is no field"),
        (b"port_value: 20017", b"port_value: 70000", "70000 is no port"),
        (b"port_value: 20017", b"port_value: x", "invalid literal"),
        (b"tcp_proxy.v3.TcpProxy", b"wasm.v3.Wasm", "is no filter"),
        (b"cluster: w-eu1", b"cluster: w-us1", "is no cluster of it"),
        (b"filter_chains:", b"filter_chain:", "filter_chain is no field"),
    ],
)  # fmt: skip
def test_what_we_do_not_render_is_refused(old: bytes, new: bytes, fault: str) -> None:
    files = files_of(CASES["tcp"])
    wish = next(iter(files))
    assert old in files[wish]
    assert fault in only_fault({**files, wish: files[wish].replace(old, new)})


def test_a_log_file_in_a_filter_is_refused() -> None:
    files = files_of(CASES["tcp"])
    wish = next(iter(files))
    log = json.dumps(
        {"name": "x", "typed_config": {"@type": "type.googleapis.com/x.FileAccessLog"}}
    )
    line = b"stat_prefix: "
    bad = files[wish].replace(line, f"access_log: [{log}]\n{' ' * 14}".encode() + line)
    assert "FileAccessLog is no filter" in only_fault({**files, wish: bad})


@pytest.mark.parametrize("kind", ["ORIGINAL_DST", "LOGICAL_DNS", "EDS"])
def test_addresses_are_listed_or_names(kind: str) -> None:
    files = files_of(CASES["tcp"])
    wish, endpoints = files
    bad = files[endpoints].replace(b"type: STATIC", f"type: {kind}".encode())
    assert "is no kind of cluster" in only_fault({wish: files[wish], endpoints: bad})


def test_a_chain_without_hosts_would_take_them_all_and_is_refused() -> None:
    files = files_of(CASES["api-sni"])
    wish = next(iter(files))
    bad = files[wish].replace(b"- eu1.k8s.example.com", b'- ""')
    assert "would take all of them" in only_fault({**files, wish: bad})


def test_a_port_host_or_cluster_of_another_unit_is_refused_and_nobody_else_suffers() -> (
    None
):
    found = destination("db", 1, "10.20.0.1:31000")
    hosts = ("a.apps.example.com",)
    cases = {
        "a": tcp(found, port=20001),
        "b": tcp(found, port=20001),
        "c": tcp(found, port=20002),
        "d": tls(found, hosts=hosts),
        "e": tls(found, hosts=(*hosts, "b.apps.example.com")),
        "f": tcp(found, port=443),
    }
    files: dict[str, bytes] = {}
    for name, case in cases.items():
        files |= files_of(renamed(case, name))
    units, faults = read_units(files, "public")
    assert faults == {}
    joined = join(units, GATEWAY, "0.0.0.0")
    folder = "manifests/public/eu1/shop"
    assert joined.refused == {
        f"{folder}/vs-b.yaml": "port 20001 is another's",
        f"{folder}/vs-e.yaml": "host a.apps.example.com is another unit's",
        f"{folder}/vs-f.yaml": "port 443 is another's",
    }
    names = [each["name"] for each in joined.listeners]
    assert names == ["tls", "tcp-20001", "tcp-20002"]
    assert len(joined.clusters) == 3


def test_a_cluster_of_the_same_name_in_two_units_is_served_once() -> None:
    one = files_of(renamed(CASES["tcp"], "one"))
    copied = {
        path.replace("vs-one", "vs-two"): data.replace(b"20017", b"20018")
        for path, data in one.items()
    }
    units, _ = read_units({**one, **copied}, "public")
    joined = join(units, GATEWAY, "::")
    assert set(joined.refused) == {"manifests/public/eu1/shop/vs-two.yaml"}
    address = joined.listeners[0]["address"]["socket_address"]
    assert address == {"address": "::", "port_value": 20017, "ipv4_compat": True}

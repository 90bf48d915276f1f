"""Raw API objects become values with the API's defaults; odd ones stay harmless."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.clusters import Endpoint, EndpointSlice, Node, ServicePort
from reconciler.observe import parse


def named(name: str = "db", namespace: str = "shop", **metadata: object) -> Any:
    return {"metadata": {"name": name, "namespace": namespace, **metadata}}


def service(spec: object, status: object = None) -> Any:
    return parse.service({**named(), "spec": spec, "status": status})


def test_a_virtual_service_keeps_its_spec_and_annotations_raw() -> None:
    annotations = {"wharfinger.dev/expose": "tcp", "other": "x"}
    spec = {"tcp": [{"weight": "odd"}]}
    body = named(
        uid="u-1", resourceVersion="7", generation=3, annotations=annotations
    ) | {"spec": spec}
    found = parse.virtual_service(body)
    assert (found.namespace, found.name) == ("shop", "db")
    assert (found.uid, found.resource_version, found.generation) == ("u-1", "7", 3)
    assert (found.annotations, found.spec, found.deleting) == (annotations, spec, False)


def test_of_a_spec_only_what_is_read_is_kept() -> None:
    spec = {"tcp": [1], "tls": [2], "http": [3], "hosts": ["*"], "gateways": ["mesh"]}
    exposed = named(annotations={"wharfinger.dev/expose": "no"}) | {"spec": spec}
    found = parse.virtual_service(exposed).spec
    assert found == {"tcp": [1], "tls": [2], "http": [3]}
    near = named(annotations={"wharfinger.dev/state": "Ready"}) | {"spec": spec}
    assert parse.virtual_service(near).spec == {}


def test_what_a_file_leaves_out_of_a_virtual_service() -> None:
    found = parse.virtual_service(named())
    assert (found.uid, found.resource_version, found.generation) == ("", "", 0)
    assert (found.annotations, found.spec, found.deleting) == ({}, {}, False)


def test_a_deletion_is_seen() -> None:
    body = named(deletionTimestamp="2026-01-01T00:00:00Z")
    assert parse.virtual_service(body).deleting
    assert not parse.virtual_service(named(deletionTimestamp=None)).deleting


@pytest.mark.parametrize("spec", [None, "x", 1, [], [1]])
def test_a_spec_of_another_type_is_an_empty_one(spec: object) -> None:
    assert parse.virtual_service(named() | {"spec": spec}).spec == {}


@pytest.mark.parametrize("annotations", [[], "x", 0, False, ["wharfinger.dev/expose"]])
def test_not_exposed_is_never_a_guess(annotations: object) -> None:
    with pytest.raises(ValueError, match="annotations"):
        parse.virtual_service(named(annotations=annotations))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": None},
        {"metadata": {"name": "x"}},
        {"metadata": {"namespace": "x"}},
        {"metadata": {"name": "", "namespace": "x"}},
        {"metadata": {"name": 1, "namespace": "x"}},
        {"metadata": {"name": "x", "namespace": ["x"]}},
    ],
)
def test_an_object_without_identity_is_an_error(body: Any) -> None:
    for read in (parse.virtual_service, parse.service, parse.endpoint_slice):
        with pytest.raises(ValueError, match="without a name"):
            read(body)


def test_defaults_of_a_service() -> None:
    found = service({"ports": [{"port": 5432}]})
    assert (found.type, found.headless, found.has_selector) == (
        "ClusterIP",
        False,
        False,
    )
    assert found.ports == (
        ServicePort(name="", port=5432, node_port=0, protocol="TCP"),
    )
    assert (found.local_traffic_policy, found.ingress) == (False, ())


def test_a_full_service() -> None:
    found = service(
        {
            "type": "LoadBalancer",
            "clusterIP": "None",
            "selector": {"app": "db"},
            "externalTrafficPolicy": "Local",
            "ports": [
                {"name": "a", "port": 1, "nodePort": 30001, "protocol": "UDP"},
                {"name": "b", "port": 2},
            ],
        },
        {
            "loadBalancer": {
                "ingress": [
                    {"ip": "10.0.0.9"},
                    {"hostname": "lb.example.com"},
                    {"ip": "10.0.0.8", "hostname": "x"},
                    {"ports": []},
                ]
            }
        },
    )
    assert (found.type, found.headless, found.has_selector) == (
        "LoadBalancer",
        True,
        True,
    )
    assert found.local_traffic_policy
    assert [(port.name, port.node_port, port.protocol) for port in found.ports] == [
        ("a", 30001, "UDP"),
        ("b", 0, "TCP"),
    ]
    assert found.ingress == ("10.0.0.9", "lb.example.com", "10.0.0.8")


@pytest.mark.parametrize("spec", [None, [], "x", {"ports": 1}, {"ports": {"a": 1}}])
def test_an_odd_service_offers_nothing(spec: object) -> None:
    found = service(spec, status="x")
    assert (found.ports, found.ingress, found.has_selector) == ((), (), False)


@pytest.mark.parametrize("port", ["5432", 5432.0, True, None, [5432]])
def test_a_port_of_another_type_is_none(port: object) -> None:
    assert service({"ports": [{"port": port}]}).ports[0].port == 0


def ready(status: str = "True", since: object = "2026-01-01T10:00:00Z") -> Any:
    return {"type": "Ready", "status": status, "lastTransitionTime": since}


def node(status: object) -> Node:
    return parse.node({"metadata": {"name": "n1"}, "status": status})


def test_a_node() -> None:
    found = node(
        {
            "conditions": [{"type": "DiskPressure", "status": "False"}, ready()],
            "addresses": [
                {"type": "ExternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "fd00::1"},
                {"type": "Hostname", "address": "n1"},
            ],
        }
    )
    assert found == Node(
        name="n1",
        ready=True,
        ready_since=datetime(2026, 1, 1, 10, tzinfo=UTC),
        internal_ips=("10.0.0.1", "fd00::1"),
    )


@pytest.mark.parametrize("status", ["False", "Unknown", "", None, True])
def test_only_the_word_true_is_ready(status: Any) -> None:
    assert not node({"conditions": [ready(status)]}).ready


@pytest.mark.parametrize("status", [None, [], {"conditions": 1}, {"addresses": "x"}])
def test_an_odd_node_is_not_ready_and_has_no_address(status: object) -> None:
    expected = Node(name="n1", ready=False, ready_since=None, internal_ips=())
    assert node(status) == expected


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2026-01-01T10:00:00Z", 10),
        ("2026-01-01T10:00:00+02:00", 8),
        ("2026-01-01T10:00:00.000001Z", 10),
        ("2026-01-01T10:00:00", 10),
    ],
)
def test_moments(text: str, hours: int) -> None:
    found = parse.moment(text)
    assert found is not None
    expected = datetime(2026, 1, 1, hours, tzinfo=UTC)
    assert abs(found - expected) < timedelta(seconds=1)


@pytest.mark.parametrize("text", ["", "soon", 5, None, "0001-01-01T00:00:00+14:00"])
def test_no_moments(text: object) -> None:
    assert parse.moment(text) is None


def slice_of(*endpoints: object, ports: object = None) -> Any:
    labels = {"kubernetes.io/service-name": "db"}
    return named("db-x7", labels=labels) | {"endpoints": list(endpoints), "ports": ports}  # fmt: skip


def test_an_endpoint_slice() -> None:
    body = slice_of(
        {"addresses": ["10.1.0.1"], "nodeName": "n1"},
        {"addresses": ["10.1.0.2"], "conditions": {"ready": None}},
        {"addresses": ["10.1.0.3"], "conditions": {"ready": False}},
        ports=[{"name": "sql", "port": 5432}, {"name": "u", "port": 1, "protocol": "UDP"}],
    )  # fmt: skip
    assert parse.endpoint_slice(body) == EndpointSlice(
        namespace="shop",
        service="db",
        ports=(("sql", 5432),),
        endpoints=(
            Endpoint(addresses=("10.1.0.1",), ready=True, node_name="n1"),
            Endpoint(addresses=("10.1.0.2",), ready=True, node_name=""),
            Endpoint(addresses=("10.1.0.3",), ready=False, node_name=""),
        ),
    )


def test_labels_of_pods_are_joined_only_when_they_were_looked_at() -> None:
    pod = {"kind": "Pod", "name": "p1"}
    body = slice_of(
        {"addresses": ["10.1.0.1"], "targetRef": pod},
        {"addresses": ["10.1.0.2"], "targetRef": {"kind": "Pod", "name": "gone"}},
        {"addresses": ["10.1.0.3"]},
    )
    pods = dict([parse.pod_labels(named("p1", labels={"v": "1", "odd": 2}))])
    joined = parse.endpoint_slice(body, pods).endpoints
    assert [each.pod_labels for each in joined] == [(("v", "1"),), (), ()]
    unseen = parse.endpoint_slice(body).endpoints
    assert [each.pod_labels for each in unseen] == [None, None, None]


def test_a_destination_rule() -> None:
    spec = {
        "host": "db",
        "subsets": [{"name": "v1", "labels": {"b": "2", "a": "1"}}, {"name": "all"}],
    }
    found = parse.destination_rule(named() | {"spec": spec})
    assert found.host == "db"
    assert found.subsets == (("v1", (("a", "1"), ("b", "2"))), ("all", ()))


def asks(backend: str | None, subset: object, expose: bool = True) -> bool:
    annotations = {"wharfinger.dev/expose": "tcp"} if expose else {}
    if backend is not None:
        annotations["wharfinger.dev/backend"] = backend
    destination = {"host": "db", "subset": subset}
    spec = {"tcp": [1, {"route": [{}, {"destination": destination}]}]}
    body = named(annotations=annotations) | {"spec": spec}
    return parse.needs_pods([parse.virtual_service(body)])


def test_pods_are_needed_only_for_subsets_of_exposed_pods() -> None:
    assert asks("pod", "v1")
    assert not asks("pod", None)
    assert not asks("node-port", "v1")
    assert not asks(None, "v1")
    assert not asks("pod", "v1", expose=False)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("0b6f8a3c-1f7e-4a5b-9c2d-1e3f5a7b9c0d", True),
        ("lab:eu1/blue", True),
        ("", False),
        (7, False),
        (None, False),
        ("a b", False),
        ("a\nb", False),
        ("-x", False),
        ("x" * 129, False),
        ("ü", False),
    ],
)
def test_ids_are_short_plain_words(value: object, good: bool) -> None:
    assert parse.cluster_id(value) == (value if good else "")


def test_names_in_certificates_are_names() -> None:
    names = ["Kubernetes", "*.k8s.example.com", "10.0.0.1", "fd00::1", "a b", "x\n", 5]
    expected = ("*.k8s.example.com", "10.0.0.1", "fd00::1", "kubernetes")
    assert parse.certificate_names(names) == expected
    assert parse.certificate_names(None) is None
    assert parse.certificate_names([]) == ()


KEYS = (
    *("spec", "status", "ports", "conditions", "addresses", "endpoints", "labels"),
    *("loadBalancer", "ingress", "subsets", "targetRef", "selector", "tcp", "route"),
)
LEAF = st.sampled_from(
    [None, True, 0, -1, 1.5, 1 << 70, "", "True", "2026-13-01", "\ud800"]
)
ODD = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ODD))
def test_no_content_of_an_object_raises(body: dict[str, object]) -> None:
    whole = {**body, **named()}
    parse.needs_pods([parse.virtual_service(whole)])
    pods = dict([parse.pod_labels(whole)])
    for read in (parse.service, parse.node, parse.destination_rule):
        read(whole)
    parse.endpoint_slice(whole, pods)

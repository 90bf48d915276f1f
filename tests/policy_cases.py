"""Objects that the admission policies of `policies/` are held against, offline and on a server.

Each case passes the schema of its kind, so whether it may exist is the policies' decision alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.policies.documents import PolicySet, parse_policies
from tests.policy_objects import (
    ENVOY_GATEWAY,
    ISTIO,
    NAMESPACE,
    SET,
    Doc,
    backend,
    entry,
    gateway,
    listener_set,
    made,
    named,
    route,
    tcp_route,
    tenants,
    tls_route,
    to,
    virtual_service,
)

FOLDER = Path(__file__).parents[1] / "policies"
LABELS = {"wharfinger.dev/gateway-namespace": "true"}
BACKEND, LISTENERS, ROUTES = (
    f"wharfinger-{each}" for each in ("backend-addresses", "listeners", "routes")
)
ENTRIES, GATEWAYS, ISTIO_ROUTES = (
    f"wharfinger-istio-{each}" for each in ("entries", "gateways", "routes")
)
ANNOTATIONS, WRITTEN = "wharfinger-annotations", "wharfinger-written-annotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One object; `policy` is the one that refuses it (empty: none), saying `words`.

    `tenant` objects are judged in a namespace of a workload cluster, without the label.
    """

    name: str
    document: Doc
    policy: str = ""
    words: str = ""
    tenant: bool = False


def all_policies() -> PolicySet:
    """Those of the platform cluster and those of workload clusters."""
    found = PolicySet()
    for path in sorted(FOLDER.rglob("*.yaml")):
        found |= parse_policies(str(path.relative_to(FOLDER)), path.read_bytes())
    return found


def _addresses() -> Iterator[Case]:
    for good in (
        *("10.20.0.5", "255.255.255.255", "8.8.8.8", "126.255.255.255", "172.16.0.1"),
        *("128.0.0.0", "169.253.1.1", "223.255.255.255", "192.0.2.1", "1.0.0.1"),
        *("2001:db8::1", "fd00:1:2:3:4:5:6:7", "2002:a14:1::1", "64:ff9b::a14:1"),
    ):
        yield Case(name=f"backend {good}", document=backend(good))
        yield Case(name=f"entry {good}", document=entry(good))
    for bad in (
        *("127.0.0.1", "127.9.9.9", "169.254.169.254", "169.254.1.1", "0.0.0.0"),
        *("0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.254"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fe80::1", "::1", "::"),
        *("ff02::1", "fec0::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "2001:0:1:2:3:4:5:6", "fd00:ec2::254", "::7f00:1"),
        *("64:ff9b::e000:1", "0:0:0:0:0:0:0:1", "FE80::1", "fd20:ce::254"),
    ):
        refused = {"policy": BACKEND, "words": "must not point at"}
        if not bad.startswith("::") and not bad.endswith("::"):  # the CRD's own
            yield Case(name=f"backend {bad}", document=backend(bad), **refused)
        yield Case(name=f"entry {bad}", document=entry(bad), **refused)
    yield Case(
        name="backend with zeros",
        document=backend("127.0.0.01"),
        policy=BACKEND,
        words="odd spelling",
    )
    for odd in (
        *("127.1", "0x7f.1", "2130706433", "localhost", "LOCALHOST", "a.localhost"),
        *("127.0.0.01", "0177.0.0.1", "fe80::1%eth0", "a b", "localhost."),
        *("10.0.0.256", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::FFFF:7f00:1", ""),
    ):
        yield Case(
            name=f"entry {odd!r}",
            document=entry(odd, resolution="DNS"),
            policy=BACKEND,
            words="odd spelling",
        )
    socket = entry(endpoints=[{"address": "unix:///run/a.sock"}])
    yield Case(
        name="entry socket", document=socket, policy=BACKEND, words="odd spelling"
    )


def _backends() -> Iterator[Case]:
    yield Case(name="two good", document=backend("10.0.0.1", "10.0.0.2"))
    yield Case(
        name="the second is bad",
        document=backend("10.0.0.1", "127.0.0.1"),
        policy=BACKEND,
        words="must not point at 127.0.0.1,",
    )
    yield Case(name="a name", document=named("a-1.elb.example.com"))
    yield Case(name="nowhere", document=named("nowhere.invalid"))
    for name in ("a.localhost", "0x7f.1", "1.2.3.0x4"):
        yield Case(
            name=f"name {name}",
            document=named(name),
            policy=BACKEND,
            words="odd spelling",
        )
    socket = {"endpoints": [{"unix": {"path": "/run/a.sock"}}]}
    yield Case(
        name="a socket",
        document=made(ENVOY_GATEWAY, "Backend", socket),
        policy=BACKEND,
        words="odd spelling",
    )
    yield Case(
        name="a resolver",
        document=made(ENVOY_GATEWAY, "Backend", {"type": "DynamicResolver"}),
        policy=BACKEND,
        words="DynamicResolver",
    )
    worker = made(ISTIO, "WorkloadEntry", {"address": "127.0.0.1"})
    yield Case(name="worker", document=worker, policy=BACKEND, words="must not point")
    yield Case(
        name="good worker",
        document=made(ISTIO, "WorkloadEntry", {"address": "10.0.0.1"}),
    )
    yield Case(
        name="a tenant's entry is not judged",
        document=entry("127.0.0.1", exportTo=None),
        tenant=True,
    )
    yield Case(
        name="a backend is judged everywhere",
        document=backend("127.0.0.1"),
        policy=BACKEND,
        words="must not point at",
        tenant=True,
    )


def _listeners() -> Iterator[Case]:
    for port in (20017, 14999, 15091, 18999, 19004, 443, 1, 65535, 10444):
        yield Case(name=f"listener {port}", document=listener_set(port))
    for port in (15000, 15021, 15090, 19000, 19003, 10080, 10443):
        yield Case(
            name=f"listener {port}",
            document=listener_set(20017, port),
            policy=LISTENERS,
            words="must not open a port",
        )
    yield Case(name="64 listeners", document=listener_set(*range(20000, 20064)))
    yield Case(name="no allowedRoutes", document=listener_set(allowedRoutes=None))
    yield Case(name="no namespaces", document=listener_set(allowedRoutes={}))
    yield Case(
        name="passthrough",
        document=listener_set(protocol="TLS", tls={"mode": "Passthrough"}),
    )
    certificate = {"certificateRefs": [{"name": "c"}]}
    for name, changes in {
        "TLS that ends here": {"protocol": "TLS", "tls": certificate},
        "HTTP": {"protocol": "HTTP"},
        "HTTPS": {"protocol": "HTTPS", "tls": certificate},
        "UDP": {"protocol": "UDP"},
        "a protocol of somebody's": {"protocol": "example.com/quic"},
    }.items():
        yield Case(
            name=name,
            document=listener_set(**changes),
            policy=LISTENERS,
            words="must pass connections on",
        )
    selector = {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}
    for source in ({"from": "All"}, selector):
        yield Case(
            name=f"routes from {source['from']}",
            document=listener_set(allowedRoutes={"namespaces": source}),
            policy=LISTENERS,
            words="must take routes",
        )
    yield Case(
        name="a tenant's listeners are not judged",
        document=listener_set(15000),
        tenant=True,
    )


def _routes() -> Iterator[Case]:
    hostname = {"group": "networking.istio.io", "kind": "Hostname", "port": 5000}
    own = {**hostname, "name": f"w-a.{NAMESPACE}.internal"}
    yield Case(name="tcp", document=tcp_route())
    yield Case(name="tcp to a hostname", document=tcp_route(own))
    yield Case(name="tls", document=tls_route())
    yield Case(name="tls on a set", document=tls_route(**SET))
    yield Case(name="own namespace", document=tcp_route(namespace=NAMESPACE))
    for name, document in {
        "no parent": route("TCPRoute", None),
        "no section": tcp_route(sectionName=None),
        "another namespace": tcp_route(namespace="other"),
        "another group": tcp_route(group="example.com"),
        "tls without a section": tls_route(sectionName=None),
        "tls in another namespace": tls_route(namespace="other"),
    }.items():
        yield Case(
            name=name, document=document, policy=ROUTES, words="must name its listeners"
        )
    for name, changes in {
        "tcp at the gateway": {"kind": "Gateway"},
        "tcp at the default": {"kind": None, "group": None},
        "tcp at a service": {"kind": "Service"},
    }.items():
        yield Case(
            name=name,
            document=tcp_route(**changes),
            policy=ROUTES,
            words="never to the Gateway",
        )
    yield Case(name="a domain", document=tls_route("*.apps.example.com"))
    for hosts in (("*.com",), ("a.example.com", "*.com")):
        yield Case(
            name=f"hosts {hosts}",
            document=tls_route(*hosts),
            policy=ROUTES,
            words="must name its hosts",
        )
    elsewhere = {**hostname, "name": "redis.default.svc.cluster.local"}
    words = "must lead to a host of this namespace"
    yield Case(
        name="tcp to a host of another namespace",
        document=tcp_route(elsewhere),
        policy=ROUTES,
        words=words,
    )
    for name, ref in {
        "a service": {"group": "", "kind": "Service", "port": 443},
        "the default": {"port": 443},
        "a kind of somebody's": {"group": "example.com", "kind": "Backend"},
        "another namespace": {
            "group": "gateway.envoyproxy.io",
            "kind": "Backend",
            "namespace": "other",
        },
    }.items():
        yield Case(
            name=f"tcp to {name}",
            document=tcp_route(ref),
            policy=ROUTES,
            words="never to a Service",
        )


def _istio() -> Iterator[Case]:
    yield Case(name="no endpoints", document=entry())
    yield Case(name="no endpoints at all", document=entry(endpoints=None))
    yield Case(name="names", document=entry("a-1.elb.example.com", resolution="DNS"))
    for name, changes, words in (
        ("another host", {"hosts": ["www.example.com"]}, "must have hosts"),
        ("another namespace", {"hosts": ["w-a.other.internal"]}, "must have hosts"),
        ("a wildcard", {"hosts": [f"*.{NAMESPACE}.internal"]}, "must have hosts"),
        ("resolution NONE", {"resolution": "NONE", "endpoints": None}, "must say"),
        ("no resolution", {"resolution": None, "endpoints": None}, "must say where"),
        ("round robin", {"resolution": "DNS_ROUND_ROBIN"}, "must say where"),
        ("seen by all", {"exportTo": ["*"]}, "must be visible"),
        ("seen by default", {"exportTo": None}, "must be visible"),
        ("seen by another", {"exportTo": [".", "other"]}, "must be visible"),
    ):
        document = entry("10.0.0.1", **changes)
        yield Case(name=f"entry {name}", document=document, policy=ENTRIES, words=words)
    pods = entry(endpoints=None, workloadSelector={"labels": {"app": "a"}})
    yield Case(name="pods", document=pods, policy=ENTRIES, words="must say where")
    yield Case(name="istio tcp", document=gateway(20017))
    yield Case(
        name="istio tls", document=gateway(443, "TLS", tls={"mode": "PASSTHROUGH"})
    )
    peoples = gateway(8080, "HTTP")
    peoples["metadata"]["name"] = "public"
    yield Case(name="istio of people", document=peoples)
    for port in (15021, 19000, 10443):
        yield Case(
            name=f"istio {port}",
            document=gateway(port),
            policy=GATEWAYS,
            words="must not open a port",
        )
    for protocol, tls in (
        ("HTTP", {}),
        ("tcp", {}),
        ("TLS", {"tls": {"mode": "SIMPLE", "credentialName": "c"}}),
    ):
        yield Case(
            name=f"istio {protocol}",
            document=gateway(20017, protocol, **tls),
            policy=GATEWAYS,
            words="must pass connections on",
        )


def _istio_routes() -> Iterator[Case]:
    own = [to(f"w-a.{NAMESPACE}.internal")]
    sni = {"match": [{"port": 443, "sniHosts": ["a.example.com"]}], "route": own}
    wild = {"match": [{"port": 443, "sniHosts": ["*.com"]}], "route": own}
    yield Case(name="classic tcp", document=virtual_service())
    yield Case(name="classic tls", document=virtual_service(tcp=None, tls=[sni]))
    apply, lead = "must apply to gateways", "must lead to hosts"
    for name, changes, words in (
        ("the mesh", {"gateways": ["mesh"]}, apply),
        ("no gateways", {"gateways": None}, apply),
        ("a short name", {"gateways": ["public"]}, apply),
        ("another's", {"gateways": [f"{NAMESPACE}/public", "other/public"]}, apply),
        ("seen by all", {"exportTo": None}, apply),
        ("http", {"http": [{"route": own}]}, "must have tcp and tls"),
        ("wildcard", {"tls": [sni, wild]}, "must name its SNI hosts"),
        ("a host outside", {"tcp": [{"route": [to("redis.default")]}]}, lead),
        ("a tls host outside", {"tls": [{**sni, "route": [to("a")]}]}, lead),
    ):
        yield Case(
            name=f"classic {name}",
            document=virtual_service(**changes),
            policy=ISTIO_ROUTES,
            words=words,
        )


def _tenants() -> Iterator[Case]:
    for name, wanted in enumerate(
        (
            *({}, {"expose": "tcp"}, {"expose": "tls"}),
            {"expose": "tcp", "request_port": "20017"},
            {"expose": "tcp", "request_port": "65535"},
            {"expose": "tcp", "request_port": "5672=20017,15672=20018"},
            {"expose": "tcp", "request_port": "tcp=1"},
            {"expose": "tcp", "failover": "any", "backend": "pod", "gateway": "a-1"},
            {"expose": "tcp", "proxy_protocol": "v1", "max_connections": "1000000"},
            {"expose": "tcp", "allow_cidrs": "not judged here"},
            {"failover": "not exposed, not judged", "nonsense": "x"},
        )
    ):
        yield Case(name=f"asked {name}", document=tenants(**wanted), tenant=True)
    port = "request-port must be a port"
    for key, value, words in (
        *(("expose", each, "expose must be") for each in ("", "TCP", "tcp ", "tcp\n")),
        *(
            ("gateway", each, "gateway must be")
            for each in ("", "A", "a.b", "-a", "a\n")
        ),
        *(("request_port", each, port) for each in ("", "0", "65536", "020017", "+1")),
        *(
            ("request_port", each, port)
            for each in ("1,2", "a=1,a=2", "a=1,b=1", "a=1,")
        ),
        *(
            ("request_port", each, port)
            for each in ("A=1", "=1", "a=", "1\n", "99999999999")
        ),
        *(("failover", each, "failover must be") for each in ("", "Any", "all")),
        *(("backend", each, "backend must be") for each in ("", "nodeport", "pods")),
        ("proxy_protocol", "v3", "proxy-protocol must be"),
        *(("max_connections", e, "must be a number") for e in ("0", "1000001", "1e3")),
        ("expse", "tcp", "there is no annotation wharfinger.dev/expse"),
    ):
        yield Case(
            name=f"{key} {value!r}",
            document=tenants(**{"expose": "tcp", key: value}),
            policy=ANNOTATIONS,
            words=words,
            tenant=True,
        )
    yield Case(
        name="a port of the shared listener",
        document=tenants(expose="tls", request_port="20017"),
        policy=ANNOTATIONS,
        words="share the gateway's TLS port",
        tenant=True,
    )
    for key in ("state", "message", "host", "port", "endpoints", "commit"):
        yield Case(
            name=f"faked {key}",
            document=tenants(**{key: "x"}),
            policy=WRITTEN,
            words=f"wharfinger.dev/{key} is written by Wharfinger alone",
            tenant=True,
        )


def cases() -> tuple[Case, ...]:
    """The whole table."""
    groups = (
        _addresses,
        _backends,
        _listeners,
        _routes,
        _istio,
        _istio_routes,
        _tenants,
    )
    return tuple(case for group in groups for case in group())

"""Kubernetes API servers: one etcd, as many clusters as wanted (does I/O).

A cluster is a real kube-apiserver with RBAC on an address of its own. There are no
nodes, no scheduler and no controllers: tests write Nodes, EndpointSlices and status.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.stack import pins
from tests.stack.api import Access, Api, ApiError
from tests.stack.certificates import Authority
from tests.stack.documents import Document, Ref, condition
from tests.stack.network import free_port, give_back, take_address
from tests.stack.process import Command, Daemon, answers, scratch, wait_until

PORT = 6443
OUR_GROUPS = ("gateway.networking.k8s.io", "envoyproxy.io", "istio.io", "argoproj.io")
CRD = "apiextensions.k8s.io/v1"


class Etcd:
    """One etcd for all clusters; each has a prefix of its own in it."""

    def __init__(self, logs: Path) -> None:
        client, peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{client}"
        peers = f"http://127.0.0.1:{peer}"
        argv = (
            str(pins.binary("etcd")),
            f"--data-dir={scratch('etcd')}",
            "--name=etcd",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=etcd={peers}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        ready = answers(f"{self.url}/health")
        self.daemon = Daemon(Command(name="etcd", argv=argv, ready=ready), logs)

    def start(self) -> Etcd:
        """Start it and wait until it is healthy."""
        self.daemon.start()
        return self

    def stop(self) -> None:
        """Stop it; its data is gone with the run."""
        self.daemon.stop(patience=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """What a cluster is started with.

    `names` are additional DNS names of the serving certificate; `crds` are folders of
    `pins.asset` such as ``crds/istio``.
    """

    name: str
    names: tuple[str, ...] = ()
    crds: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A cluster that answers. `access` is the administrator's."""

    name: str
    access: Access
    folder: Path
    authority: Authority | None = None
    daemon: Daemon | None = None
    address: str = ""
    api: Api = field(init=False)
    _clients: list[Api] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = self.client(self.access)

    def client(self, access: Access) -> Api:
        """A client that is closed with the cluster."""
        made = Api(access)
        self._clients.append(made)
        return made

    @property
    def host(self) -> str:
        """Host name or address of the API server."""
        return (
            self.access.server.removeprefix("https://").rpartition(":")[0].strip("[]")
        )

    @property
    def port(self) -> int:
        """TCP port of the API server."""
        return int(self.access.server.rpartition(":")[2])

    @property
    def ca(self) -> str:
        """The PEM text of the CA that signed the serving certificate."""
        return Path(self.access.ca).read_text()

    @property
    def uid(self) -> str:
        """The UID of the namespace kube-system: the cluster's identity."""
        found = self.api.get(Ref("v1", "Namespace", "kube-system"))
        return str(found["metadata"]["uid"])

    def kubeconfig(self, access: Access | None = None) -> str:
        """The text of a kubeconfig (JSON is YAML), all credentials inline."""
        access = access or self.access
        user: Document = {}
        if access.token:
            user["token"] = access.token
        if access.cert:
            user["client-certificate-data"] = _encoded(access.cert)
            user["client-key-data"] = _encoded(access.key)
        cluster = {
            "server": access.server,
            "certificate-authority-data": _encoded(access.ca),
        }
        if access.server_name:
            cluster["tls-server-name"] = access.server_name
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": cluster}],
            "users": [{"name": self.name, "user": user}],
            "contexts": [
                {
                    "name": self.name,
                    "context": {"cluster": self.name, "user": self.name},
                }
            ],
        }
        return json.dumps(document, indent=1)

    def kubeconfig_file(self, access: Access | None = None) -> Path:
        """As `kubeconfig`, in a file of the cluster's scratch folder, mode 0600."""
        suffix = f"-{abs(hash(access))}" if access else ""
        path = self.folder / f"kubeconfig{suffix}.yaml"
        path.touch(mode=0o600)
        path.write_text(self.kubeconfig(access))
        return path

    def namespace(self, name: str) -> str:
        """Make the namespace if it is not there."""
        self.api.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        return name

    def wait_programmed(self, gateway: str, namespace: str) -> Document:
        """The Gateway (of the Gateway API), as soon as it is programmed."""
        ref = Ref("gateway.networking.k8s.io/v1", "Gateway", gateway, namespace)
        return self.api.wait_for(ref, lambda g: condition(g, "Programmed") == "True")

    def empty(self, namespace: str) -> None:
        """Delete the objects in a namespace; nobody else would, nor the namespace.

        Only Services and what gateways and engines act on: the rest is inert here.
        """
        groups = self.api.call("GET", "/apis")["groups"]
        kinds = [Ref("v1", "Service", namespace=namespace)]
        for group in groups:
            if not group["name"].endswith(OUR_GROUPS):
                continue
            version = group["preferredVersion"]["groupVersion"]
            for found in self.api.call("GET", f"/apis/{version}")["resources"]:
                if found["namespaced"] and "/" not in found["name"]:
                    kinds.append(Ref(version, found["kind"], namespace=namespace))
        for kind in kinds:
            self.api.call("DELETE", self.api.path(kind))

    def service_account(self, name: str, namespace: str = "default") -> Access:
        """Access by a real, signed token of a ServiceAccount, made if need be.

        RBAC sees ``system:serviceaccount:<namespace>:<name>``.
        """
        metadata = {"name": name, "namespace": self.namespace(namespace)}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        self.api.apply(account)
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        path = self.api.path(Ref.of(account), "/token")
        token = self.api.call("POST", path, request)["status"]["token"]
        return Access(server=self.access.server, ca=self.access.ca, token=token)

    def user(self, name: str, groups: Sequence[str] = ()) -> Access:
        """Access by a client certificate for `name` in `groups`."""
        if self.authority is None:
            raise ApiError(0, f"{self.name} was not started here: no CA key for users")
        issued = self.authority.client(name, tuple(groups))
        access = self.access
        return Access(
            server=access.server,
            ca=access.ca,
            cert=str(issued.cert),
            key=str(issued.key),
        )

    def through(self, server: str, *, server_name: str = "") -> Access:
        """The administrator's access by another URL, as through a gateway."""
        return replace(self.access, server=server, server_name=server_name)

    def install(self, *crds: str) -> None:
        """Apply CustomResourceDefinitions (`pins.asset` folders) and wait for them."""
        definitions: list[Document] = []
        for folder in crds:
            text = (pins.asset(folder) / "all.json").read_text()
            definitions.extend(json.loads(text))
        self.define(definitions)

    def define(self, definitions: Sequence[Document]) -> None:
        """Apply CustomResourceDefinitions and wait until they are served."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(self.api.apply, definitions))
        for definition in definitions:
            self._wait_served(definition)

    def _wait_served(self, definition: Document) -> None:
        if definition["kind"] != "CustomResourceDefinition":
            return
        spec = definition["spec"]
        version = next(v["name"] for v in spec["versions"] if v["served"])
        ref = Ref(f"{spec['group']}/{version}", spec["names"]["kind"])

        def served() -> bool:
            try:
                self.api.list(ref)
            except ApiError as error:
                # 429: the storage of a new kind is initialised on first use.
                if error.status in (404, 429, 503):
                    return False
                raise
            return True

        wait_until(served, f"{ref} served by {self.name}")

    def stop(self) -> None:
        """Close all clients, stop the API server, give its address back."""
        for client in self._clients:
            client.close()
        if self.daemon is not None:
            # Nobody reads its data again: do not wait for watches to be closed.
            self.daemon.stop(patience=0.5)
            give_back(self.address)


def _encoded(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


def start_cluster(spec: ClusterSpec, etcd: Etcd, logs: Path) -> Cluster:
    """Start a kube-apiserver and wait until it is ready and has its CRDs."""
    folder = scratch(f"cluster-{spec.name}")
    address = take_address()
    authority = Authority(folder, spec.name)
    serving = authority.server(spec.name, (address, "127.0.0.1"), spec.names)
    accounts = authority.account_key()
    admin = authority.client("admin", ("system:masters",))
    access = Access(
        server=f"https://{address}:{PORT}",
        ca=str(authority.cert),
        cert=str(admin.cert),
        key=str(admin.key),
    )
    argv = (
        str(pins.binary("kube-apiserver")),
        f"--etcd-servers={etcd.url}",
        f"--etcd-prefix=/{spec.name}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={PORT}",
        f"--tls-cert-file={serving.cert}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.cert}",
        f"--service-account-key-file={accounts}",
        f"--service-account-signing-key-file={accounts}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        # Nobody makes the default ServiceAccount that it would want for every Pod.
        "--disable-admission-plugins=ServiceAccount",
    )
    command = Command(name=f"kube-apiserver-{spec.name}", argv=argv)
    cluster = Cluster(
        name=spec.name,
        access=access,
        folder=folder,
        authority=authority,
        daemon=Daemon(command, logs),
        address=address,
    )
    return _ready(cluster, spec)


def _ready(cluster: Cluster, spec: ClusterSpec) -> Cluster:
    daemon = cluster.daemon
    if daemon is None:
        return cluster
    command = daemon.command
    daemon.command = Command(
        name=command.name, argv=command.argv, ready=cluster.api.ready
    )
    daemon.start()
    cluster.api.wait_for(Ref("v1", "Namespace", "default"), bool)
    cluster.install(*spec.crds)
    return cluster

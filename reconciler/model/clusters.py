"""What was seen of clusters: entries of inventories and complete or unknown views; pure values.

Raw API objects end here but for the `spec` of a VirtualService, which `claim` decodes so that
every fault in it becomes a rejection of that one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from reconciler.model.access import Credentials


class ClusterState(StrEnum):
    """What the inventory itself says of a cluster; `DELETED` is the only word that removes."""

    READY = "ready"
    PROVISIONING = "provisioning"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ApiServer:
    """One address of a cluster's API; `host` is an IP literal or an FQDN."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEntry:
    """One cluster as an inventory names it.

    `name` is a DNS label, the cluster's name everywhere in Wharfinger. `cluster_id` is the
    inventory's own or the kube-system UID (then known only after observing; empty before).
    `certificate_names` are the names in the API server's certificate, `None` when not known.
    `inventory_id` is the inventory's own id of it, known also while its API cannot be read.
    `origin` says where in the inventory it stands (`Cluster team-a/eu1`). `trust` is what vouches
    for the server that we talk to where `ca_bundle` does not (`sha256:...`, `host:NAME`). `also` are
    other inventories that name the same cluster, `against` why entries of its name are not believed.
    """

    name: str
    inventory: str
    cluster_id: str = ""
    state: ClusterState = ClusterState.READY
    api_servers: tuple[ApiServer, ...] = ()
    ca_bundle: str = ""
    certificate_names: tuple[str, ...] | None = None
    inventory_id: str = ""
    origin: str = ""
    trust: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


class Why(StrEnum):
    """Why something is unknown; decides the reason code and the exit code."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNAUTHORISED = "unauthorised"  # 401: credentials are missing or refused
    FORBIDDEN = "forbidden"  # 403: a permission is missing
    NOT_YET = "not-yet"  # it is about to be listed for the first time
    INCOMPLETE = "incomplete"  # a list was cut, or its pages do not belong together
    NO_CRD = "no-crd"  # the API group of VirtualServices is not served
    UNREADABLE = "unreadable"  # a file or an answer could not be parsed
    NO_ID = "no-id"
    DUPLICATE = "duplicate"  # two inventory entries claim one name or one id
    OTHER_CA = (
        "other-ca"  # another CA than Git has pinned: nothing of its entry is believed
    )
    DISAGREE = "disagree"  # one inventory says deleted, another one lists it


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Something that could not be read. Unknown is not empty: nothing may follow from it.

    `cluster_id` is the UID of a cluster that answered before its objects could not be read.
    """

    why: Why
    message: str
    cluster_id: str = ""

    def of(self, entry: ClusterEntry) -> ClusterEntry:
        """The entry of the cluster of which this is unknown, with the id that was read."""
        found = self.cluster_id or entry.cluster_id
        return entry if found == entry.cluster_id else replace(entry, cluster_id=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    """One VirtualService. `annotations` is raw and complete; `spec` is untrusted JSON.

    Of the spec no more is needed than `tcp`, `tls` and `http`, and of an object that is not
    exposed nothing: clusters have many of these, and all are held while they are watched.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    deleting: bool
    annotations: Mapping[str, str]
    spec: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service; `node_port` is 0 where there is none."""

    name: str
    port: int
    node_port: int
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One Service. `ingress` are the load balancer's addresses as reported, untrusted."""

    namespace: str
    name: str
    type: str
    headless: bool
    has_selector: bool
    local_traffic_policy: bool
    ports: tuple[ServicePort, ...]
    ingress: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One Node. `ready_since` is the Ready condition's own last transition time."""

    name: str
    ready: bool
    ready_since: datetime | None
    internal_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of an EndpointSlice with the addresses and labels of its pod."""

    addresses: tuple[str, ...]
    ready: bool
    node_name: str
    pod_labels: tuple[tuple[str, str], ...] | None = None  # None: not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    """One EndpointSlice of a Service. `ports` are (name, number)."""

    namespace: str
    service: str
    ports: tuple[tuple[str, int], ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    """One DestinationRule: the host and its subsets' labels by name."""

    namespace: str
    name: str
    host: str
    subsets: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterObjects:
    """A complete read of one cluster: every list whole, sorted by namespace and name.

    `one_look_is_proof` is true for a directory, where one complete read proves absence;
    an API server needs two looks at least the grace apart.
    """

    virtual_services: tuple[VirtualService, ...] = ()
    services: tuple[Service, ...] = ()
    nodes: tuple[Node, ...] = ()
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    one_look_is_proof: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """A cluster in one pass: its entry and either all of its objects or why not.

    `entry.cluster_id` is filled where the objects are known, or where it was read before they
    could not be. `fingerprint` is of the bytes that
    a folder was read from, empty where there were none; equal views may have other ones.
    `access` is how it was read: write-back goes the same way.
    """

    entry: ClusterEntry
    objects: ClusterObjects | Unknown
    fingerprint: str = field(default="", compare=False)
    access: Credentials | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryFailure:
    """An inventory that could not be read: the clusters that it names are all unknown."""

    inventory: str
    reason: Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that was observed in one pass, clusters sorted by name."""

    clusters: tuple[ClusterView, ...]
    failures: tuple[InventoryFailure, ...] = ()

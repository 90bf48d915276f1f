"""`wharfinger.yaml`: what people decide for a whole ingress repository; pure.

Credentials are never in here: they come from the environment or from mounted files.
`settings_file.parse` reads them.
"""

from __future__ import annotations

import fnmatch
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from reconciler.names import API_VERSION as API_VERSION
from reconciler.settings_foundations import CloudFoundry as CloudFoundry
from reconciler.settings_foundations import Domains as Domains
from reconciler.settings_foundations import Exposed as Exposed
from reconciler.settings_inventories import Inventory as Inventory
from reconciler.settings_inventories import Kubeconfig as Kubeconfig
from reconciler.settings_model import Model
from reconciler.settings_types import (
    Count,
    DnsName,
    Duration,
    Endpoint,
    HostSuffix,
    Label,
    Percent,
    Port,
    PublicKey,
    Ranges,
    Text,
)


class Renderer(StrEnum):
    """Which data plane's manifests a gateway is rendered for."""

    ENVOY_GATEWAY = "envoy-gateway"
    ISTIO = "istio"
    ISTIO_CLASSIC = "istio-classic"
    ENVOY = "envoy"


class GatewayPorts(Model):
    """The ports of a gateway: all, those for requests first, those never used, how many."""

    range: Ranges
    static: Ranges = ()
    exclude: Ranges = ()
    max: Annotated[int, Field(ge=1, strict=True)] | None = None


class Limits(Model):
    """What a product allows of a gateway; its TLS port counts, too. Absent: no limit."""

    listeners: Annotated[int, Field(ge=2, strict=True)] | None = None
    load_balancer_ports: Annotated[int, Field(ge=3, strict=True)] | None = None


class Proof(Model):
    """Where it is seen that HEAD was applied; at most one engine."""

    argocd: tuple[Text, ...] = ()
    flux: tuple[Text, ...] = ()
    envoy_sync: Text | None = None
    connect: StrictBool = True

    @model_validator(mode="after")
    def _one_engine(self) -> Proof:
        if sum(map(bool, (self.argocd, self.flux, self.envoy_sync))) > 1:
            raise ValueError(
                "names two engines, expected one of argocd, flux, envoySync"
            )
        return self


class Gateway(Model):
    """One ingress address with its proxies."""

    name: Label
    renderer: Renderer
    namespace: Label
    host: DnsName | None = None
    ports: GatewayPorts
    limits: Limits = Limits()
    tls_port: Port = 443
    proof: Proof | Literal["off"] | None = None
    # The label `istio: VALUE` of an existing ingress gateway, and its Service (istio renderers).
    selector: dict[str, str] = Field(default_factory=dict)
    service: DnsName | None = None
    gateway_class: DnsName | None = None


class ApiMode(StrEnum):
    """How clusters' APIs are exposed; `auto` decides once, at creation."""

    AUTO = "auto"
    SNI = "sni"
    PORT = "port"
    OFF = "off"


class Apis(Model):
    """API access for every cluster."""

    hostname: str = "{cluster}.k8s.{domain}"
    mode: ApiMode = ApiMode.AUTO
    gateway: Label | None = None


class Quota(Model):
    """How many routes a tenant may have; over it existing routes stay."""

    routes: Count | None = None
    per_namespace: Count | None = None


class PlacementRule(StrEnum):
    """Where an exposure goes that names no gateway and has no place yet.

    The first gateway; the first with room; or by a hash over all, weighted by their sizes.
    """

    FIRST = "first"
    OVERFLOW = "overflow"
    SPREAD = "spread"


class Claims(StrEnum):
    """Which exposures are this repository's: all, or only those that name a gateway of it."""

    ALL = "all"
    NAMED = "named"


class Tenant(Model):
    """What the clusters of a glob may use. The first entry that matches counts."""

    clusters: Annotated[tuple[Text, ...], Field(min_length=1)]
    gateways: Annotated[tuple[Label, ...], Field(min_length=1)]
    endpoints: tuple[Endpoint, ...] = ()
    hosts: tuple[HostSuffix, ...] = ()
    quota: Quota = Quota()
    volatile_backends: StrictBool = False
    placement: PlacementRule = PlacementRule.FIRST


class ReviewMode(StrEnum):
    """How commits reach the branch."""

    DIRECT = "direct"
    PULL_REQUEST = "pull-request"


class ForgeKind(StrEnum):
    """Whose API the forge speaks; Forgejo speaks Gitea's."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"


class Tier(StrEnum):
    """Effects of a request that may merge by themselves; removals and moves never do."""

    CREATE = "create"
    UPDATE = "update"
    REWRITE = "rewrite"


class Review(Model):
    """Review of wishes. `autoMerge` asks the forge to merge once its rules are met.

    `forge` is needed where the host's name does not tell. Its address follows from the remote:
    whoever may push here must not choose where our token is sent.
    """

    mode: ReviewMode = ReviewMode.DIRECT
    max_open: Annotated[int, Field(ge=1, strict=True)] = 20
    forge: ForgeKind | None = None
    auto_merge: tuple[Tier, ...] = ()
    labels: tuple[Annotated[str, Field(pattern=r"^[\w./ -]{1,50}$")], ...] = (
        "wharfinger",
    )


class DeletionGuard(Model):
    """Deletions per cluster in 24 hours: this percentage, never fewer than `atLeast`."""

    percent: Percent = 10
    at_least: Count = 3


class RewriteGuard(Model):
    """Rewrites of a gateway's wish files although no wish changed, in one pass."""

    percent: Percent = 10


class ArrivalGuard(Model):
    """New clusters at once: this percentage of those that Git knows, never fewer than `atLeast`.

    A repository that knows no cluster yet takes its first ones freely.
    """

    percent: Percent = 50
    at_least: Count = 20


class Guards(Model):
    """What keeps a mistake from becoming an outage."""

    deletions: DeletionGuard = DeletionGuard()
    rewrites: RewriteGuard = RewriteGuard()
    arrivals: ArrivalGuard = ArrivalGuard()
    confirmations: Annotated[int, Field(ge=1, le=100, strict=True)] = 2
    grace: Duration = timedelta(seconds=60)


class Release(Model):
    """The two clocks of a port: until another owner may have it, until an old one closes."""

    quarantine: Duration = timedelta(hours=24)
    drain: Duration = timedelta(minutes=10)


class Watch(Model):
    """How long `run` lets a change rest: until it is quiet, but never longer than `longest`."""

    quiet: Duration = timedelta(seconds=2)
    longest: Duration = timedelta(seconds=15)

    @model_validator(mode="after")
    def _in_order(self) -> Watch:
        if self.longest < self.quiet:
            raise ValueError("expected longest to be no shorter than quiet")
        return self


class ClusterLimits(Model):
    """What reading one cluster's API server may cost; over it the cluster is unknown.

    `objects` counts each list, `mebibytes` what all of its objects take in memory.
    """

    deadline: Duration = timedelta(minutes=2)
    objects: Annotated[int, Field(ge=1, strict=True)] = 100_000
    mebibytes: Annotated[int, Field(ge=1, strict=True)] = 48


class ReadingLimits(Model):
    """What clusters may cost; `deadline` is for reading all of them."""

    deadline: Duration = timedelta(minutes=5)
    cluster: ClusterLimits = ClusterLimits()


class Platform(Model):
    """Where gateways and the engine are looked at: a kubeconfig context or `in-cluster`."""

    context: Text
    kubeconfig: str | None = None


class Signing(Model):
    """SSH public keys that ever signed our commits, newest last (`ssh-ed25519 AAAA...`)."""

    keys: tuple[PublicKey, ...] = ()


class Settings(Model):
    """All settings of one ingress repository."""

    api_version: Literal["wharfinger.dev/v1alpha1"]
    kind: Literal["Settings"]
    domain: DnsName
    platform: Platform | None = None
    gateways: Annotated[tuple[Gateway, ...], Field(min_length=1)]
    inventories: tuple[Inventory, ...]
    apis: Apis = Apis()
    tenants: tuple[Tenant, ...]
    # Gateways of other repositories that serve the same clusters, and what is ours of the rest.
    foreign_gateways: tuple[Label, ...] = ()
    claims: Claims = Claims.ALL
    review: Review = Review()
    guards: Guards = Guards()
    release: Release = Release()
    watch: Watch = Watch()
    limits: ReadingLimits = ReadingLimits()
    signing: Signing = Signing()

    def gateway(self, name: str) -> Gateway | None:
        """The gateway of this name."""
        return next((each for each in self.gateways if each.name == name), None)

    def tenant(self, cluster: str) -> Tenant | None:
        """The first entry whose glob matches the cluster's name."""
        return next(
            (
                tenant
                for tenant in self.tenants
                if any(fnmatch.fnmatchcase(cluster, glob) for glob in tenant.clusters)
            ),
            None,
        )

    def is_shared(self) -> bool:
        """Whether other repositories serve the same clusters."""
        return bool(self.foreign_gateways) or self.claims is Claims.NAMED

    def is_ours(self, gateway: str | None) -> bool:
        """Whether an exposure that names this gateway (`None`: no one) is ours to judge."""
        if gateway is not None and gateway in self.foreign_gateways:
            return False
        named = gateway is not None and self.gateway(gateway) is not None
        return named or self.claims is Claims.ALL

    def host(self, gateway: Gateway) -> str:
        """What clients dial for a port of this gateway."""
        return gateway.host or f"tcp.{self.domain}"

    def api_gateway(self) -> str:
        """The gateway that serves clusters' APIs."""
        return self.apis.gateway or self.gateways[0].name

    def api_host(self, cluster: str) -> str:
        """The name at which a cluster's API answers."""
        text = self.apis.hostname.replace("{cluster}", cluster)
        return text.replace("{domain}", self.domain)


def under_review(settings: Settings) -> bool:
    """Whether wishes reach the branch through pull requests."""
    return settings.review.mode is ReviewMode.PULL_REQUEST

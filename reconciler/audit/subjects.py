"""What a person asks about: a port, an SNI host, a unit or a gateway; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.errors import Usage
from reconciler.holds import hold_paths
from reconciler.model.units import UnitId
from reconciler.names import (
    cluster_path,
    host_path,
    is_cluster_name,
    is_dns_name,
    is_label,
    is_namespace,
    is_sni_host,
    port_path,
    wish_path,
)

Key = int | str
_HINT = "write PORT, GATEWAY/PORT, an SNI host, cluster/namespace/name, a cluster or a gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSubject:
    """A port (int) or an SNI host (str) on these gateways."""

    key: Key
    gateways: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(ledger_path(gateway, self.key) for gateway in self.gateways)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSubject:
    """One exposure, or one cluster's API, wherever it is or was."""

    unit: UnitId
    gateways: tuple[str, ...]

    @property
    def wishes(self) -> tuple[str, ...]:
        return tuple(wish_path(gateway, self.unit) for gateway in self.gateways)

    @property
    def paths(self) -> tuple[str, ...]:
        """Its wishes, the folder of holds, and for an API what is known of the cluster."""
        own = (cluster_path(self.unit.cluster),) if self.unit.is_api else ()
        return (*self.wishes, *own, "holds")

    @property
    def holds(self) -> tuple[str, ...]:
        return hold_paths(self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySubject:
    """Everything on one gateway."""

    gateway: str

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(
            f"{root}/{self.gateway}" for root in ("ports", "hosts", "manifests")
        )


Subject = LedgerSubject | UnitSubject | GatewaySubject


def ledger_path(gateway: str, key: Key) -> str:
    """The ledger file of a port or an SNI host."""
    return port_path(gateway, key) if isinstance(key, int) else host_path(gateway, key)


def parse_subject(
    text: str, gateways: Sequence[str], clusters: Sequence[str]
) -> Subject:
    """What `text` means, where these gateways and clusters are known. Raises Usage.

    `gateway/NAME` and `cluster/NAME` say which is meant when one name is both.
    """
    head, slash, rest = text.partition("/")
    if not slash:
        return _bare(text, tuple(gateways), tuple(clusters))
    if is_label(head) and "/" not in rest:
        if rest.isdecimal() or "." in rest:
            return LedgerSubject(key=parse_key(rest), gateways=(head,))
        if head == "gateway" and is_label(rest):
            return GatewaySubject(gateway=rest)
        if head == "cluster" and is_cluster_name(rest):
            return UnitSubject(unit=UnitId(cluster=rest), gateways=tuple(gateways))
    namespace, _, name = rest.partition("/")
    if is_cluster_name(head) and is_namespace(namespace) and is_dns_name(name):
        unit = UnitId(cluster=head, namespace=namespace, name=name)
        return UnitSubject(unit=unit, gateways=tuple(gateways))
    raise Usage(f"{text[:120]!r} cannot be asked for", hint=_HINT)


def parse_ledger_subject(text: str, gateways: Sequence[str]) -> LedgerSubject:
    """A port or an SNI host, with or without its gateway. Raises Usage."""
    found = parse_subject(text, gateways, ())
    if not isinstance(found, LedgerSubject):
        raise Usage(
            f"{text[:120]!r} is no port",
            hint="write PORT, GATEWAY/PORT or an SNI host",
        )
    return found


def parse_key(text: str) -> Key:
    """A port in canonical decimal, or a DNS name with a dot. Raises Usage."""
    if text.isascii() and text.isdecimal():
        if str(int(text[:9])) == text and 0 < int(text) < 65536:
            return int(text)
        raise Usage(
            f"{text[:80]!r} is no port", hint="a port is a number from 1 to 65535"
        )
    if is_sni_host(text) and "." in text.removeprefix("*."):
        return text
    raise Usage(f"{text[:120]!r} is neither a port nor an SNI host", hint=_HINT)


def _bare(text: str, gateways: tuple[str, ...], clusters: tuple[str, ...]) -> Subject:
    if text.isdecimal() or "." in text:
        return LedgerSubject(key=parse_key(text), gateways=gateways)
    if text in gateways and text in clusters:
        raise Usage(
            f"{text} is a gateway and a cluster",
            hint=f"write gateway/{text} or cluster/{text}",
        )
    if text in gateways:
        return GatewaySubject(gateway=text)
    if is_cluster_name(text):
        return UnitSubject(unit=UnitId(cluster=text), gateways=gateways)
    raise Usage(f"{text[:120]!r} cannot be asked for", hint=_HINT)

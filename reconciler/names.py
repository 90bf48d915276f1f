"""Injective encodings of names into paths and object names; pure.

Names come from clusters that may be hostile. Only lower-case ASCII DNS names pass; where two
different units could meet on one path or object name, a hash of the whole identity is used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache

from reconciler.model.units import UnitId

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")

API_VERSION = "wharfinger.dev/v1alpha1"  # of our own documents
RESERVED_CLUSTERS = frozenset({"all"})  # holds/all.yaml
# What a foundation serves, by the place where a VirtualService has its namespace: no namespace of
# Kubernetes has a dot. The kind is how its files begin.
KINDS = {"cf.domain": "domain", "cf.tcp": "tcp"}
_ANY = "*."
_ANY_IN_FILES = "_wildcard."  # no DNS name of ours has an underscore


def is_label(text: str) -> bool:
    """True for a DNS label (RFC 1123, lower case, at most 63)."""
    return _LABEL.match(text) is not None


def is_dns_name(text: str) -> bool:
    """True for a DNS name of labels (lower case, at most 253), as object names are."""
    return _SUBDOMAIN.match(text) is not None and all(map(is_label, text.split(".")))


def is_sni_host(text: str) -> bool:
    """True for a DNS name, or for `*.` and one: every name below it."""
    return is_dns_name(text.removeprefix(_ANY))


def is_wildcard(host: str) -> bool:
    """Whether an SNI host stands for every name below another one."""
    return host.startswith(_ANY)


def name_to_dial(host: str) -> str:
    """A name that a client may say for an SNI host: of a wildcard some name below it."""
    return f"wharfinger.{host.removeprefix(_ANY)}" if is_wildcard(host) else host


def is_namespace(text: str) -> bool:
    """True for a namespace of Kubernetes, and for what a foundation's units have instead."""
    return is_label(text) or text in KINDS


def is_cluster_name(text: str) -> bool:
    """True for a name that a cluster may have here."""
    return is_label(text) and text not in RESERVED_CLUSTERS


def short_hash(*parts: str, length: int = 10) -> str:
    """Hex digits of a hash over parts; length-prefixed, so that no two part lists meet."""
    return hashlib.sha256(_joined(parts)).hexdigest()[:length]


def short_hashes(*parts: str, length: int = 10) -> Callable[[str], str]:
    """`short_hash` of these parts and one more: for many that begin alike."""
    start = hashlib.sha256(_joined(parts))

    def one_more(part: str) -> str:
        found = start.copy()
        found.update(_joined((part,)))
        return found.hexdigest()[:length]

    return one_more


def _joined(parts: tuple[str, ...]) -> bytes:
    return "".join(f"{len(part)}:{part}" for part in parts).encode()


def unit_named(text: str) -> UnitId | None:
    """The unit that `cluster/namespace/name` names, `None` for any other text."""
    parts = text.split("/")
    if len(parts) != 3 or not is_cluster_name(parts[0]):
        return None
    if not is_namespace(parts[1]) or not is_dns_name(parts[2]):
        return None
    return UnitId(cluster=parts[0], namespace=parts[1], name=parts[2])


def unit_stem(unit: UnitId) -> str:
    """The unit's path under `manifests/<gateway>/`, without `.yaml`.

    `eu1/shop/vs-orders`, `blue/cf.tcp/tcp-tcp.example.com-1024`; `eu1/api` for a cluster's API.
    A name that would meet another file of the layout or a magic name of a deploy tool gets the
    hashed form `vs--<hash>`: `--` right after the prefix cannot come from a DNS name.
    """
    if unit.is_api:
        return f"{unit.cluster}/api"
    folder = f"{unit.cluster}/{unit.namespace}"
    name, prefix = unit.name, file_prefix(unit.namespace)
    if name.endswith((".endpoints", "chart")) or len(name) > 200:
        return f"{folder}/{prefix}-{short_hash(unit.namespace, name, length=40)}"
    return f"{folder}/{prefix}{name}"


def file_prefix(namespace: str) -> str:
    """How the files of units begin: `vs-`, or the kind of what a foundation serves."""
    return f"{KINDS.get(namespace, 'vs')}-"


def wish_path(gateway: str, unit: UnitId) -> str:
    """Path of the unit's wish file."""
    return f"manifests/{gateway}/{unit_stem(unit)}.yaml"


def endpoints_path(gateway: str, unit: UnitId) -> str:
    """Path of the unit's addresses file."""
    return f"manifests/{gateway}/{unit_stem(unit)}.endpoints.yaml"


def port_path(gateway: str, port: int) -> str:
    """Path of a port's ledger file, canonical decimal."""
    return f"ports/{gateway}/{port}.yaml"


def host_path(gateway: str, host: str) -> str:
    """Path of an SNI host's ledger file; `*.` is `_wildcard.` there."""
    return f"hosts/{gateway}/{host_in_file(host)}.yaml"


def host_in_file(host: str) -> str:
    """An SNI host as files are called for it; injective."""
    below = host.removeprefix(_ANY)
    return f"{_ANY_IN_FILES}{below}" if is_wildcard(host) else below


def host_of_file(name: str) -> str | None:
    """The SNI host that a file is called for; `None` for what is no such name."""
    below = name.removeprefix(_ANY_IN_FILES)
    if not is_dns_name(below):
        return None
    return f"{_ANY}{below}" if below != name else below


def cluster_path(cluster: str) -> str:
    """Path of the file that keeps what is known of a cluster."""
    return f"clusters/{cluster}.yaml"


# A unit's names are asked for again by each of its objects.
@lru_cache(maxsize=256)
def object_name(unit: UnitId, *parts: str) -> str:
    """A DNS label (at most 63) for an object of a unit; `parts` tell its objects apart.

    Readable start, then a hash over the whole identity: injective although names may contain
    the separator and may be too long.
    """
    readable = "-".join(
        part for part in (unit.cluster, unit.namespace, unit.name, *parts) if part
    )
    cleaned = re.sub(r"[^a-z0-9]+", "-", readable)[:50].strip("-")
    digest = short_hash(unit.cluster, unit.namespace, unit.name, *parts)
    return f"w-{cleaned}-{digest}"

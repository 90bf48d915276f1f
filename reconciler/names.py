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


def is_label(text: str) -> bool:
    """True for a DNS label (RFC 1123, lower case, at most 63)."""
    return _LABEL.match(text) is not None


def is_dns_name(text: str) -> bool:
    """True for a DNS name of labels (lower case, at most 253), as object names are."""
    return _SUBDOMAIN.match(text) is not None and all(map(is_label, text.split(".")))


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
    if not is_label(parts[1]) or not is_dns_name(parts[2]):
        return None
    return UnitId(cluster=parts[0], namespace=parts[1], name=parts[2])


def unit_stem(unit: UnitId) -> str:
    """The unit's path under `manifests/<gateway>/`, without `.yaml`.

    `eu1/shop/vs-orders`; `eu1/api` for a cluster's API. A name that would meet another file of
    the layout or a magic name of a deploy tool gets the hashed form `vs--<hash>`: `--` right
    after the prefix cannot come from a DNS name.
    """
    if unit.is_api:
        return f"{unit.cluster}/api"
    folder = f"{unit.cluster}/{unit.namespace}"
    name = unit.name
    if name.endswith((".endpoints", "chart")) or len(name) > 200:
        return f"{folder}/vs--{short_hash(unit.namespace, name, length=40)}"
    return f"{folder}/vs-{name}"


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
    """Path of an SNI host's ledger file."""
    return f"hosts/{gateway}/{host}.yaml"


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

"""What the platform showed about units at HEAD; pure values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId


class Stage(StrEnum):
    """How far a unit's content at HEAD has come.

    UNSEEN: the platform cannot be seen. WAITING: not applied yet. APPLIED: the engine reports a
    revision with this content, objects not all ready. SERVING: traffic was proven.
    FAILING: positively refused (Conflicted, ResolvedRefs false, connection refused, ...).
    """

    UNSEEN = "unseen"
    WAITING = "waiting"
    APPLIED = "applied"
    SERVING = "serving"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEndpoint:
    """What clients dial for one route; `route` is its name, `host` a name, `port` a number."""

    route: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofTarget:
    """What must be proven of one unit on one gateway: its files at HEAD and what they serve.

    `tls` endpoints are proven by a TLS handshake with the host as SNI, others by a connect.
    `commit` is the first-parent commit that last changed the unit's wish.
    `allow_cidrs` non-empty means that the prober may be excluded: no connect then, said so.
    """

    unit: UnitId
    gateway: str
    wish_path: str
    wish: bytes
    endpoints: bytes
    serves: tuple[ServedEndpoint, ...]
    tls: bool
    allow_cidrs: tuple[str, ...]
    commit: CommitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The verdict for one target; `message` says what is missing, for people."""

    unit: UnitId
    gateway: str
    stage: Stage
    message: str
    serves: tuple[ServedEndpoint, ...] = ()
    commit: CommitId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Whether a unit that HEAD no longer has is reported gone by the engine on one gateway."""

    unit: UnitId
    applied: bool

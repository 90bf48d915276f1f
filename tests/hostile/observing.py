"""Observes 20 healthy clusters and hostile ones, in a process of its own.

    python -m tests.hostile.observing FOLDER BEHAVIOUR[+BEHAVIOUR...] ...

One line of JSON for the healthy clusters alone, then one for each argument. Memory is read from
/proc, so that it is this process's own; the servers run in two other processes.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from reconciler.model.clusters import ClusterView, Unknown
from reconciler.observe import observe, servers
from reconciler.settings import Settings
from tests import builders
from tests.hostile.serving import CANARY, HEALTHY
from tests.kubeserver import TOKEN, serving

DEADLINE = "4s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one pass was like: `ready` are clusters in the order in which their views came.

    `seconds` and `cpu` are until the last healthy view: on the wall, and of this process.
    `mebibytes` is how far the memory rose over what the process had after its first passes.
    """

    behaviours: tuple[str, ...]
    ready: tuple[str, ...]
    unknown: dict[str, tuple[str, str]]
    others: dict[str, str]
    seconds: float
    cpu: float
    whole: float
    mebibytes: float
    threads: int
    requests: dict[str, int] = field(default_factory=dict)
    canary: int = 0


class Servers:
    """A process that serves clusters."""

    def __init__(self, folder: Path, kind: str, routes: int) -> None:
        module = "tests.hostile.serving"
        argv = [sys.executable, "-m", module, str(folder), kind, str(routes)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
        self.ports = self._line()

    def _line(self) -> dict[str, int]:
        assert self.process.stdout is not None
        found: dict[str, int] = json.loads(self.process.stdout.readline())
        return found

    def asked(self, touched: str = "") -> dict[str, int]:
        """How many requests each server got, and how many connections, after a change."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{touched}\n")
        self.process.stdin.flush()
        return self._line()

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def both(folder: Path, routes: int) -> Iterator[tuple[Servers, Servers]]:
    """The healthy ones, with so many routes each, and the hostile ones."""
    good, bad = Servers(folder, "healthy", routes), Servers(folder, "hostile", routes)
    try:
        yield good, bad
    finally:
        good.stop()
        bad.stop()


def kubeconfig(folder: Path, ports: dict[str, int], mebibytes: int = 48) -> Settings:
    """Settings whose one inventory names these servers."""
    clusters = [
        {
            "name": name,
            "cluster": {
                "server": f"https://127.0.0.1:{port}",
                "certificate-authority": str(folder / "ca.crt"),
            },
        }
        for name, port in ports.items()
    ]
    contexts = [{"name": name, "context": {"cluster": name, "user": "u"}} for name in ports]  # fmt: skip
    users = [{"name": "u", "user": {"token": TOKEN}}]
    config = {"clusters": clusters, "contexts": contexts, "users": users}
    path = folder / "config"
    path.write_text(json.dumps(config))
    real = {"name": "real", "kubeconfig": {"path": str(path)}}
    limits = {"cluster": {"deadline": DEADLINE, "mebibytes": mebibytes}}
    return builders.settings(inventories=[real], apis={"mode": "sni"}, limits=limits)


def memory(key: str) -> float:
    """A figure of /proc/self/status in MiB: VmRSS now, VmHWM at most."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def digest(view: ClusterView) -> str:
    """A view as a short text, `unknown` with its reason where it is none."""
    if isinstance(view.objects, Unknown):
        return f"unknown: {view.objects.message}"
    return sha256(repr(view).encode()).hexdigest()[:16]


class Watched:
    """Observes with the clock running, and remembers which view came when."""

    def __init__(self) -> None:
        self.ready: list[str] = []
        self.seconds = self.cpu = 0.0
        self._view = servers._view

    async def __call__(self, server: Any, *rest: Any) -> ClusterView:
        found = await self._view(server, *rest)
        self.ready.append(found.entry.name)
        if found.entry.name in HEALTHY:
            self.seconds, self.cpu = time.monotonic(), time.process_time()
        return found


def one_pass(settings: Settings, behaviours: tuple[str, ...], base: float) -> Seen:
    """Observe once."""
    watched = Watched()
    servers._view = watched  # type: ignore[assignment]
    Path("/proc/self/clear_refs").write_text("5")
    wall, cpu = time.monotonic(), time.process_time()
    try:
        snapshot = asyncio.run(observe(settings))
    finally:
        servers._view = watched._view
    views = {view.entry.name: view.objects for view in snapshot.clusters}
    unknown = {
        name: (objects.why.value, objects.message)
        for name, objects in views.items()
        if isinstance(objects, Unknown)
    }
    return Seen(
        behaviours=behaviours,
        ready=tuple(watched.ready),
        unknown=unknown,
        others={view.entry.name: digest(view) for view in snapshot.clusters if view.entry.name in HEALTHY},
        seconds=watched.seconds - wall,
        cpu=watched.cpu - cpu,
        whole=time.monotonic() - wall,
        mebibytes=memory("VmHWM") - base,
        threads=threading.active_count(),
    )  # fmt: skip


def passes(folder: Path, wanted: Sequence[str], routes: int = 20) -> Iterator[Seen]:
    """Each pass as it ends, with the behaviours joined by `+`; empty: the healthy alone."""
    serving(folder)
    with both(folder, routes) as (good, bad):
        healthy = {name: good.ports[name] for name in HEALTHY}
        for _ in range(2):
            one_pass(kubeconfig(folder, healthy), (), 0.0)
        base = memory("VmRSS")
        for group in wanted:
            names = tuple(filter(None, group.split("+")))
            before = bad.asked()
            hostile = {name: bad.ports[name] for name in names}
            # The hostile ones first, so that they have the first places.
            seen = one_pass(kubeconfig(folder, {**hostile, **healthy}), names, base)
            after = bad.asked()
            requests = {name: after[name] - before[name] for name in names}
            canary = f"{CANARY}/connections"
            met = after[canary] - before[canary]
            yield replace(seen, requests=requests, canary=met)


def main() -> None:
    """Print a line for each pass."""
    for seen in passes(Path(sys.argv[1]), ["", *sys.argv[2:]]):
        print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()

"""The demo's folder, programs and clients on this machine (does I/O)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reconciler.demo.clusters import CLUSTERS, cluster_files, settings_yaml
from reconciler.demo.servers import CERTIFICATE, LOOPBACK, api_server, workload
from reconciler.envoysync import SyncOptions, envoy_binary, prepare
from reconciler.errors import Unavailable, Usage
from reconciler.render import RENDERER_VERSION
from reconciler.repo import Remote, Repository

MARK = ".wharfinger-demo"
SERVICES = {"eu1": ("orders-blue", "orders-green", "sessions"), "us1": ("reports",)}
RANGE = 100
PERSON = {
    "GIT_AUTHOR_NAME": "Ada (platform team)",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada (platform team)",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where everything of the demo is."""

    folder: Path
    tls_port: int
    sync: SyncOptions

    @property
    def clusters(self) -> Path:
        return self.folder / "clusters"

    @property
    def remote(self) -> Path:
        return self.folder / "ingress.git"

    def repository(self) -> Repository:
        """The ingress repository, with a cache inside of the demo's folder."""
        remote = Remote(url=str(self.remote))
        return Repository.open(remote, self.folder / "cache", RENDERER_VERSION)

    def virtual_service(self, cluster: str, name: str) -> Path:
        return self.clusters / cluster / f"{name}.yaml"


def new_folder(folder: Path) -> None:
    """An empty folder of our own; an earlier demo's is made anew. Raises Usage for others."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Usage(
                f"{folder} is there and is no folder of the demo",
                hint="name another one",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(
        "Made by `wharfinger demo`; the next demo replaces this folder.\n"
    )


@contextlib.contextmanager
def workloads() -> Iterator[dict[str, dict[str, int]]]:
    """Real servers for all Services and API servers: cluster -> name -> port (`api` too)."""
    with contextlib.ExitStack() as stack:
        ports: dict[str, dict[str, int]] = {}
        for cluster in CLUSTERS:
            ports[cluster] = {
                name: stack.enter_context(workload(f"hello from {name} in {cluster}"))
                for name in SERVICES[cluster]
            }
            ports[cluster]["api"] = stack.enter_context(api_server(cluster))
        yield ports


def build(folder: Path, ports: dict[str, dict[str, int]]) -> Stage:
    """Write clusters and the ingress repository with its settings."""
    for cluster in CLUSTERS:
        target = folder / "clusters" / cluster
        target.mkdir(parents=True)
        services = {
            name: port for name, port in ports[cluster].items() if name != "api"
        }
        for name, data in cluster_files(
            cluster, services, ports[cluster]["api"]
        ).items():
            (target / name).write_bytes(data)
    first, tls_port, admin = _free_ports()
    stage = Stage(
        folder=folder,
        tls_port=tls_port,
        sync=SyncOptions(
            folder=folder / "envoy",
            status=folder / "envoy" / "status.json",
            bind=LOOPBACK,
            admin=f"{LOOPBACK}:{admin}",
            envoy=envoy_binary(),
        ),
    )
    settings = settings_yaml(
        str(stage.clusters),
        f"{first}-{first + RANGE - 1}",
        tls_port,
        str(stage.sync.status),
    )
    git(folder, "init", "-q", "--bare", "-b", "main", str(stage.remote))
    git(folder, "clone", "-q", str(stage.remote), "ingress")
    work = folder / "ingress"
    (work / "wharfinger.yaml").write_bytes(settings)
    git(work, "checkout", "-q", "-B", "main")
    git(work, "add", "wharfinger.yaml")
    git(work, "commit", "-q", "-m", "Set up the front door once")
    git(work, "push", "-q", "origin", "main")
    return stage


def git(folder: Path, *args: str) -> str:
    """Run git as the demo's person; returns what it printed."""
    keep = {
        key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ
    }
    environment = {
        **keep,
        **PERSON,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Usage("git is not installed", hint="install git and try again") from None
    if done.returncode != 0:
        raise Unavailable(f"git {args[0]} failed: {done.stderr.strip()[:300]}")
    return done.stdout


def _free_ports() -> tuple[int, int, int]:
    """A range of free ports for routes, one for TLS and one for Envoy's admin interface."""
    for first in range(20000, 30000, RANGE):
        if all(
            _is_free(port) for port in (first, first + RANGE // 2, first + RANGE - 1)
        ):
            break
    with socket.socket() as tls, socket.socket() as admin:
        tls.bind((LOOPBACK, 0))
        admin.bind((LOOPBACK, 0))
        return first, int(tls.getsockname()[1]), int(admin.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def envoy(stage: Stage) -> Iterator[None]:
    """A real Envoy that watches the folder of `envoy-sync`."""
    bootstrap = prepare(stage.sync)
    with (stage.folder / "envoy" / "envoy.log").open("w") as log:
        child = subprocess.Popen(
            [
                str(stage.sync.envoy),
                "-c",
                str(bootstrap),
                "--concurrency",
                "1",
                "--use-dynamic-base-id",
                "--log-level",
                "warning",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def ask(port: int) -> str:
    """The first line that a server says, empty when the connection is refused or closed."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            return connection.makefile().readline().strip()
    except OSError:
        return ""


def ask_until(port: int, wanted: bool, seconds: float = 15) -> str:
    """Ask until somebody answers (or nobody does any more)."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask(port)
        if bool(answer) is wanted or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)


def spread(port: int, times: int) -> Counter[str]:
    """Who answers how often."""
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda _: ask(port) or "(refused)", range(times)))


def api_version(host: str, port: int) -> str:
    """`GET /version` of a cluster's API through the TLS port, the certificate verified."""
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with (
        socket.create_connection((LOOPBACK, port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=host) as tls,
    ):
        tls.sendall(
            f"GET /version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        data = b""
        while part := tls.recv(4096):
            data += part
    return data.rpartition(b"\r\n")[2].decode()

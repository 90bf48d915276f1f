"""Flux's real kustomize-controller against a hub; we play source-controller (does I/O).

A tarball of a commit is served over HTTP and a GitRepository's status points at it, as
source-controller would do it. Which commit that is, only tests decide: without
`publish` the engine stays where it was.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.stack import pins
from tests.stack.checkout import git
from tests.stack.documents import Document, Ref, condition
from tests.stack.kube import Cluster
from tests.stack.network import free_port
from tests.stack.process import Command, Daemon, answers, scratch

ADDRESS = "127.0.0.1"
NAMESPACE = "flux-system"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
CRDS = ("crds/flux", "crds/flux-sources")
SOURCES = "source.toolkit.fluxcd.io/v1"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"
# The controller replaces the host of this name by SOURCE_CONTROLLER_LOCALHOST.
SOURCE_CONTROLLER = "http://source-controller.flux-system.svc.cluster.local."


class Silent(SimpleHTTPRequestHandler):
    """Serves files and says nothing about it."""

    def log_message(self, *_: object) -> None:
        """Say nothing: stderr is the test run's."""


class Artifacts:
    """The HTTP server of source-controller: the tarballs of commits."""

    def __init__(self) -> None:
        self.folder = scratch("artifacts")
        self.port = free_port()
        handler = partial(Silent, directory=str(self.folder))
        self._server = ThreadingHTTPServer((ADDRESS, self.port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()

    def make(self, bare: Path, commit: str, ignore: str = "") -> Document:
        """A GitRepository's ``status.artifact`` for a commit of a bare repository.

        `ignore` is its ``spec.ignore``: patterns as in .gitignore, none negated.
        """
        left_out = _pathspecs(ignore)
        digest = hashlib.sha256("\n".join((commit, *left_out)).encode())
        name = f"{digest.hexdigest()[:20]}.tar.gz"
        path = self.folder / name
        archive = ("archive", "--format=tar.gz", f"--output={path}", commit)
        git(bare, *archive, "--", ".", *left_out)
        return {
            "digest": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
            "size": path.stat().st_size,
            "path": name,
            "lastUpdateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "revision": f"main@sha1:{commit}",
            "url": f"{SOURCE_CONTROLLER}/{name}",
        }


def _pathspecs(ignore: str) -> tuple[str, ...]:
    specs = []
    for line in filter(None, map(str.strip, ignore.splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("!"):
            raise ValueError(f"not played here, a negated pattern: {line}")
        anchored = "/" in line.rstrip("/")
        pattern = line.lstrip("/") if anchored else f"**/{line}"
        pattern += "**" if pattern.endswith("/") else ""
        specs.append(f":(exclude,glob){pattern}")
    return tuple(specs)


class Flux:
    """kustomize-controller on `hub`; a context manager. Objects are in `flux-system`."""

    def __init__(self, hub: Cluster, logs: Path) -> None:
        self.hub = hub
        self.artifacts = Artifacts()
        self._home = scratch("flux")
        health = free_port()
        argv = (
            str(pins.binary("kustomize-controller")),
            f"--metrics-addr={ADDRESS}:{free_port()}",
            f"--health-addr={ADDRESS}:{health}",
            "--events-addr=",
            "--watch-all-namespaces",
            "--http-retry=1",
            "--requeue-dependency=1s",
            "--log-level=info",
        )
        env = {
            "HOME": str(self._home),
            "TMPDIR": str(self._home),
            "KUBECONFIG": str(hub.kubeconfig_file()),
            "RUNTIME_NAMESPACE": NAMESPACE,
            "SOURCE_CONTROLLER_LOCALHOST": f"{ADDRESS}:{self.artifacts.port}",
        }
        ready = answers(f"http://{ADDRESS}:{health}/readyz")
        command = Command(name="kustomize-controller", argv=argv, env=env, ready=ready)
        self.daemon = Daemon(command, logs)

    def __enter__(self) -> Self:
        self.hub.install(*CRDS)
        self.hub.namespace(NAMESPACE)
        self.artifacts.start()
        with ExitStack() as undo:
            undo.callback(self.artifacts.stop)
            self.daemon.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()
        self.artifacts.stop()

    def source(self, name: str, url: str) -> Ref:
        """A GitRepository of branch main; it has no artifact until `publish`."""
        document = {
            "apiVersion": SOURCES,
            "kind": "GitRepository",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"url": url, "ref": {"branch": "main"}, "interval": "1m"},
        }
        self.hub.api.apply(document)
        return Ref.of(document)

    def kustomization(self, name: str, source: str, path: str) -> Ref:
        """A Kustomization that applies the folder `path` of GitRepository `source`."""
        document = {
            "apiVersion": KUSTOMIZE,
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "sourceRef": {"kind": "GitRepository", "name": source},
                "path": path,
                "prune": True,
                "interval": "10m",
                "retryInterval": "2s",
                "timeout": "1m",
            },
        }
        self.hub.api.apply(document)
        return Ref.of(document)

    def publish(
        self, source: str, bare: Path, commit: str = "main", *, ignore: str = ""
    ) -> str:
        """Let the engine have a commit of `bare`; its full id. Does not wait.

        `ignore` comes on top of the source's own ``spec.ignore``.
        """
        commit = git(bare, "rev-parse", f"{commit}^{{commit}}")
        ref = Ref(SOURCES, "GitRepository", source, NAMESPACE)
        seen = self.hub.api.get(ref)
        generation = seen["metadata"]["generation"]
        patterns = f"{seen['spec'].get('ignore', '')}\n{ignore}"
        artifact = self.artifacts.make(bare, commit, patterns)
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": f"stored artifact for revision '{artifact['revision']}'",
            "observedGeneration": generation,
            "lastTransitionTime": artifact["lastUpdateTime"],
        }
        status = {
            "artifact": artifact,
            "conditions": [ready],
            "observedGeneration": generation,
        }
        self.hub.api.patch_status(ref, status)
        return commit

    @contextmanager
    def asked_only(self, source: str, bare: Path) -> Iterator[None]:
        """Play a source-controller that fetches `bare` when it is asked to, and never else."""
        ref = Ref(SOURCES, "GitRepository", source, NAMESPACE)
        stop = threading.Event()

        def serve() -> None:
            handled = ""
            while not stop.wait(0.05):
                asked = self.hub.api.get(ref)["metadata"].get("annotations", {})
                if asked.get(REQUESTED, "") != handled:
                    handled = asked[REQUESTED]
                    self.publish(source, bare)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def sync(self, source: str, bare: Path, commit: str = "main") -> str:
        """`publish`, then wait until every Kustomization of `source` has applied it."""
        commit = self.publish(source, bare, commit)
        for found in self.hub.api.list(Ref(KUSTOMIZE, "Kustomization", "", NAMESPACE)):
            if found["spec"]["sourceRef"]["name"] == source:
                self.wait_applied(found["metadata"]["name"], commit)
        return commit

    def wait_applied(self, name: str, commit: str, *, seconds: float = 60) -> Document:
        """The Kustomization, as soon as it is ready at `commit`."""

        def applied(found: Document) -> bool:
            revision = found.get("status", {}).get("lastAppliedRevision", "")
            at_it = revision == f"main@sha1:{commit}"
            return at_it and condition(found, "Ready") == "True"

        return self.hub.api.wait_for(self._ref(name), applied, seconds=seconds)

    def suspend(self, name: str, *, suspended: bool = True) -> None:
        """Stop applying a Kustomization, or go on."""
        self.hub.api.patch(self._ref(name), {"spec": {"suspend": suspended}})

    def forget(self, name: str) -> None:
        """Delete a Kustomization and, as it prunes, all that it applied."""
        self.hub.api.delete(self._ref(name))
        self.hub.api.wait_gone(self._ref(name))

    def _ref(self, name: str) -> Ref:
        return Ref(KUSTOMIZE, "Kustomization", name, NAMESPACE)

"""Argo CD against a hub: repo-server, application(set)-controllers, Redis (does I/O).

The real programs, outside the cluster, without its API server and web page. Nothing is
applied before a test makes an Application (or an ApplicationSet, as `wharfinger init`
writes it) and the engine has been told, or found out, that Git changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.stack import pins
from tests.stack.documents import Document, Ref
from tests.stack.garbage import GarbageCollector
from tests.stack.gitea import Account
from tests.stack.kube import Cluster
from tests.stack.network import free_port
from tests.stack.process import Command, Daemon, answers, listens, scratch

ADDRESS = "127.0.0.1"
NAMESPACE = "argocd"
ARGO = "argoproj.io/v1alpha1"
IN_CLUSTER = "https://kubernetes.default.svc"
RESYNC = 10
AUTOMATED = {"prune": True, "selfHeal": True, "allowEmpty": False}
REFRESH = "argocd.argoproj.io/refresh"
REFRESH_SET = "argocd.argoproj.io/application-set-refresh"
PART = {"app.kubernetes.io/part-of": "argocd"}


def _settings() -> list[Document]:
    def named(name: str) -> Document:
        return {"name": name, "namespace": NAMESPACE, "labels": PART}

    maps = {"argocd-cm": {"timeout.reconciliation": f"{RESYNC}s"}, "argocd-rbac-cm": {}}
    project = {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }
    return [
        *(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named(n), "data": d}
            for n, d in maps.items()
        ),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": named("argocd-secret"),
            "stringData": {"server.secretkey": secrets.token_hex(32)},
        },
        {
            "apiVersion": ARGO,
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": project,
        },
    ]


class Argocd:
    """Argo CD on `hub`; a context manager. `controller` is what applies."""

    def __init__(self, hub: Cluster, logs: Path) -> None:
        self.hub = hub
        self._logs = logs
        self._folder = scratch("argocd")
        for name in ("gnupg", "tls", "ssh", "tmp"):
            (self._folder / name).mkdir(mode=0o700)
        (self._folder / "ssh" / "ssh_known_hosts").touch()
        self._redis_port = free_port()
        self._repo_port = free_port()
        self.redis = self._make_redis()
        self.repo_server = self._make_repo_server()
        self.controller = self._make_controller(RESYNC)
        self.set_controller = self._make_set_controller()
        applications = Ref(ARGO, "Application", namespace=NAMESPACE)
        self._garbage = GarbageCollector(hub, applications)

    def _make_redis(self) -> Daemon:
        argv = (
            str(pins.system_program("redis-server")),
            *("--bind", ADDRESS, "--port", str(self._redis_port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
        )
        ready = listens(ADDRESS, self._redis_port)
        command = Command(name="argocd-redis", argv=argv, ready=ready)
        return Daemon(command, self._logs)

    def _component(self, component: str, metrics: int, *flags: str) -> Command:
        folder = self._folder
        program = pins.binary("argocd")
        # git asks the program `argocd` for credentials, and a wrapper for signatures.
        path = f"{program.parent}:{pins.asset('argocd-path')}:/usr/bin:/bin"
        return Command(
            name=component,
            argv=(str(program), "--logformat=text", *flags),
            env={
                # One program; this name picks which of its parts it is.
                "ARGOCD_BINARY_NAME": component,
                "ARGOCD_FAKE_IN_CLUSTER": "true",
                "ARGOCD_GPG_ENABLED": "false",
                "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
                "GNUPGHOME": str(folder / "gnupg"),
                "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
                "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
                # The set controller looks for it here although it has the flag too.
                "KUBECONFIG": str(self.hub.kubeconfig_file()),
                "HOME": str(folder),
                "TMPDIR": str(folder / "tmp"),
                "PATH": path,
            },
            ready=answers(f"http://{ADDRESS}:{metrics}/metrics"),
        )

    def _make_repo_server(self) -> Daemon:
        metrics = free_port()
        command = self._component(
            "argocd-repo-server",
            metrics,
            *("--redis", f"{ADDRESS}:{self._redis_port}"),
            *("--disable-tls", "--client-ca-path", ""),
            *("--address", ADDRESS, "--port", str(self._repo_port)),
            *("--metrics-address", ADDRESS, "--metrics-port", str(metrics)),
        )
        return Daemon(command, self._logs)

    def _kube_flags(self) -> tuple[str, ...]:
        kubeconfig = str(self.hub.kubeconfig_file())
        return ("--kubeconfig", kubeconfig, "--namespace", NAMESPACE)

    def _make_controller(self, resync: int) -> Daemon:
        metrics = free_port()
        command = self._component(
            "argocd-application-controller",
            metrics,
            *self._kube_flags(),
            *("--redis", f"{ADDRESS}:{self._redis_port}"),
            *("--repo-server", f"{ADDRESS}:{self._repo_port}"),
            *("--repo-server-plaintext", "--app-resync", str(resync)),
            *("--app-resync-jitter", "0", "--metrics-port", str(metrics)),
        )
        return Daemon(command, self._logs)

    def _make_set_controller(self) -> Daemon:
        metrics = free_port()
        command = self._component(
            "argocd-applicationset-controller",
            metrics,
            *self._kube_flags(),
            *("--argocd-repo-server", f"{ADDRESS}:{self._repo_port}"),
            "--repo-server-plaintext",
            *("--metrics-addr", f"{ADDRESS}:{metrics}"),
            *("--probe-addr", f"{ADDRESS}:{free_port()}"),
            *("--webhook-addr", f"{ADDRESS}:{free_port()}"),
        )
        return Daemon(command, self._logs)

    def __enter__(self) -> Self:
        self.hub.install("crds/argocd")
        self.hub.namespace(NAMESPACE)
        self.hub.api.apply(_settings())
        with ExitStack() as undo:
            undo.callback(self._stop)
            for daemon in self._daemons():
                daemon.launch()
            for daemon in self._daemons():
                daemon.wait()
            self._garbage.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._garbage.stop()
        self._stop()

    def _daemons(self) -> tuple[Daemon, ...]:
        return self.redis, self.repo_server, self.controller, self.set_controller

    def _stop(self) -> None:
        for daemon in reversed(self._daemons()):
            daemon.stop(patience=1)

    @contextmanager
    def patient(self, resync: int) -> Iterator[None]:
        """Meanwhile it looks at Git by itself only every so many seconds."""
        usual, self.controller = self.controller, self._make_controller(resync)
        usual.stop()
        self.controller.start()
        try:
            yield
        finally:
            self.controller.stop()
            self.controller = usual
            usual.start()

    def trust(self, url: str, account: Account) -> None:
        """Credentials for every repository whose URL starts with `url`."""
        labels = {**PART, "argocd.argoproj.io/secret-type": "repo-creds"}
        name = f"forge-{abs(hash(url)):x}"
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "stringData": {
                "url": url,
                "username": account.user,
                "password": account.token,
            },
        }
        self.hub.api.apply(document)

    def application(
        self, name: str, repo: str, path: str, namespace: str, *, recurse: bool = True
    ) -> Ref:
        """An Application of branch main that syncs, prunes and heals by itself."""
        document = {
            "apiVersion": ARGO,
            "kind": "Application",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {
                    "repoURL": repo,
                    "targetRevision": "main",
                    "path": path,
                    "directory": {"recurse": recurse},
                },
                "destination": {"server": IN_CLUSTER, "namespace": namespace},
                "syncPolicy": {
                    "automated": AUTOMATED,
                    # As `wharfinger init` writes it: without the second, each sync of one
                    # changed route applies all routes of the cluster.
                    "syncOptions": ["ServerSideApply=true", "ApplyOutOfSyncOnly=true"],
                },
            },
        }
        self.hub.api.apply(document)
        return Ref.of(document)

    def refresh(self, name: str) -> None:
        """Make the engine look at Git now, past all of its caches."""
        annotations = {REFRESH: "hard"}
        self.hub.api.patch(self._ref(name), {"metadata": {"annotations": annotations}})

    def refresh_set(self, name: str) -> None:
        """Make an ApplicationSet look at the folders in Git now."""
        ref = Ref(ARGO, "ApplicationSet", name, NAMESPACE)
        annotations = {REFRESH_SET: "true"}
        self.hub.api.patch(ref, {"metadata": {"annotations": annotations}})

    def sync(self, name: str, commit: str) -> Document:
        """`refresh`, then wait until the Application reports `commit` as synced."""
        self.refresh(name)
        return self.wait_synced(name, commit)

    def wait_synced(self, name: str, commit: str, *, seconds: float = 60) -> Document:
        """The Application, as soon as it is synced to `commit` and at rest."""

        def synced(found: Document) -> bool:
            status = found.get("status", {})
            sync = status.get("sync", {})
            phase = status.get("operationState", {}).get("phase", "Succeeded")
            at_it = sync.get("revision") == commit and sync.get("status") == "Synced"
            return bool(at_it and phase == "Succeeded" and "operation" not in found)

        return self.hub.api.wait_for(self._ref(name), synced, seconds=seconds)

    def wait_out_of_sync(self, name: str, commit: str) -> Document:
        """The Application, as soon as it compared with `commit` and differs."""

        def differs(found: Document) -> bool:
            sync = found.get("status", {}).get("sync", {})
            at_it = sync.get("revision") == commit
            return bool(at_it and sync.get("status") == "OutOfSync")

        return self.hub.api.wait_for(self._ref(name), differs, seconds=60)

    def pause(self, name: str) -> None:
        """Look at Git but apply nothing."""
        self._change(name, {"syncPolicy": {"automated": None}})

    def resume(self, name: str) -> None:
        """Apply what Git says, again by itself."""
        self._change(name, {"syncPolicy": {"automated": AUTOMATED}})

    def pin(self, name: str, revision: str) -> None:
        """Stay at `revision`: a commit, or `main` to follow the branch again."""
        self._change(name, {"source": {"targetRevision": revision}})

    def forget(self, name: str) -> None:
        """Delete an Application; what it applied stays."""
        self.hub.api.delete(self._ref(name))

    def _change(self, name: str, spec: Document) -> None:
        self.hub.api.patch(self._ref(name), {"spec": spec})

    def _ref(self, name: str) -> Ref:
        return Ref(ARGO, "Application", name, NAMESPACE)

"""A directory of clusters beside a bare ingress repository, and the real command on both."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from reconciler import yamlio
from reconciler.cli import execute
from tests import documents

COMMAND = Path(sys.executable).with_name("wharfinger")
PERSON = {
    "GIT_AUTHOR_NAME": "Ada Person",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Person",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
# What is there, whatever refs/replace of the repository pretends.
PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_NO_REPLACE_OBJECTS": "1"}
Doc = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def plan(self) -> Doc:
        """The one JSON object on stdout."""
        body = json.loads(self.out)
        assert isinstance(body, dict)
        return body

    def rows(self, op: str) -> list[Doc]:
        return [row for row in self.plan["changes"] if row["op"] == op]


@dataclass(slots=True)
class Ingress:
    """One test's clusters, bare repository and work tree, all below `root`."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def clusters(self) -> Path:
        return self.root / "clusters"

    @property
    def remote(self) -> Path:
        return self.root / "ingress.git"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def start(self, **overrides: object) -> Ingress:
        """Make the repository with settings and the cluster eu1 with one exposure."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "--bare", "-b", "main", str(self.remote), at=self.root)
        self.git("clone", "-q", str(self.remote), str(self.work), at=self.root)
        self.git("checkout", "-q", "-B", "main")
        self.commit({"wharfinger.yaml": self.settings(**overrides)}, "Set up")
        self.cluster("eu1")
        self.expose("eu1", "orders")
        return self

    def settings(self, **overrides: object) -> bytes:
        """Settings with the gateway `public` of 100 ports and no grace."""
        body: Doc = {
            "apiVersion": "wharfinger.dev/v1alpha1",
            "kind": "Settings",
            "domain": "example.com",
            "gateways": [
                {
                    "name": "public",
                    "renderer": "envoy",
                    "namespace": "ingress",
                    "ports": {"range": "20000-20099"},
                }
            ],
            "inventories": [{"name": "lab", "directory": {"path": str(self.clusters)}}],
            "tenants": [
                {
                    "clusters": ["*"],
                    "gateways": ["public"],
                    "endpoints": ["10.20.0.0/16"],
                }
            ],
            "guards": {"grace": "0s"},
            **overrides,
        }
        return yamlio.dump(body).encode()

    def cluster(self, name: str, uid: str = "") -> Path:
        """A cluster with an id and one node."""
        folder = self.clusters / name
        folder.mkdir(parents=True, exist_ok=True)
        self.write(f"{name}/kube-system.yaml", documents.namespace(uid or f"id-{name}"))
        self.write(f"{name}/node.yaml", documents.node("n1", "10.20.0.1"))
        return folder

    def expose(self, cluster: str, name: str, **rest: Any) -> Path:
        """A Service and an exposed VirtualService of one name."""
        self.write(f"{cluster}/svc-{name}.yaml", documents.service(name, 31000))
        return self.write(
            f"{cluster}/{name}.yaml", documents.virtual_service(name, **rest)
        )

    def write(self, path: str, document: Mapping[str, object]) -> Path:
        """A document as a file below the clusters' folder."""
        target = self.clusters / path
        target.write_text(yamlio.dump(document))
        return target

    def run(self, *args: str, **environment: str) -> Done:
        """The command, with the repository named unless `--repo` or its twin is."""
        keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        env = {
            **keep,
            **PERSON,
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "WHARFINGER_REPO": str(self.remote),
            **self.environment,
            **environment,
        }
        done = subprocess.run(
            [str(COMMAND), *args],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def reconcile(self, *args: str, **environment: str) -> Done:
        """`reconcile -o json` without write-back."""
        return self.run(
            "reconcile", "-o", "json", "--write-back=off", *args, **environment
        )

    def git(self, *args: str, at: Path | None = None) -> str:
        """git as a person."""
        keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        done = subprocess.run(
            ["git", *args],
            cwd=at or self.work,
            env={**keep, **PERSON, **PLAIN},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, files: Mapping[str, bytes | None], message: str) -> str:
        """A person's commit on the branch, pushed; `None` removes a file."""
        self.pull()
        for path, data in files.items():
            target = self.work / path
            if data is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", "main")
        return self.tip()

    def pull(self) -> None:
        """Bring the work tree to the branch."""
        if self.git("ls-remote", "--heads", "origin", "main"):
            self.git("fetch", "-q", "origin")
            self.git("reset", "-q", "--hard", "origin/main")

    def tip(self) -> str:
        """The commit of the branch."""
        return self.git("rev-parse", "refs/heads/main", at=self.remote).strip()

    def files(self, under: str = ".") -> list[str]:
        """Paths at HEAD."""
        args = ("ls-tree", "-r", "--name-only", "refs/heads/main", "--", under)
        return self.git(*args, at=self.remote).split()

    def show(self, path: str) -> str:
        """A file at HEAD."""
        return self.git("show", f"refs/heads/main:{path}", at=self.remote)


class Near(Ingress):
    """The command within this process, which spares its start; `real` starts it."""

    def run(self, *args: str, **environment: str) -> Done:
        """The command, as `Ingress.run` starts it; the environment is the whole process's."""
        assert threading.current_thread() is threading.main_thread(), "use real()"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            **PERSON,
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "WHARFINGER_REPO": str(self.remote),
            **self.environment,
            **environment,
        }
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, env, clear=True),
            contextlib.chdir(self.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = execute(args)
        return Done(code=code, out=out.getvalue(), err=err.getvalue())

    def real(self, *args: str, **environment: str) -> Done:
        """`reconcile` in a process of its own."""
        own = Ingress(root=self.root, environment=self.environment)
        return own.reconcile(*args, **environment)

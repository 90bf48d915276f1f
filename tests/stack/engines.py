"""Fixtures of forge and engines: started when first asked for, once per process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.argocd import Argocd
from tests.stack.checkout import Checkout
from tests.stack.flux import Flux
from tests.stack.gitea import Gitea, GitRemote
from tests.stack.kube import Cluster
from tests.stack.ssh_remote import SshRemote
from tests.stack.stack import Stack


@pytest.fixture(scope="session")
def gitea(stack: Stack) -> Iterator[Gitea]:
    """The forge; make a repository per test (`remote` is one)."""
    with Gitea(stack.logs) as started:
        yield started


@pytest.fixture
def remote(gitea: Gitea) -> GitRemote:
    """A new empty private repository of the forge."""
    return gitea.create_repo()


@pytest.fixture
def checkout(remote: GitRemote, tmp_path: Path) -> Checkout:
    """A person's clone of `remote`."""
    return Checkout.of(remote.authenticated_url, tmp_path / "checkout")


@pytest.fixture(scope="session")
def ssh_remote(stack: Stack) -> Iterator[SshRemote]:
    """sshd with bare repositories."""
    with SshRemote(stack.logs) as started:
        yield started


@pytest.fixture(scope="session")
def argocd(hub: Cluster, stack: Stack, gitea: Gitea) -> Iterator[Argocd]:
    """Argo CD on the hub; it can read every repository of the forge."""
    with Argocd(hub, stack.logs) as started:
        started.trust(f"{gitea.url}/", gitea.owner)
        yield started


@pytest.fixture(scope="session")
def flux(hub: Cluster, stack: Stack) -> Iterator[Flux]:
    """kustomize-controller on the hub."""
    with Flux(hub, stack.logs) as started:
        yield started

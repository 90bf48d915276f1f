"""Fixtures of forge and engines: started when first asked for, once per process."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from tests.stack.argocd import Argocd
from tests.stack.checkout import Checkout
from tests.stack.flux import Flux
from tests.stack.gitea import Gitea, GitRemote
from tests.stack.kube import Cluster
from tests.stack.ssh_remote import SshRemote
from tests.stack.stack import Stack

T = TypeVar("T")

# pytest counts a fixture once per module that imports it, whatever its scope. Two engines
# on one hub would fight over its objects, so what runs belongs to the stack.


def _until_end(stack: Stack, manager: AbstractContextManager[T]) -> T:
    """Enter `manager`; it ends with the stack."""
    undo = ExitStack()
    started = undo.enter_context(manager)
    stack.at_end(undo.close)
    return started


@cache
def _gitea(stack: Stack) -> Gitea:
    return _until_end(stack, Gitea(stack.logs))


@cache
def _ssh_remote(stack: Stack) -> SshRemote:
    return _until_end(stack, SshRemote(stack.logs))


@cache
def _argocd(stack: Stack) -> Argocd:
    forge = _gitea(stack)
    started = _until_end(stack, Argocd(stack.cluster("hub"), stack.logs))
    started.trust(f"{forge.url}/", forge.owner)
    return started


@cache
def _flux(stack: Stack) -> Flux:
    return _until_end(stack, Flux(stack.cluster("hub"), stack.logs))


@pytest.fixture(scope="session")
def gitea(stack: Stack) -> Gitea:
    """The forge; make a repository per test (`remote` is one)."""
    return _gitea(stack)


@pytest.fixture
def remote(gitea: Gitea) -> GitRemote:
    """A new empty private repository of the forge."""
    return gitea.create_repo()


@pytest.fixture
def checkout(remote: GitRemote, tmp_path: Path) -> Checkout:
    """A person's clone of `remote`."""
    return Checkout.of(remote.authenticated_url, tmp_path / "checkout")


@pytest.fixture(scope="session")
def ssh_remote(stack: Stack) -> SshRemote:
    """sshd with bare repositories."""
    return _ssh_remote(stack)


@pytest.fixture(scope="session")
def argocd(hub: Cluster, stack: Stack) -> Argocd:
    """Argo CD on the hub; it can read every repository of the forge."""
    return _argocd(stack)


@pytest.fixture(scope="session")
def flux(hub: Cluster, stack: Stack) -> Flux:
    """kustomize-controller on the hub."""
    return _flux(stack)

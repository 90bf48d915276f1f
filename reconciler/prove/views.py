"""Reads of the platform cluster, and the one kind of write to it: an annotation (does I/O)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reconciler.kube import KubeApi, NotFound, object_path
from reconciler.kubeconfig import in_cluster, load_kubeconfig
from reconciler.paging import Limits
from reconciler.prove.kept import kept
from reconciler.settings import Platform

Json = Mapping[str, Any]
_MIB = 1024 * 1024
# The platform is ours and one: it holds the objects of all tenants together.
PLATFORM_LIMITS = Limits(
    items=1_000_000,
    pages=20_000,
    received_bytes=8192 * _MIB,
    kept_bytes=512 * _MIB,
    watch_burst=128 * _MIB,
    watch_rate=8 * _MIB,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Objects of one kind in one namespace; `version` is `<group>/<version>`."""

    version: str
    plural: str
    namespace: str

    @property
    def path(self) -> str:
        """Where an API server lists them."""
        return object_path(self.version, self.plural, self.namespace, "")


class View(Protocol):
    """What the platform cluster says now. All methods raise KubeError."""

    async def objects(self, collection: Collection) -> tuple[Json, ...]:
        """All objects of a collection."""

    def direct(self) -> View | None:
        """A look that asks the API server each time; `None` when this one does."""

    async def service(self, namespace: str, name: str) -> Json | None:
        """One Service; `None` when it is not there."""

    async def annotate(self, path: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of the object at `path`. Raises NotFound."""


Look = Callable[[Platform], AbstractAsyncContextManager[View]]
"""Begins a look at a platform cluster. Raises KubeError, RefusedKubeconfig."""


class Listing:
    """Asks the API server each time."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def objects(self, collection: Collection) -> tuple[Json, ...]:
        """One list."""
        return await self._api.list(
            collection.path, lambda body: kept(body, collection.version)
        )

    def direct(self) -> View | None:
        """It does."""
        return None

    async def service(self, namespace: str, name: str) -> Json | None:
        """One read."""
        try:
            return await self._api.get(object_path("v1", "services", namespace, name))
        except NotFound:
            return None

    async def annotate(self, path: str, annotations: Mapping[str, str]) -> None:
        """One merge patch, which asks nothing of what is there."""
        await self._api.merge_patch(
            path, {"metadata": {"annotations": dict(annotations)}}
        )


def platform_api(platform: Platform, limits: Limits = PLATFORM_LIMITS) -> KubeApi:
    """The API of the platform cluster. Raises RefusedKubeconfig."""
    if platform.context == "in-cluster":
        return KubeApi(in_cluster(), name="platform", limits=limits)
    path = Path(platform.kubeconfig) if platform.kubeconfig else None
    credentials = load_kubeconfig(path).credentials(platform.context)
    return KubeApi(credentials, name="platform", limits=limits)


@asynccontextmanager
async def listing(platform: Platform) -> AsyncIterator[View]:
    """A look that lists what it needs: for commands that look once."""
    async with platform_api(platform) as api:
        yield Listing(api)

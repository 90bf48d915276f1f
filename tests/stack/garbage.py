"""Plays Kubernetes' garbage collector for what Argo CD prunes (does I/O).

Argo CD deletes in the foreground: the API server keeps the object, marked, until the
garbage collector of the controller manager has removed its dependents and then the mark.
No controller manager runs here, and what tests apply has no dependents.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tests.stack.api import ApiError
from tests.stack.documents import Document, Ref
from tests.stack.kube import Cluster

MARK = "foregroundDeletion"
PAUSE = 0.25


class GarbageCollector:
    """A thread that lets go of objects whose foreground deletion waits."""

    def __init__(self, hub: Cluster, applications: Ref) -> None:
        self._hub = hub
        self._applications = applications
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="garbage-collector")

    def start(self) -> None:
        """Collect until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; returns when the thread has ended."""
        self._ended.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            for application in self._hub.api.list(self._applications):
                for ref in _leaving(application):
                    self._let_go(ref)

    def _let_go(self, ref: Ref) -> None:
        seen = self._hub.api.find(ref)
        if seen is None or "deletionTimestamp" not in seen["metadata"]:
            return
        finalizers = seen["metadata"].get("finalizers", [])
        left = [name for name in finalizers if name != MARK]
        if left == finalizers:
            return
        change = {"metadata": {"finalizers": left, "uid": seen["metadata"]["uid"]}}
        try:
            self._hub.api.patch(ref, change)
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _leaving(application: Document) -> Iterator[Ref]:
    """What an Application prunes, or all of it when it is being deleted itself."""
    deleted = "deletionTimestamp" in application["metadata"]
    for resource in application.get("status", {}).get("resources", ()):
        if not deleted and not resource.get("requiresPruning"):
            continue
        group, version = resource.get("group", ""), resource["version"]
        yield Ref(
            f"{group}/{version}" if group else version,
            resource["kind"],
            resource["name"],
            resource.get("namespace", ""),
        )

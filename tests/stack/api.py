"""A small synchronous client of one Kubernetes API server (does I/O).

For what tests do: apply files, look at objects, play controllers, wait. The product's
own client is not used, so that its mistakes are not repeated here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from tests.stack.documents import Document, Documents, Ref, listed

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"


class ApiError(RuntimeError):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach an API server: `ca`, `cert`, `key` are paths of PEM files.

    `server_name` is for kubeconfigs alone: SNI, and the name that the certificate has.
    """

    server: str
    ca: str
    token: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""


class Api:
    """Calls to one API server as one user. May be used from several threads."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.verify = self.access.ca
            if self.access.cert:
                session.cert = (self.access.cert, self.access.key)
            if self.access.token:
                session.headers["Authorization"] = f"Bearer {self.access.token}"
            self._local.session = session
            self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close the connections of all threads."""
        for session in self._sessions:
            session.close()

    def call(
        self, method: str, path: str, body: Any = None, *, content: str = JSON
    ) -> Document:
        """One request; the answer's JSON object. Raises ApiError on a refusal."""
        data = None if body is None else json.dumps(body)
        answer = self._session().request(
            method,
            f"{self.access.server}{path}",
            data=data,
            headers={"Content-Type": content},
            timeout=30,
        )
        if not answer.ok:
            raise ApiError(answer.status_code, f"{method} {path}: {_message(answer)}")
        return dict(answer.json()) if "json" in answer.headers["Content-Type"] else {}

    def ready(self) -> bool:
        """Does ``/readyz`` answer with 200?"""
        try:
            self.call("GET", "/readyz")
        except (ApiError, requests.RequestException):
            return False
        return True

    def path(self, ref: Ref, suffix: str = "") -> str:
        """The URL path of an object or a collection; asks discovery once per kind."""
        plural, namespaced = self._kind(ref)
        root = "/api/" if "/" not in ref.api_version else "/apis/"
        where = f"/namespaces/{ref.namespace}" if namespaced and ref.namespace else ""
        name = f"/{ref.name}" if ref.name else ""
        return f"{root}{ref.api_version}{where}/{plural}{name}{suffix}"

    def _kind(self, ref: Ref) -> tuple[str, bool]:
        key = (ref.api_version, ref.kind)
        if key not in self._kinds:
            root = "/api/" if "/" not in ref.api_version else "/apis/"
            served = self.call("GET", f"{root}{ref.api_version}")["resources"]
            for resource in served:
                if "/" not in resource["name"]:
                    found = (resource["name"], resource["namespaced"])
                    self._kinds[ref.api_version, resource["kind"]] = found
        if key not in self._kinds:
            raise ApiError(404, f"no kind {ref.kind} in {ref.api_version}")
        return self._kinds[key]

    def apply(self, documents: Documents, manager: str = "tests") -> list[Document]:
        """Server-side apply, forced; objects as the server has them afterwards."""
        applied = []
        for document in listed(documents):
            path = self.path(Ref.of(document))
            query = f"?fieldManager={manager}&force=true"
            applied.append(self.call("PATCH", path + query, document, content=APPLY))
        return applied

    def get(self, ref: Ref) -> Document:
        """The object; raises ApiError with status 404 when there is none."""
        return self.call("GET", self.path(ref))

    def find(self, ref: Ref) -> Document | None:
        """The object, or None when there is none (or its kind is not served)."""
        try:
            return self.get(ref)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, ref: Ref, labels: str = "") -> list[Document]:
        """All objects of the kind, in the namespace if one is given.

        Each has its `apiVersion` and `kind`, which the server leaves out of lists.
        """
        query = f"?labelSelector={labels}" if labels else ""
        items = self.call("GET", self.path(ref) + query)["items"]
        return [{"apiVersion": ref.api_version, "kind": ref.kind, **i} for i in items]

    def patch(self, ref: Ref, change: Document) -> Document:
        """Merge-patch the object."""
        return self.call("PATCH", self.path(ref), change, content=MERGE)

    def patch_status(self, ref: Ref, status: Document) -> Document:
        """Merge-patch the status, as a controller or a kubelet would."""
        path = self.path(ref, "/status")
        return self.call("PATCH", path, {"status": status}, content=MERGE)

    def delete(self, ref: Ref) -> None:
        """Delete the object; one that is gone already is fine."""
        try:
            self.call("DELETE", self.path(ref))
        except ApiError as error:
            if error.status != 404:
                raise

    def wait_for(
        self,
        ref: Ref,
        condition: Callable[[Document], object],
        *,
        seconds: float = 30.0,
    ) -> Document:
        """Return the object as soon as `condition(object)` is true.

        Raises TimeoutError that shows the last object seen.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = self.find(ref)
            if seen is not None and condition(seen):
                return seen
            if time.monotonic() > deadline:
                shown = json.dumps(_shown(seen), indent=1)
                raise TimeoutError(f"{ref} not as wanted in {seconds:g} s: {shown}")
            time.sleep(0.05)

    def wait_gone(self, ref: Ref, *, seconds: float = 30.0) -> None:
        """Return when the object does not exist any more."""
        deadline = time.monotonic() + seconds
        while self.find(ref) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{ref} still exists after {seconds:g} s")
            time.sleep(0.05)


def _shown(seen: Document | None) -> Document | None:
    if seen is not None:
        seen["metadata"].pop("managedFields", None)
    return seen


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("message", answer.text))
    except requests.JSONDecodeError:
        return answer.text

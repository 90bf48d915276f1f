"""What a watch keeps of an object of the platform cluster: what proof and asking read (no I/O).

An Application says of each of its objects how healthy it is, and of each sync what it did with
each: nobody here asks, and for a thousand clusters it would be most of the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Any

from reconciler.prove.touched import REFRESH

Json = Mapping[str, Any]

_METADATA = ("name", "namespace", "generation")
_SPEC = ("source", "sources", "path", "sourceRef", "suspend", "generators")
_STATUS = (
    *("conditions", "observedGeneration", "addresses", "listeners", "parents"),
    *("validationMessages", "sourceType", "reconciledAt", "sync", "inventory"),
    *("lastAppliedRevision", "lastAppliedOriginRevision", "lastAttemptedRevision"),
)
_RESOURCE = ("group", "kind", "namespace", "name", "status", "requiresPruning")
_ENGINES = ("argoproj.io/", "kustomize.toolkit.fluxcd.io/")


def kept(body: Json, version: str) -> Json:
    """An object of the API `version` without what nobody reads. Raises ValueError."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise ValueError("an object without a name")
    found: dict[str, Any] = {"metadata": _some(metadata, _METADATA)}
    status = body.get("status")
    if isinstance(status, Mapping):
        found["status"] = _status(status)
    if version.startswith(_ENGINES):
        asked = _some(metadata.get("annotations"), (REFRESH,))
        if asked:
            found["metadata"]["annotations"] = asked
        spec = body.get("spec")
        found["spec"] = _some(spec, _SPEC)
        if isinstance(body.get("operation"), Mapping):
            found["operation"] = _some(body["operation"], ("sync",))
    return found


def _some(value: object, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {key: _plain(value[key]) for key in keys if key in value}


def _status(status: Json) -> dict[str, Any]:
    found = _some(status, _STATUS)
    resources = status.get("resources")
    if isinstance(resources, list):
        found["resources"] = [_some(each, _RESOURCE) for each in resources]
    state = status.get("operationState")
    if isinstance(state, Mapping):
        found["operationState"] = {
            **_some(state, ("phase", "finishedAt", "operation")),
            "syncResult": _some(state.get("syncResult"), ("revision", "revisions")),
        }
    return found


def _plain(value: Any) -> Any:
    """The same without messages to people, and each short text once in memory."""
    match value:
        case str():
            return intern(value) if len(value) <= 64 else value
        case Mapping():
            return {
                intern(str(key)): _plain(each)
                for key, each in value.items()
                if key != "message"
            }
        case list():
            return [_plain(each) for each in value]
    return value

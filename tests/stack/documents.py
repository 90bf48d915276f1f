"""YAML and JSON documents as dictionaries, and names of Kubernetes objects (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

Document = dict[str, Any]
Documents = str | Mapping[str, Any] | Iterable[Mapping[str, Any]]
# The parser of libyaml where the wheel has it: the pure one needs 20 s for our CRDs.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> list[Document]:
    """All documents of a YAML (or JSON) text; empty ones left out, lists opened."""
    found: list[Document] = []
    for document in yaml.load_all(text, Loader=_LOADER):
        if not document:
            continue
        if str(document.get("kind", "")).endswith("List") and "items" in document:
            found.extend(document["items"])
        else:
            found.append(document)
    return found


def dump(documents: Documents) -> str:
    """The documents as one YAML text."""
    return str(yaml.safe_dump_all(listed(documents), sort_keys=False))


def listed(documents: Documents) -> list[Document]:
    """Text, one document or several: always a list of plain dictionaries."""
    if isinstance(documents, str):
        return load(documents)
    if isinstance(documents, Mapping):
        return [dict(documents)]
    return [dict(document) for document in documents]


@dataclass(frozen=True, slots=True)
class Ref:
    """The name of one object, or of a collection when `name` is empty.

    `namespace` is empty for cluster-scoped objects, and for lists of all namespaces.
    """

    api_version: str
    kind: str
    name: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any], namespace: str = "default") -> Self:
        """The name of `document`; `namespace` is used where it has none."""
        metadata = document["metadata"]
        return cls(
            document["apiVersion"],
            document["kind"],
            metadata["name"],
            metadata.get("namespace", namespace),
        )

    def __str__(self) -> str:
        where = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{self.kind} {where or '(all)'} ({self.api_version})"


def condition(document: Mapping[str, Any], name: str) -> str:
    """``True``, ``False`` or ``Unknown`` of a status condition; empty when absent.

    A condition that speaks of an older generation counts as absent.
    """
    generation = document.get("metadata", {}).get("generation", 0)
    return condition_in(
        document.get("status", {}).get("conditions", ()), name, generation
    )


def condition_in(
    conditions: Iterable[Mapping[str, Any]], name: str, generation: int = 0
) -> str:
    """As `condition`, for a list of conditions (a listener's, a parent's)."""
    for found in conditions:
        if found["type"] == name:
            current = found.get("observedGeneration", generation) >= generation
            return str(found["status"]) if current else ""
    return ""

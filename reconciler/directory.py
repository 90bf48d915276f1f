"""A cluster as a folder of files: its raw objects and where each of them stands (reads files).

Half a file is not a shorter cluster: whatever cannot be read whole makes the folder unreadable.
Shared by observing and by write-back, which must find an object again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler import yamlio
from reconciler.model.clusters import Unknown, Why

Json = Mapping[str, Any]
SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILES = 200_000
_CLUSTER_WIDE = frozenset({"Node", "Namespace", "Cluster"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One object and its place: file, number of the document, and index in a List (or -1)."""

    body: Json
    file: Path
    document: int
    item: int = -1

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def key(self) -> tuple[str, str, str]:
        """(group and kind, namespace, name): what an API server has once."""
        metadata = self.body["metadata"]
        group = str(self.body["apiVersion"]).rpartition("/")[0]
        return (
            f"{group}/{self.kind}",
            str(metadata.get("namespace", "")),
            str(metadata["name"]),
        )


class _Faulty(Exception):
    """A file or an object that cannot be believed."""


def read_folder(folder: Path) -> tuple[Placed, ...] | Unknown:
    """All objects of a cluster's folder, in order of the files' names."""
    found: dict[tuple[str, str, str], Placed] = {}
    try:
        for file in _files(folder):
            for placed in read_file(file):
                if placed.key in found:
                    _, namespace, name = placed.key
                    raise _Faulty(
                        f"{file}: {placed.kind} {namespace}/{name} is also in {found[placed.key].file.name}"
                    )
                found[placed.key] = placed
    except (_Faulty, OSError) as exc:
        return Unknown(why=Why.UNREADABLE, message=str(exc)[:300])
    return tuple(found.values())


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_symlink() or not folder.is_dir():
        raise _Faulty(f"{folder} is no folder")
    count = 0

    def stop(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(SUFFIXES):
                continue
            count += 1
            if count > MAX_FILES:
                raise _Faulty(f"{folder} has more than {MAX_FILES} files")
            yield Path(root, name)


def read_file(file: Path) -> tuple[Placed, ...]:
    """The objects of one file. Raises OSError, and ValueError's kin as _Faulty."""
    if file.is_symlink() and not file.exists():
        raise _Faulty(f"{file} is a dangling link")
    return tuple(objects_in(file, file.read_bytes()))


def objects_in(file: Path, data: bytes) -> Iterator[Placed]:
    """The objects in the content of a file, Lists taken apart."""
    documents = _documents(file, data)
    if not documents:
        raise _Faulty(
            f"{file} is empty; a file that shall say nothing must not be there"
        )
    for index, document in documents:
        body = _object(file, document)
        if body["kind"].endswith("List") and "items" in body:
            yield from _listed(file, index, body)
        else:
            yield Placed(body=_with_identity(file, body), file=file, document=index)


def _listed(file: Path, index: int, body: Json) -> Iterator[Placed]:
    if not isinstance(body["items"], list):
        raise _Faulty(f"{file}: items of a {body['kind']} must be a list")
    for number, item in enumerate(body["items"]):
        made = _with_identity(file, _object(file, item))
        yield Placed(body=made, file=file, document=index, item=number)


def _documents(file: Path, data: bytes) -> list[tuple[int, object]]:
    if file.name.endswith(".json"):
        try:
            return [(0, json.loads(data, object_pairs_hook=_no_duplicates))]
        except (ValueError, RecursionError) as exc:
            raise _Faulty(f"{file}: not JSON: {exc}") from exc
    try:
        documents = yamlio.load_all(data)
    except yamlio.Unreadable as exc:
        raise _Faulty(f"{file}: {exc}") from exc
    return [(index, each.data) for index, each in enumerate(documents)]


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _object(file: Path, value: object) -> Json:
    if not isinstance(value, Mapping):
        raise _Faulty(f"{file}: a document is no Kubernetes object")
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise _Faulty(f"{file}: an object without {key}")
    return value


def _with_identity(file: Path, body: Json) -> Json:
    metadata = body.get("metadata")
    if body["kind"] == "Cluster" and not isinstance(metadata, Mapping):
        metadata = {"name": str(body.get("name") or "cluster")}
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise _Faulty(f"{file}: a {body['kind']} without metadata.name")
    if body["kind"] in _CLUSTER_WIDE or metadata.get("namespace"):
        return {**body, "metadata": metadata}
    return {**body, "metadata": {**metadata, "namespace": "default"}}

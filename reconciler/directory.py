"""A cluster as a folder of files: its raw objects and where each of them stands (reads files).

Half a file is not a shorter cluster: whatever cannot be read whole makes the folder unreadable.
Shared by observing and by write-back, which must find an object again. Links to files are
followed as far as the inventory's own directory, links to folders never.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler import jsonio, yamlio
from reconciler.model.clusters import Unknown, Why

Json = Mapping[str, Any]
SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILES = 200_000
_CLUSTER_WIDE = frozenset({"Node", "Namespace", "Cluster"})
_ISTIO = "networking.istio.io"
# What every object of a kind has in its last part: without it the rest of a file is missing.
_LAST_PART = {
    (_ISTIO, "VirtualService"): "spec",
    (_ISTIO, "DestinationRule"): "spec",
    ("", "Service"): "spec",
    ("", "Node"): "status",
}


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
    def group(self) -> str:
        return str(self.body["apiVersion"]).rpartition("/")[0]

    @property
    def key(self) -> tuple[str, str, str]:
        """(group and kind, namespace, name): what an API server has once."""
        metadata = self.body["metadata"]
        return (
            f"{self.group}/{self.kind}",
            metadata.get("namespace", ""),
            metadata["name"],
        )

    def __str__(self) -> str:
        _, namespace, name = self.key
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


class Faulty(ValueError):
    """A file or an object that cannot be believed."""


Seen = Callable[[Path, bytes], None]


def read_folder(folder: Path, seen: Seen | None = None) -> tuple[Placed, ...] | Unknown:
    """All objects of a cluster's folder, in order of the files' names; unknown unless whole.

    `seen` is told each file with its content, in this order.
    """
    found: dict[tuple[str, str, str], Placed] = {}
    try:
        for file, data in contents(folder):
            if seen is not None:
                seen(file, data)
            for placed in objects_in(file, data):
                other = found.setdefault(placed.key, placed)
                if other is not placed:
                    raise Faulty(f"{file}: {placed} is also in {other.file}")
    except Faulty as exc:
        return _unreadable(str(exc))
    except OSError as exc:
        return _unreadable(f"{exc.filename or folder}: {exc.strerror or 'unreadable'}")
    return tuple(found.values())


def _unreadable(what: str) -> Unknown:
    # Names of files are bytes; what is no UTF-8 in them could not be printed.
    text = what[:500].encode("utf-8", "backslashreplace").decode()
    return Unknown(why=Why.UNREADABLE, message=text)


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a cluster's folder with their bytes, in order. Raises OSError, Faulty."""
    within = folder.parent
    for file in files(folder):
        yield file, _content(file, within)


def files(folder: Path) -> Iterator[Path]:
    """The files of a cluster's folder, in order. Raises OSError, Faulty."""
    if folder.is_symlink() or not folder.is_dir():
        raise Faulty(f"{folder} is no folder")
    count = 0

    def stop(error: OSError) -> None:
        raise error

    for root, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in folders:
            if Path(root, name).is_symlink():
                raise Faulty(f"{Path(root, name)}: links to folders are not followed")
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(SUFFIXES):
                continue
            count += 1
            if count > MAX_FILES:
                raise Faulty(f"{folder} has more than {MAX_FILES} files")
            yield Path(root, name)


def _content(file: Path, within: Path) -> bytes:
    """The bytes of one file; a link must not lead out of `within`."""
    status = file.stat()  # raises for a link that leads nowhere or to itself
    if file.is_symlink() and not file.resolve().is_relative_to(within.resolve()):
        raise Faulty(f"{file}: a link that leads out of {within}")
    if not stat.S_ISREG(status.st_mode):
        raise Faulty(f"{file}: not a file")
    if status.st_size > yamlio.MAX_BYTES:
        raise Faulty(f"{file}: more than {yamlio.MAX_BYTES} bytes; split it")
    data = file.read_bytes()
    after = file.stat()
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise Faulty(f"{file}: it changed while it was read")
    return data


def objects_in(file: Path, data: bytes) -> Iterator[Placed]:
    """The objects in the content of a file, Lists taken apart. Raises Faulty."""
    documents = _documents(file, data)
    if not documents:
        raise Faulty(
            f"{file} is empty; a file that shall say nothing must not be there"
        )
    placed = None
    for index, document in documents:
        body = _object(file, document)
        for placed in _parts(file, index, body):
            if not _is_json(file):
                _check_whole(placed)
            yield placed
    if placed is not None and not _is_json(file) and not _is_terminated(data):
        _check_last(placed)


def _parts(file: Path, index: int, body: Json) -> Iterator[Placed]:
    if body["kind"].endswith("List") and "items" in body:
        yield from _listed(file, index, body)
    else:
        yield Placed(body=_with_identity(file, body), file=file, document=index)


def _check_whole(placed: Placed) -> None:
    """A YAML text that was cut between two lines is YAML too: see what must be there."""
    part = _LAST_PART.get((placed.group, placed.kind))
    if part is not None and placed.body.get(part) is None:
        raise Faulty(f"{placed.file}: {placed} has no {part}; is the file cut off?")


def _is_terminated(data: bytes) -> bool:
    return data.endswith((b"\n", b"}", b"]"))


def _check_last(placed: Placed) -> None:
    """The text ends inside a line, which editors do too: then its last object must be whole."""
    spec = placed.body.get("spec")
    if placed.kind != "VirtualService" or not isinstance(spec, Mapping):
        return
    if not any(spec.get(kind) for kind in ("tcp", "tls", "http")):
        raise Faulty(
            f"{placed.file}: it ends in the middle of {placed}; is it cut off?"
        )


def _listed(file: Path, index: int, body: Json) -> Iterator[Placed]:
    if not isinstance(body["items"], list):
        raise Faulty(f"{file}: items of a {body['kind']} must be a list")
    typed = {"apiVersion": body["apiVersion"], "kind": body["kind"][: -len("List")]}
    for number, item in enumerate(body["items"]):
        # An API server leaves the type out of the items of a typed list.
        if typed["kind"] and isinstance(item, Mapping):
            item = {**typed, **item}
        made = _with_identity(file, _object(file, item))
        yield Placed(body=made, file=file, document=index, item=number)


def _is_json(file: Path) -> bool:
    return file.name.endswith(".json")


def _documents(file: Path, data: bytes) -> list[tuple[int, object]]:
    try:
        if _is_json(file):
            return [(0, jsonio.loads(data))] if data.strip() else []
        documents = yamlio.load_all(data)
    except jsonio.InvalidJson as exc:
        raise Faulty(f"{file}: not JSON: {exc}") from None
    except yamlio.Unreadable as exc:
        raise Faulty(f"{file}:{exc.line}:{exc.column}: {exc.what}") from None
    return [(index, each.data) for index, each in enumerate(documents)]


def _object(file: Path, value: object) -> Json:
    if not isinstance(value, Mapping):
        raise Faulty(f"{file}: a document is no Kubernetes object")
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise Faulty(f"{file}: an object without {key}")
    return value


def _with_identity(file: Path, body: Json) -> Json:
    """The object with a name, and a namespace where its kind has one (`default`)."""
    metadata = body.get("metadata")
    kind = body["kind"]
    if kind == "Cluster":
        metadata = {
            "name": "cluster",
            **(metadata if isinstance(metadata, Mapping) else {}),
        }
    if not isinstance(metadata, Mapping):
        raise Faulty(f"{file}: a {kind[:64]!a} without metadata")
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    if not isinstance(name, str) or not name:
        raise Faulty(f"{file}: a {kind[:64]!a} without metadata.name (a text)")
    if not isinstance(namespace, str):
        raise Faulty(f"{file}: {kind[:64]!a} {name[:64]!a}: namespace must be a text")
    if kind in _CLUSTER_WIDE:
        namespace = ""
    return {**body, "metadata": {**metadata, "namespace": namespace}}


def will_write(mode: str, folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether write-back patches files: `on`, `off`, or `auto`: not in a work tree under CI."""
    if mode != "auto":
        return mode == "on"
    if environ.get("CI", "") in ("", "0", "false"):
        return True
    return not any(
        (each / ".git").exists()
        for each in (folder.absolute(), *folder.absolute().parents)
    )

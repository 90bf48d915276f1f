"""Write-back into files: patched in place, comments and order kept (writes files)."""

from __future__ import annotations

import codecs
import copy
import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reconciler import yamlio
from reconciler.directory import Placed, objects_in, read_folder
from reconciler.model.claims import Source
from reconciler.model.clusters import Unknown
from reconciler.model.units import UnitId
from reconciler.writeback.lines import annotate_lines

Change = Mapping[str, str | None]
Edit = tuple[Placed, Change]
CHANGED = "the object changed meanwhile; the next pass writes it"
ISTIO_GROUP = "networking.istio.io/"

_JSON_INDENT = re.compile(rb"\s*\{\r?\n( +)")


def write_folder(
    folder: Path,
    changes: Mapping[UnitId, Change],
    seen: Mapping[UnitId, Source] | None = None,
) -> dict[UnitId, str]:
    """Patch the VirtualServices of one cluster's folder; returns problems by unit.

    `seen` are the objects that the changes were decided on: one that is another by now is
    left alone, as an API server would refuse the patch.
    """
    objects = read_folder(folder)
    if isinstance(objects, Unknown):
        return dict.fromkeys(changes, objects.message)
    found = {_name(each): each.file for each in objects if _is_virtual_service(each)}
    by_file: dict[Path, list[UnitId]] = {}
    problems: dict[UnitId, str] = {}
    for unit in changes:
        file = found.get((unit.namespace, unit.name))
        if file is None:
            problems[unit] = "the object is gone from its file"
        else:
            by_file.setdefault(file, []).append(unit)
    for file, units in by_file.items():
        mine = {unit: changes[unit] for unit in units}
        problems.update(_write_file(file, mine, seen or {}))
    return problems


def _is_virtual_service(placed: Placed) -> bool:
    version = str(placed.body["apiVersion"])
    return placed.kind == "VirtualService" and version.startswith(ISTIO_GROUP)


def _name(placed: Placed) -> tuple[str, str]:
    metadata = placed.body["metadata"]
    return str(metadata["namespace"]), str(metadata["name"])


def _write_file(
    file: Path, changes: Mapping[UnitId, Change], seen: Mapping[UnitId, Source]
) -> dict[UnitId, str]:
    try:
        before = file.read_bytes()
        objects = {
            _name(each): each
            for each in objects_in(file, before)
            if _is_virtual_service(each)
        }
        edits: list[Edit] = []
        problems: dict[UnitId, str] = {}
        for unit, change in changes.items():
            placed = objects.get((unit.namespace, unit.name))
            if placed is None or _is_another(placed, seen.get(unit)):
                problems[unit] = CHANGED
            else:
                edits.append((placed, change))
        after = _edited(file, before, edits) if edits else before
        if file.read_bytes() != before:
            return dict.fromkeys(changes, CHANGED)
        if after != before:
            _replace(file, after)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as exc:
        return dict.fromkeys(changes, f"{file}: {exc}"[:300])
    return problems


def _is_another(placed: Placed, source: Source | None) -> bool:
    """Whether the object in the file is not the one that was decided on."""
    if source is None:
        return False
    metadata = placed.body["metadata"]
    return (
        _text(metadata.get("uid")) != source.uid
        or _text(metadata.get("resourceVersion")) != source.resource_version
        or dict(metadata.get("annotations") or {}) != dict(source.annotations)
    )


def _text(value: object) -> str:
    """As observing reads it: what is no text counts as absent."""
    return value if isinstance(value, str) else ""


def _edited(file: Path, data: bytes, edits: Sequence[Edit]) -> bytes:
    if file.name.endswith(".json"):
        return _edited_json(data, edits)
    made: list[bytes] = []
    for number, text in yamlio.pieces(data):
        for placed, change in edits:
            if placed.document == number:
                text = _edited_text(text, placed, change)
        made.append(text.encode())
    return (codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b"") + b"".join(
        made
    )


def _edited_text(text: str, placed: Placed, change: Change) -> str:
    """One document with one object changed, and nothing else in its meaning."""
    wanted = copy.deepcopy(yamlio.load(text.encode()))
    _annotate(_body(wanted, placed), change)
    where: yamlio.Path = () if placed.item < 0 else ("items", placed.item)
    made = annotate_lines(text, where, change)
    if made is None or not _means(made, wanted):
        made = _edited_by_library(text, placed, change)
        if not _means(made, wanted):
            raise ValueError("this style of YAML cannot be changed without damage")
    return made


def _means(text: str, wanted: object) -> bool:
    try:
        return yamlio.load(text.encode()) == wanted
    except yamlio.Unreadable:
        return False


def _edited_by_library(text: str, placed: Placed, change: Change) -> str:
    data = text.encode()
    documents = yamlio.edit(data)
    _annotate(_body(documents[0], placed), change)
    made = yamlio.edited(documents, data).decode()
    crlf = "\r\n" in text
    return made.replace("\r\n", "\n").replace("\n", "\r\n") if crlf else made


def _edited_json(data: bytes, edits: Sequence[Edit]) -> bytes:
    document = json.loads(data)
    for placed, change in edits:
        _annotate(_body(document, placed), change)
    first = _JSON_INDENT.match(data)
    indent = len(first[1]) if first is not None else None
    return json.dumps(document, indent=indent, ensure_ascii=False).encode() + b"\n"


def _body(document: Any, placed: Placed) -> Any:
    return document if placed.item < 0 else document["items"][placed.item]


def _annotate(body: Any, change: Change) -> None:
    metadata = body["metadata"]
    annotations = metadata.get("annotations")
    if annotations is None:
        annotations = metadata["annotations"] = {}
    for key, value in change.items():
        if value is not None:
            annotations[key] = value
        elif key in annotations:
            del annotations[key]


def _replace(file: Path, data: bytes) -> None:
    """By rename, with mode and owner of the old file: nobody reads half of it."""
    target = file.resolve()
    was = target.stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        temporary.chmod(stat.S_IMODE(was.st_mode))
        with suppress(PermissionError):  # only root gives files away
            os.chown(temporary, was.st_uid, was.st_gid)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)

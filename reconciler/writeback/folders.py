"""Write-back into files: patched in place, comments and order kept (writes files)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler import yamlio
from reconciler.directory import Placed, read_folder
from reconciler.model.clusters import Unknown
from reconciler.model.units import UnitId

Change = Mapping[str, str | None]

_JSON_INDENT = re.compile(rb"\s*\{\r?\n( +)")


def decide(mode: str, folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether files are written: `on`, `off`, or `auto`: not in a Git work tree under CI."""
    if mode != "auto":
        return mode == "on"
    if environ.get("CI", "") in ("", "0", "false"):
        return True
    return not _in_work_tree(folder)


def _in_work_tree(folder: Path) -> bool:
    return any(
        (each / ".git").exists()
        for each in (folder.absolute(), *folder.absolute().parents)
    )


def write_folder(folder: Path, changes: Mapping[UnitId, Change]) -> dict[UnitId, str]:
    """Patch the VirtualServices of one cluster's folder; returns problems by unit."""
    objects = read_folder(folder)
    if isinstance(objects, Unknown):
        return dict.fromkeys(changes, objects.message)
    found = {
        (each.body["metadata"]["namespace"], each.body["metadata"]["name"]): each
        for each in objects
        if each.kind == "VirtualService"
    }
    by_file: dict[Path, list[tuple[UnitId, Placed]]] = {}
    problems: dict[UnitId, str] = {}
    for unit in changes:
        placed = found.get((unit.namespace, unit.name))
        if placed is None:
            problems[unit] = "the object is gone from its file"
        else:
            by_file.setdefault(placed.file, []).append((unit, placed))
    for file, units in by_file.items():
        problem = _write_file(file, units, changes)
        if problem:
            problems.update(dict.fromkeys([unit for unit, _ in units], problem))
    return problems


def _write_file(
    file: Path, units: list[tuple[UnitId, Placed]], changes: Mapping[UnitId, Change]
) -> str:
    try:
        before = file.read_bytes()
        after = _edited(file, before, units, changes)
        if file.read_bytes() != before:
            return "the file changed meanwhile"
        _replace(file, after)
    except (
        OSError,
        yamlio.Unreadable,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
    ) as exc:
        return f"{file}: {exc}"[:200]
    return ""


def _edited(
    file: Path,
    data: bytes,
    units: list[tuple[UnitId, Placed]],
    changes: Mapping[UnitId, Change],
) -> bytes:
    if file.name.endswith(".json"):
        return _edited_json(data, units, changes)
    made: list[bytes] = []
    for number, text in yamlio.pieces(data):
        mine = [each for each in units if each[1].document == number]
        piece = text.encode()
        made.append(_edited_piece(piece, mine, changes) if mine else piece)
    return b"".join(made)


def _edited_piece(
    data: bytes, units: list[tuple[UnitId, Placed]], changes: Mapping[UnitId, Change]
) -> bytes:
    """One document of a file, with its own line ends."""
    documents = yamlio.edit(data)
    for unit, placed in units:
        _annotate(_body(documents[0], placed), changes[unit])
    made = yamlio.edited(documents, data)
    crlf = b"\r\n" in data
    return made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if crlf else made


def _edited_json(
    data: bytes, units: list[tuple[UnitId, Placed]], changes: Mapping[UnitId, Change]
) -> bytes:
    document = json.loads(data)
    for unit, placed in units:
        _annotate(_body(document, placed), changes[unit])
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
    """By rename, with the mode of the old file: nobody reads half of it."""
    target = file.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    mode = target.stat().st_mode
    temporary.write_bytes(data)
    temporary.chmod(mode)
    temporary.replace(target)

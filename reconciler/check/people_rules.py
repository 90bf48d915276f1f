"""Files that people write or add to: a typo in them must not wait for its pass; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler import yamlio
from reconciler.check.findings import Finding, finding
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.holds import parse_hold
from reconciler.model.repository import File
from reconciler.names import is_cluster_name, is_dns_name, is_namespace
from reconciler.plan.records import parse_record
from reconciler.printable import one_line


def people(subject: Subject) -> Iterator[Finding]:
    """Findings in `holds/` and `clusters/`."""
    for path, file in subject.files.items():
        folder, _, rest = path.partition("/")
        name = rest.removesuffix(".yaml")
        if folder == "holds":
            if not rest.endswith(".yaml") or not _is_held(name):
                what = "names nothing that can be held: all, a cluster, a namespace or a unit"
                yield finding(Code.HOLD_INVALID, path, what)
            yield from _hold(path, file)
        elif folder == "clusters" and "/" not in rest:
            yield from _record(path, name, file)


def _record(path: str, name: str, file: File) -> Iterator[Finding]:
    if not path.endswith(".yaml") or not is_cluster_name(name):
        yield finding(Code.RECORD_INVALID, path, "names no cluster")
    elif parse_record(name, file.data) is None:
        what = f"is no record of cluster {name}: cluster and id (or accept) are needed"
        yield finding(Code.RECORD_INVALID, path, what)


def _is_held(name: str) -> bool:
    parts = name.split("/")
    if name == "all":
        return True
    fits = len(parts) <= 3 and is_cluster_name(parts[0])
    return (
        fits and all(map(is_namespace, parts[1:2])) and all(map(is_dns_name, parts[2:]))
    )


def _hold(path: str, file: File) -> Iterator[Finding]:
    try:
        documents = yamlio.load_all(file.data, positions=True)
    except yamlio.Unreadable as exc:
        yield finding(Code.HOLD_INVALID, path, exc.what, (exc.line, exc.column))
        return
    body = documents[0].data if len(documents) == 1 else None
    if not isinstance(body, Mapping):
        what = "expected {reason, by, until?, addresses?}"
        yield finding(Code.HOLD_INVALID, path, what)
        return
    for key, what in _hold_faults(path, file, body):
        at = documents[0].position((key,))
        yield finding(Code.HOLD_INVALID, path, what, at)


def _hold_faults(
    path: str, file: File, body: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for key in body:
        if key not in ("reason", "by", "until", "addresses"):
            yield key, f"unknown key {one_line(key, 60)!r}"
    for key in ("reason", "by"):
        if not isinstance(body.get(key), str) or not body[key]:
            yield key, f"{key} is needed: everybody reads it"
    if "until" in body and parse_hold(path, file.data).until is None:
        yield "until", "until is no date or time, such as 2026-12-24"
    if body.get("addresses", "frozen") != "frozen":
        yield "addresses", "addresses may only be frozen"

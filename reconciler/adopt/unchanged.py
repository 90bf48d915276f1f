"""Proof that an import changes nothing that is served: the same plan without and with it; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.model.plans import Op, Plan, Row
from reconciler.model.repository import BlobId, File, FileWrite
from reconciler.plan import Inputs, Rendering, plan

_CHANGES = (Op.UPDATE, Op.DELETE, Op.RELEASE, Op.REJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`digest` is of all files below manifests/, which an import never touches.

    `different` are the changes that only one of the two plans makes, `settled` are exposures
    that would get other ports than without the import: those that were adopted for them.
    """

    digest: str
    different: tuple[str, ...]
    settled: tuple[str, ...]


def compare(
    inputs: Inputs, writes: Sequence[FileWrite], rendering: Rendering
) -> Comparison:
    """Plan twice on the same observations. Raises as `plan`."""
    files = dict(inputs.head.files)
    before = plan(inputs, rendering)
    for write in writes:
        if write.data is not None:
            files[write.path] = File(blob=_blob(write.data), data=write.data)
    head = replace(inputs.head, files=files)
    after = plan(replace(inputs, head=head), rendering)
    return Comparison(
        digest=_digest(files),
        different=tuple(sorted(_changes(before) ^ _changes(after))),
        settled=tuple(sorted(_creates(after) - _creates(before))),
    )


def _changes(made: Plan) -> set[str]:
    return {_text(row) for row in made.rows if row.op in _CHANGES}


def _creates(made: Plan) -> set[str]:
    return {_text(row) for row in made.rows if row.op is Op.CREATE}


def _text(row: Row) -> str:
    unit = "/".join(each for each in (row.cluster, row.namespace, row.name) if each)
    route = f" {row.route}" if row.route else ""
    where = f" {row.host}:{row.port}" if row.port is not None else ""
    return f"{row.op} {unit}{route}{where}"


def _digest(files: Mapping[str, File]) -> str:
    digest = hashlib.sha256()
    for path in sorted(each for each in files if each.startswith("manifests/")):
        digest.update(f"{path} {files[path].blob}\n".encode())
    return digest.hexdigest()[:12]


def _blob(data: bytes) -> BlobId:
    return BlobId(hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())

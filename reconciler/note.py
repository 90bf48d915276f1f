"""The note of a pass that left nothing to do: what it saw, and what it said; pure.

A later pass that finds the same says the same without planning. Nothing is ever written because
of a note: it knows no change, only that there is none. Bytes that are no note of this very
program, or that are damaged, read as no note.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.codes import Code
from reconciler.model.plans import Op, Plan, Row
from reconciler.model.repository import CommitId

FORMAT = 1
LONGEST = timedelta(
    hours=1
)  # then a pass looks at everything again, whatever we forgot
MAX_BYTES = 32 << 20
_MARK = 64  # hexadecimal digits of the check sum, before the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the pass stood on. Another value in any field, and its note says nothing.

    `program` is a digest of our own text, `place` the URL, branch and folder of the repository,
    `work` the folder that relative paths start from.
    """

    program: str
    place: tuple[str, str, str]
    work: str
    head: CommitId


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A pass without any change, and all that it printed.

    `roots` are the directories as settings name them, each with the fingerprints of all of its
    folders, sorted. `written` is for which `--write-back` this holds: empty for any. `told` are
    the lines on stderr.
    """

    ground: Ground
    at: datetime
    roots: tuple[tuple[str, tuple[str, ...]], ...]
    written: str
    told: tuple[str, ...]
    digest: str
    rows: tuple[Row, ...]

    @property
    def plan(self) -> Plan:
        """The plan as it was printed."""
        return Plan(
            base=self.ground.head,
            digest=self.digest,
            rows=self.rows,
            drafts=(),
            states=(),
            withheld="",
            exits=(),
        )

    def holds(self, ground: Ground, now: datetime) -> bool:
        """Whether it was made on this ground, and not too long ago."""
        return self.ground == ground and timedelta(0) <= now - self.at < LONGEST


def pack(note: Note) -> bytes:
    """The bytes of a note, with their check sum in front."""
    body = asdict(note)
    body["at"] = note.at.isoformat()
    text = json.dumps({"format": FORMAT, **body}).encode()
    return _sum(text) + text


def unpack(data: bytes) -> Note | None:
    """The note in these bytes, `None` where there is none to be believed."""
    mark, text = data[:_MARK], data[_MARK:]
    if _sum(text) != mark:
        return None
    try:
        return _note(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _sum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_MARK // 2).hexdigest().encode()


def _note(body: dict[str, Any]) -> Note:
    if body.pop("format") != FORMAT:
        raise ValueError("another format")
    ground = body["ground"]
    url, branch, folder = ground["place"]
    roots = ((str(root), tuple(map(str, each))) for root, each in body["roots"])
    return Note(
        ground=Ground(**{**ground, "place": (url, branch, folder)}),
        at=datetime.fromisoformat(body["at"]).astimezone(UTC),
        roots=tuple(roots),
        written=str(body["written"]),
        told=tuple(map(str, body["told"])),
        digest=str(body["digest"]),
        rows=tuple(map(_row, body["rows"])),
    )


def _row(row: dict[str, Any]) -> Row:
    if (op := Op(row["op"])) not in (Op.HOLD, Op.REJECT):
        raise ValueError("a note speaks of no change")
    return Row(**{**row, "op": op, "code": Code(row["code"])})

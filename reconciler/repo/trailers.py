"""Trailers of our commits: what proves that a commit is ours; pure.

The digest covers the whole diff of a commit, sorted `<path> <old blob> <new blob>` lines, and
nothing that a squash or a rebase changes. Without a signature it is a guard against accidents,
not against people: whoever may push can compute it. The same change made again on the same old
content (a replayed commit) matches too; its effect is then the one that we had.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.repository import CommitDraft, FileChange

DIGEST = "Wharfinger-Digest"
RENDERER = "Wharfinger-Renderer"
PLAN = "Wharfinger-Plan"
RELEASED = "Wharfinger-Released"
SIGNATURE = "Wharfinger-Signature"

_LINE = re.compile(r"(Wharfinger-[A-Za-z]+): (\S(?:.*\S)?)\Z")
_DIGEST_VALUE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_UNSAFE = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailers:
    """The trailers of one message; empty strings where one is absent."""

    digest: str
    renderer: int
    signature: str
    released: tuple[str, ...]


def diff_digest(changes: Iterable[FileChange]) -> str:
    """`sha256:<hex>` over the sorted lines of a diff; paths from the repository's root."""
    lines = sorted(
        f"{each.path} {each.old or '-'} {each.new or '-'}\n" for each in changes
    )
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def parse_trailers(message: str) -> Trailers | None:
    """The trailers of the last paragraph, `None` unless they are exactly as we write them."""
    lines = message.rstrip("\n").split("\n")
    last = lines[
        max((i for i, line in enumerate(lines) if not line.strip()), default=-1) + 1 :
    ]
    found: dict[str, list[str]] = {}
    for line in last:
        match = _LINE.match(line)
        if match is not None:
            found.setdefault(match[1], []).append(match[2])
    single = (DIGEST, RENDERER, PLAN, SIGNATURE)
    if DIGEST not in found or any(len(found.get(key, [])) > 1 for key in single):
        return None
    renderer = found.get(RENDERER, [""])[0]
    if not _DIGEST_VALUE.match(found[DIGEST][0]) or not renderer.isdecimal():
        return None
    return Trailers(
        digest=found[DIGEST][0],
        renderer=int(renderer[:9]),
        signature=found.get(SIGNATURE, [""])[0],
        released=tuple(found.get(RELEASED, [])),
    )


def format_message(
    draft: CommitDraft, digest: str, extra: Sequence[tuple[str, str]]
) -> str:
    """Subject, body and trailers of one commit; nothing in it can start a trailer of its own."""
    body = "\n".join(_plain(line) for line in draft.body.split("\n") if line.strip())
    trailers = [(DIGEST, digest), *extra]
    trailers += [(RELEASED, _plain(unit)) for unit in draft.released]
    parts = [_plain(draft.subject) or "Update", body]
    parts.append("\n".join(f"{key}: {value}" for key, value in trailers))
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: str) -> str:
    """One line of printable ASCII that is no trailer."""
    line = _UNSAFE.sub(" ", text).strip()[:500]
    return line.replace("Wharfinger-", "wharfinger-")

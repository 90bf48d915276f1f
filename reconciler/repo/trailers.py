"""Trailers of our commits: what proves that a commit is ours; pure.

The digest covers the whole diff of a commit to its first parent, as sorted lines
`<path> <old blob or -> <new blob or ->`, and nothing that a squash or a rebase changes. So the
parent is not in it, and one replay remains: the very same change, made again on the very same
old content of the same paths (a cherry-pick after a revert), is attributed to us although
somebody else repeated it. Its effect is one that we once decided on. Without a signature the
digest guards against accidents, not against people: whoever may push can compute it.
A signature covers every other trailer of ours, so none of them can be exchanged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.repository import CommitDraft

DIGEST = "Wharfinger-Digest"
RENDERER = "Wharfinger-Renderer"
PLAN = "Wharfinger-Plan"
RELEASED = "Wharfinger-Released"
SIGNATURE = "Wharfinger-Signature"
ACCEPTED_REWIND = (
    "Wharfinger-Accepted-Rewind"  # a person's word, on a commit of their own
)
ABSENT = "-"

_OURS = re.compile(r"(Wharfinger-[A-Za-z]{1,40}): (\S(?:.*\S)?)\Z")
# What forges and people append to a message: it does not touch what is ours, since the digest
# must be that of the whole diff whatever the message says. A cherry-pick that says so (`-x`)
# is not among it.
_THEIRS = re.compile(
    r"(?:[A-Z][A-Za-z-]{0,60}-(?:[Bb]y|on): .*"  # Signed-off-by, Co-authored-by, Reviewed-on
    r"|(?:Closes|Fixes|Refs|Related|Link|PR-URL|Change-Id|Changelog|Part-of|Issue): .*"
    r"|(?:Closes|Fixes|Refs) [#!]?[0-9A-Za-z/#!_.-]+"
    r"|See merge request \S+|Related work items: .*"
    r"|\* .*"  # the list of subjects in a squash of several
    r"|-{3,}|```[a-z]*|<!--|-->)\Z"  # rules, and what fences our block in a request's body
)
_MARK = re.compile(rf"^[ \t]*{DIGEST}[ \t]*:", re.MULTILINE | re.IGNORECASE)
_DIGEST_VALUE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ACCEPTED = re.compile(rf"^{ACCEPTED_REWIND}: ([0-9a-f]{{40}})\r?$", re.MULTILINE)
_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_LONGEST = 1 << 20
_UNSAFE = re.compile(r"[^\x20-\x7e]+")

DiffLine = tuple[bytes, str, str]
"""Path from the repository's root, old and new object id (`-` where absent)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailers:
    """The trailers of one message; empty where one is absent. `signed` is what is signed."""

    digest: str
    renderer: int
    plan: str
    signature: str
    released: tuple[str, ...]
    signed: bytes


def diff_digest(lines: Iterable[DiffLine]) -> str:
    """`sha256:<hex>` over the sorted lines of a diff."""
    texts = sorted(
        b"%s %s %s\n" % (path, old.encode(), new.encode()) for path, old, new in lines
    )
    return "sha256:" + hashlib.sha256(b"".join(texts)).hexdigest()


def parse_trailers(message: str) -> Trailers | None:
    """The trailers of the last paragraph, `None` unless they are exactly as we write them.

    Paragraphs of `Signed-off-by:` and the like may follow; a squash adds them.
    """
    if len(message) > _LONGEST or len(_MARK.findall(message)) != 1:
        return None
    block = _last_block(message)
    found: dict[str, list[str]] = {}
    for line in block:
        match = _OURS.match(line)
        if match is None:
            if _THEIRS.match(line) is None:
                return None
            continue
        found.setdefault(match[1], []).append(match[2])
    return _checked(found, [line for line in block if _OURS.match(line)])


def _last_block(message: str) -> list[str]:
    """The last paragraph that is not only what others appended."""
    lines = message.replace("\r\n", "\n").rstrip("\n ").split("\n")
    block: list[str] = []
    for line in reversed(lines):
        if line.strip():
            block.append(line)
        elif any(_OURS.match(each) for each in block):
            break
        elif not all(_THEIRS.match(each) for each in block):
            return []
        else:
            block = []
    return block[::-1]


def _checked(found: dict[str, list[str]], lines: list[str]) -> Trailers | None:
    single = (DIGEST, RENDERER, PLAN, SIGNATURE)
    if any(len(found.get(key, [])) > 1 for key in single):
        return None
    digest, renderer, plan, signature = (found.get(key, [""])[0] for key in single)
    if not _DIGEST_VALUE.match(digest) or not _NUMBER.match(renderer):
        return None
    return Trailers(
        digest=digest,
        renderer=int(renderer),
        plan=plan,
        signature=signature,
        released=tuple(found.get(RELEASED, [])),
        signed=_signed(lines),
    )


def _signed(lines: Iterable[str]) -> bytes:
    """Every trailer of ours but the signature, in order, one a line."""
    kept = [line for line in lines if not line.startswith(f"{SIGNATURE}:")]
    return "".join(f"{line}\n" for line in kept).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A commit message without its signature: `signed` is the text to sign."""

    text: str
    signed: bytes

    def with_signature(self, signature: str) -> str:
        """The whole message; an empty signature adds nothing."""
        return f"{self.text}{SIGNATURE}: {signature}\n" if signature else self.text


def accepted_rewinds(messages: str) -> frozenset[str]:
    """Whole ids of the lost commits that lines of messages accept."""
    return frozenset(_ACCEPTED.findall(messages))


def compose(
    draft: CommitDraft, digest: str, extra: Sequence[tuple[str, str]]
) -> Message:
    """Subject, body and trailers of a commit; nothing in a draft can start a trailer."""
    body = "\n".join(_plain(line) for line in draft.body.strip().split("\n"))
    trailers = [(DIGEST, digest), *extra]
    trailers += [(RELEASED, _plain(unit)) for unit in draft.released if _plain(unit)]
    lines = [f"{key}: {value}" for key, value in trailers]
    parts = [_plain(draft.subject) or "Update", body, "\n".join(lines)]
    text = "\n\n".join(part for part in parts if part.strip()) + "\n"
    return Message(text=text, signed=_signed(lines))


def _plain(text: str) -> str:
    """One line of printable ASCII that does not look like our digest."""
    line = _UNSAFE.sub(" ", text).strip()[:500].rstrip()
    return f"> {line}" if _MARK.match(line) else line

"""`git log --raw -z` as values."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.repo.differences import RawChange
from reconciler.repo.trailers import ABSENT
from reconciler.repo.transport import BrokenClone


def split_log(output: bytes) -> Iterator[tuple[str, list[RawChange]]]:
    """`git log --raw -z --format=%H`: a commit id, then header and path by turns, NUL-ended."""
    words = iter(output.split(b"\0"))
    name, changes = "", list[RawChange]()
    for word in words:
        word = word.lstrip(b"\n")
        if not word:
            continue
        if not word.startswith(b":"):
            if name:
                yield name, changes
            name, changes = word.decode("ascii"), []
            continue
        path = next(words, None)
        header = word[1:].split(b" ")
        if path is None or len(header) != 5:
            raise BrokenClone("git log was cut")
        ids = (_id(header[2]), _id(header[3]))
        changes.append(RawChange(path, (header[0], header[1]), ids))
    if name:
        yield name, changes


def _id(text: bytes) -> str:
    return ABSENT if not text.strip(b"0") else text.decode("ascii")

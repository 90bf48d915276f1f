"""What differs between two trees, as git prints it, without running git (reads the clone).

Equal subtrees are never opened. Of two large trees that differ in a few entries, only what lies
between the first and the last difference is taken apart: a gateway has a file for each port in
one folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.repo.trailers import ABSENT

_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL)
TREE, NOTHING = b"40000", b"000000"
_MODES = {
    b"100644": b"100644",
    b"100755": b"100755",
    b"100664": b"100644",  # written by git long ago
    b"120000": b"120000",
    b"160000": b"160000",
}
_SMALL = 1 << 12  # bytes of trees that are taken apart as a whole

ReadTree = Callable[[str], bytes]
"""The content of a tree object by its id. Raises KeyError when it is not there."""

Entry = tuple[bytes, str]  # mode and id; of a folder as git writes it in trees


class Unusual(Exception):
    """A tree has an entry that this module does not understand; git may."""


@dataclass(frozen=True, slots=True)
class RawChange:
    """One path of a commit's diff as git prints it."""

    path: bytes
    modes: tuple[bytes, bytes]
    ids: tuple[str, str]


def differences(read: ReadTree, old: str, new: str) -> list[RawChange]:
    """Every file that differs between two trees, by path. An empty id is no tree.

    Raises Unusual, or what `read` raises.
    """
    found: list[RawChange] = []
    _compare(read, (old, new), b"", found)
    return sorted(found, key=lambda each: each.path)


def _compare(
    read: ReadTree, ids: tuple[str, str], prefix: bytes, found: list[RawChange]
) -> None:
    before, after = _two(*(read(each) if each else b"" for each in ids))
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        path = prefix + name
        trees = (_tree(one), _tree(other))
        if trees[0] != trees[1]:
            _compare(read, trees, path + b"/", found)
        modes = (_mode(one), _mode(other))
        if modes != (NOTHING, NOTHING):
            found.append(RawChange(path, modes, (_leaf(one), _leaf(other))))


def _two(old: bytes, new: bytes) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """Entries by name of two trees; of large ones without most of those that are equal."""
    if min(len(old), len(new)) > _SMALL:
        trimmed = _trimmed(old, new)
        if trimmed is not None:
            return entries(trimmed[0]), entries(trimmed[1])
    return entries(old), entries(new)


def _trimmed(old: bytes, new: bytes) -> tuple[bytes, bytes] | None:
    """Both without a common beginning and end of whole entries; `None` where it is unclear."""
    start = _boundary(old, 0, _common(old, new, 0))
    tail = _common(old[:start:-1], new[:start:-1], 0)
    end = _boundary(old, start, len(old) - tail, beyond=True)
    rest = len(old) - end
    middle = new[start : len(new) - rest]
    if old[end:] != new[len(new) - rest :] or _boundary(middle, 0, len(middle)) != len(
        middle
    ):
        return None
    return old[start:end], middle


def _common(one: bytes, other: bytes, start: int) -> int:
    """How many bytes are equal from the beginning."""
    low, high = start, min(len(one), len(other))
    while low < high:
        half = (low + high + 1) // 2
        if one[low:half] == other[low:half]:
            low = half
        else:
            high = half - 1
    return low


def _boundary(raw: bytes, at: int, limit: int, *, beyond: bool = False) -> int:
    """The last beginning of an entry up to `limit`, or the first one not before it.

    `at` is one; the end counts as one, too.
    """
    while at < limit:
        following = raw.find(b"\0", at) + 21
        if following < 21 + at or (following > limit and not beyond):
            break
        at = following
    return at


def entries(raw: bytes) -> dict[bytes, Entry]:
    """What is in a tree, by name. Raises Unusual."""
    found: dict[bytes, Entry] = {}
    at = 0
    for match in _ENTRY.finditer(raw):
        if match.start() != at:
            break
        at = match.end()
        mode, name, entry = match.groups()
        if mode != TREE:
            mode = _MODES.get(mode, b"")
        if not mode:
            raise Unusual(match[1].decode("ascii"))
        found[name] = (mode, entry.hex())
    if at != len(raw):
        raise Unusual("an entry is not as git writes it")
    return found


def _tree(entry: Entry | None) -> str:
    return entry[1] if entry is not None and entry[0] == TREE else ""


def _mode(entry: Entry | None) -> bytes:
    return NOTHING if entry is None or entry[0] == TREE else entry[0]


def _leaf(entry: Entry | None) -> str:
    return ABSENT if entry is None or entry[0] == TREE else entry[1]

"""Documentation pages whose blocks are real output: compared, or with UPDATE_DOCS=1 written (does I/O).

A block is a fence below a line `<!-- block: NAME -->`. What varies between runs is replaced in
what was seen before the two are compared, so that a page says the same thing on every machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(
    r"(?P<head><!-- block: (?P<name>[a-z-]+) -->\n(?P<fence>`{3,})[a-z]*\n)"
    r"(?P<text>.*?)\n(?P=fence)\n",
    re.DOTALL,
)
_TIME = re.compile(r"20\d\d-\d\d-\d\d(?:([T ])\d\d:\d\d(:\d\d(?:\.\d+)?Z)?)?")
_DIGEST = re.compile(
    r"\b[0-9a-f]{64}\b|(?<=wish )[0-9a-f]{8}\b|(?<=Plan )[0-9a-f]{12}\b"
)
_WORD = re.compile(r"\b[0-9a-f]{7,40}\b|\b[0-9a-f]{4,}(?=…)")


@dataclass(slots=True)
class Neutral:
    """Replaces what varies; the same thing gets the same stand-in everywhere.

    `fixed` are texts and what stands for them, `commits` the full ids that may appear.
    """

    fixed: list[tuple[str, str]] = field(default_factory=list)
    commits: frozenset[str] = frozenset()
    _stand_ins: dict[str, str] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        for varying, stand_in in self.fixed:
            whole = rf"(?<![0-9A-Za-z]){re.escape(varying)}(?![0-9A-Za-z])"
            text = re.sub(whole, stand_in, text)
        text = _TIME.sub(_time, text)
        text = _DIGEST.sub(lambda match: self._stand_in("digest", match[0]), text)
        return _WORD.sub(self._commit, text)

    def _commit(self, match: re.Match[str]) -> str:
        found = [each for each in self.commits if each.startswith(match[0])]
        if len(found) != 1:
            return match[0]
        return self._stand_in("commit", found[0])[: len(match[0])]

    def _stand_in(self, kind: str, real: str) -> str:
        """Numbered by first appearance; digests are shown whole or by their start."""
        number = self._stand_ins.setdefault(real[:8], str(len(self._stand_ins)))
        return sha256(f"{kind} {number}".encode()).hexdigest()[: len(real)]


def _time(match: re.Match[str]) -> str:
    """A time of the same shape."""
    clock = "" if match[1] is None else f"{match[1]}hh:mm"
    return f"YYYY-MM-DD{clock}" + (":ssZ" if match[2] else "")


@dataclass(slots=True)
class Page:
    """One page below docs/ and what its blocks must say."""

    name: str
    neutral: Neutral = field(default_factory=Neutral)
    seen: dict[str, str] = field(default_factory=dict)

    def show(self, block: str, *parts: str) -> None:
        """What a block of the page says: parts, with an empty line between them."""
        texts = (self.neutral(part).rstrip() for part in parts)
        text = "\n\n".join(each for each in texts if each)
        self.seen[block] = "\n".join(line.rstrip() for line in text.splitlines())

    def settle(self) -> None:
        """Hold the page to what was seen, or write it where UPDATE_DOCS is set."""
        path = DOCS / self.name
        page = path.read_text()
        said = {match["name"]: match["text"] for match in _BLOCK.finditer(page)}
        if os.environ.get("UPDATE_DOCS"):
            path.write_text(_BLOCK.sub(self._renewed, page))
        else:
            changed = "\n".join(_difference(said, self.seen))
            assert not changed, f"UPDATE_DOCS=1 writes the page anew:\n{changed}"
        assert set(said) == set(self.seen)

    def _renewed(self, match: re.Match[str]) -> str:
        text = self.seen.get(match["name"], match["text"])
        return f"{match['head']}{text}\n{match['fence']}\n"


def _difference(said: Mapping[str, str], seen: Mapping[str, str]) -> Iterator[str]:
    """Lines of a diff from what a page says to what was seen, block by block."""
    for name in sorted(said.keys() | seen.keys()):
        texts = (each.get(name, "").splitlines() for each in (said, seen))
        yield from unified_diff(*texts, f"page/{name}", f"seen/{name}", lineterm="")

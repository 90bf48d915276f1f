"""Reads and writes YAML, strictly and canonically; pure but for the parser library.

Reading: YAML 1.2 core schema, no aliases, no tags, no duplicate keys, bounded size and depth,
with the position of every value. Writing: one canonical spelling per value, which every YAML
1.1 and 1.2 parser reads back alike. Editing: ruamel.yaml, which keeps comments and order.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64

Path = tuple[str | int, ...]

_LOADER = getattr(yaml, "CLoader", yaml.Loader)
_INT = re.compile(r"[-+]?[0-9]{1,30}\Z")
_OCTAL_HEX = re.compile(r"0o[0-7]{1,30}\Z|0x[0-9a-fA-F]{1,30}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMERIC = frozenset("-+.0123456789")  # what a number begins with
_STRING_TAG = "tag:yaml.org,2002:str"


class Unreadable(ValueError):
    """Text that is no strict YAML; `line` and `column` count from 1."""

    def __init__(self, what: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {what}")
        self.what = what
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: plain data, and (line, column) from 1 of each value and key by path.

    The path of a key is the path of its value with the marker `"?"` appended. `repeated` are
    further keys of a mapping that has them already, with their positions; the first counts.
    """

    data: object
    positions: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    repeated: tuple[tuple[Path, tuple[int, int]], ...] = ()

    def position(self, path: Path) -> tuple[int, int]:
        """Position of the value at `path`, or of the nearest parent that exists."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, (1, 1))


def load_all(
    data: bytes, *, positions: bool = False, collect: bool = False
) -> tuple[Document, ...]:
    """All documents of a YAML stream; empty documents are left out. Raises Unreadable.

    `collect` lists duplicate keys in `repeated` instead of raising at the first.
    """
    text = _decode(data)
    try:
        return tuple(_documents(_Builder(text, positions, collect)))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Unreadable(exc.problem or "not YAML", line, column) from exc
    except (yaml.YAMLError, UnicodeError) as exc:
        raise Unreadable(str(exc).splitlines()[0][:200]) from exc


def load(data: bytes) -> object:
    """The one document of a YAML text; `None` for none. Raises Unreadable for several."""
    documents = load_all(data)
    if len(documents) > 1:
        raise Unreadable("one document was expected, here are several")
    return documents[0].data if documents else None


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable(f"more than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise Unreadable("not UTF-8", line) from exc


def _documents(builder: _Builder) -> Iterator[Document]:
    for event in builder.events:
        if isinstance(event, yaml.DocumentStartEvent):
            value = builder.node(next(builder.events), (), 0)
            if value is not None:
                yield Document(
                    data=value,
                    positions=builder.take_positions(),
                    repeated=builder.take_repeated(),
                )


class _Builder:
    """Builds plain data from parser events; keeps positions when asked to."""

    def __init__(self, text: str, positions: bool, collect: bool) -> None:
        self.events = iter(yaml.parse(text, Loader=_LOADER))
        self._keep = positions
        self._collect = collect
        self._named = positions or collect  # else nobody asks where a value is
        self._positions: dict[Path, tuple[int, int]] = {}
        self._repeated: list[tuple[Path, tuple[int, int]]] = []

    def take_repeated(self) -> tuple[tuple[Path, tuple[int, int]], ...]:
        taken, self._repeated = tuple(self._repeated), []
        return taken

    def take_positions(self) -> dict[Path, tuple[int, int]]:
        taken, self._positions = self._positions, {}
        return taken

    def node(self, event: Any, path: Path, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise _at(event, f"nested more than {MAX_DEPTH} deep")
        if event.anchor:  # of an alias, too
            raise _at(event, "anchors and aliases are not allowed")
        if self._keep:
            self._positions[path] = _position(event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            _refuse_tag(event)
            return self._sequence(path, depth)
        _refuse_tag(event)
        return self._mapping(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            inner = (*path, len(items)) if self._named else path
            items.append(self.node(event, inner, depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, object]:
        items: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in items:
                self._repeat((*path, key), event)
                self.node(next(self.events), (*path, key, "?", "?"), depth + 1)
                continue
            if self._keep:
                self._positions[(*path, key, "?")] = _position(event)
            inner = (*path, key) if self._named else path
            items[key] = self.node(next(self.events), inner, depth + 1)
        return items

    def _repeat(self, path: Path, event: Any) -> None:
        if not self._collect:
            raise _at(event, f"the key {path[-1]!r} is there twice")
        self._repeated.append((path, _position(event)))

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor:
            raise _at(event, "a key must be plain text")
        if event.value == "<<" and event.implicit[0]:
            raise _at(event, "merge keys are not allowed")
        return str(event.value)


def _scalar(event: Any) -> object:
    if event.tag == _STRING_TAG or event.tag == "!":
        return event.value
    _refuse_tag(event)
    if not event.implicit[0]:  # quoted or a block
        return event.value
    return _plain(event.value)


def _plain(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INT.match(text):
        return int(text)
    if _OCTAL_HEX.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return text


def _refuse_tag(event: Any) -> None:
    if event.tag is not None:
        raise _at(event, f"tags are not allowed ({event.tag[:60]})")


def _position(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _at(event: Any, what: str) -> Unreadable:
    return Unreadable(what, *_position(event))


_SAFE = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*\Z")
# What some YAML 1.1 or 1.2 parser takes for something else than text.
_MAGIC = frozenset(
    [
        "y",
        "n",
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
        "nan",
        "inf",
        "infinity",
    ]
)


# Beyond four hex digits JSON writes two surrogates, which no YAML parser joins.
_WIDE = re.compile(r"[\U00010000-\U0010ffff]")
_NARROW = re.compile(r"[^\U00010000-\U0010ffff]+")


def _quoted(text: str) -> str:
    """A JSON string with wide characters as they are; DEL is printable in JSON alone."""
    inner = _NARROW.sub(lambda part: json.dumps(part[0])[1:-1], text)
    return f'"{inner}"'.replace("\x7f", "\\x7f")


class Fixed(dict[str, object]):
    """A mapping that is the same in very many documents: spelled once for each indentation.

    Nobody may change it after it was written for the first time.
    """

    __slots__ = ("_spelled",)

    def __init__(self, value: Mapping[str, object]) -> None:
        super().__init__(value)
        self._spelled: dict[int, str] = {}

    def spelled(self, indent: int) -> str:
        """Its lines at this indentation, as `dump` writes them."""
        text = self._spelled.get(indent)
        if text is None:
            lines: list[str] = []
            _emit(self, indent, lines, "")
            text = self._spelled[indent] = "\n".join(lines)
        return text


def dump(value: object) -> str:
    """One document in the canonical spelling, block style, keys in the order given."""
    lines: list[str] = []
    _emit(value, 0, lines, "")
    return "\n".join(lines) + "\n"


def dump_all(values: Sequence[object]) -> str:
    """Several documents, separated by `---`."""
    return "---\n".join(dump(value) for value in values)


def _emit(value: object, indent: int, lines: list[str], lead: str) -> None:
    """Lines of a value; `lead` begins the first of them in place of the indentation."""
    pad = " " * indent
    start = lead or pad
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if isinstance(item, str):  # nearly all of them
                lines.append(f"{start}{_text(str(key))}: {_text(item)}")
            else:
                _emit_entry(f"{start}{_text(str(key))}:", item, indent, lines)
            start = pad
    elif isinstance(value, (list, tuple)) and value:
        for item in value:
            if isinstance(item, (dict, list, tuple)) and item:
                _emit(item, indent + 2, lines, f"{start}- ")
            else:
                lines.append(f"{start}- {scalar(item)}")
            start = pad
    elif isinstance(value, Mapping) and value:
        _emit(dict(value), indent, lines, lead)
    else:
        lines.append(start + scalar(value))


def _emit_entry(key: str, item: object, indent: int, lines: list[str]) -> None:
    if isinstance(item, Fixed) and item:
        lines.append(key)
        lines.append(item.spelled(indent + 2))
    elif isinstance(item, (dict, list, tuple, Mapping)) and item:
        lines.append(key)
        _emit(item, indent + 2, lines, "")
    else:
        lines.append(f"{key} {scalar(item)}")


def scalar(value: object) -> str:
    """A scalar (or an empty collection) in one line; text is quoted unless plainly safe."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    raise TypeError(f"{type(value).__name__} has no canonical spelling")


# Keys and fixed values come again with every object; texts of tenants pass through.
@lru_cache(maxsize=1 << 12)
def _text(value: str) -> str:
    if _SAFE.match(value) and value.lower() not in _MAGIC:
        return value
    return _WIDE.sub(lambda wide: f"\\U{ord(wide[0]):08x}", _quoted(value))


# Where documents begin and end: such a line is never part of a value.
_MARKER = re.compile(
    r"^((?:---|\.\.\.)(?:[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)|(?=[ \t])))", re.MULTILINE
)


def pieces(data: bytes) -> list[tuple[int, str]]:
    """A stream cut into (number of the document as `load_all` counts, text); -1 between them.

    The texts joined are the stream, so that one document can be edited and no other changes.
    """
    found: list[tuple[int, str]] = []
    number = 0
    for index, piece in enumerate(_MARKER.split(_decode(data))):
        if index % 2 == 0 and load_all(piece.encode()):
            found.append((number, piece))
            number += 1
        else:
            found.append((-1, piece))
    return found


# A key whose value is a list on the next line, and the first dash of that list.
_INDENTED = re.compile(r"^( *)[^\s#-][^#\n]*:[ ]*(?:#.*)?\r?\n( *)- ", re.MULTILINE)


def edit(data: bytes) -> list[Any]:
    """Documents for in-place editing, comments and order kept. Raises Unreadable."""
    # Loaded here: only write-back and people's commands edit.
    from ruamel.yaml.error import YAMLError

    try:
        return list(_round_trip().load_all(_decode(data)))
    except YAMLError as exc:
        raise Unreadable(str(exc).splitlines()[0][:200]) from exc


def edited(documents: Sequence[Any], like: bytes = b"") -> bytes:
    """The bytes of documents from `edit`, indented as the text `like` is."""
    out = io.StringIO()
    parser = _round_trip()
    dash = _INDENTED.search(like.decode("utf-8", "replace"))
    if dash is not None and len(dash[2]) > len(dash[1]):
        offset = len(dash[2]) - len(dash[1])
        parser.indent(mapping=2, sequence=offset + 2, offset=offset)
    parser.dump_all(documents, out)
    return out.getvalue().encode()


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    parser = YAML(typ="rt")
    parser.preserve_quotes = True
    parser.width = 1 << 16
    return parser

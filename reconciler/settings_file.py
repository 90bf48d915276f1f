"""Reads `wharfinger.yaml`: all faults at once, each at its line and column; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from reconciler import yamlio
from reconciler.contradictions import contradictions
from reconciler.errors import InvalidSettings
from reconciler.faults import Fault, describe, telling
from reconciler.settings import Settings

# How the contract writes the defaults that pydantic would write as ISO 8601.
_DEFAULTS = {"grace": "60s", "quarantine": "24h", "drain": "10m"}


def parse(data: bytes, file: str = "wharfinger.yaml") -> Settings:
    """Settings from the bytes of a file. Raises InvalidSettings with every fault."""
    document = _document(data, file)
    found = list(_repeated(document))
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as exc:
        schema = json_schema()
        errors = telling([dict(error) for error in exc.errors()])
        found += [describe(error, document, schema) for error in errors]
    found += [
        Fault(at=document.position(path), path=path, what=what)
        for path, what in contradictions(document.data)
    ]
    if found or settings is None:
        lines = [fault.line(file) for fault in sorted(set(found), key=Fault.order)]
        raise InvalidSettings(tuple(lines))
    return settings


def _document(data: bytes, file: str) -> yamlio.Document:
    try:
        documents = yamlio.load_all(data, positions=True, collect=True)
    except yamlio.Unreadable as exc:
        fault = Fault(at=(exc.line, exc.column), path=(), what=exc.what)
        raise InvalidSettings((fault.line(file),)) from exc
    if len(documents) != 1:
        fault = Fault(at=(1, 1), path=(), what="expected one YAML document")
        raise InvalidSettings((fault.line(file),))
    return documents[0]


def _repeated(document: yamlio.Document) -> Iterator[Fault]:
    for path, at in document.repeated:
        first = document.position((*path, "?"))[0]
        what = f"the key is there twice, expected it once (first in line {first})"
        yield Fault(at=at, path=path, what=what)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `wharfinger.yaml`, for editors and `wharfinger schema`."""
    schema = Settings.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wharfinger.yaml",
        **{key: _plain(value) for key, value in schema.items() if key != "title"},
    }


def _plain(schema: Any) -> Any:
    """A schema without the titles that pydantic makes up, and defaults as people write them."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "properties" in schema:
        named = {
            key: _property(key, each) for key, each in schema["properties"].items()
        }
        schema = {**schema, "properties": named}
        return {
            key: value if key == "properties" else _plain(value)
            for key, value in schema.items()
            if key != "title"
        }
    return {key: _plain(value) for key, value in schema.items() if key != "title"}


def _property(name: str, schema: Any) -> Any:
    plain: dict[str, Any] = _plain(schema)
    if plain.get("default", ...) is None:
        del plain["default"]
    if name in _DEFAULTS:
        plain["default"] = _DEFAULTS[name]
    elif isinstance(plain.get("default"), Mapping):
        del plain["default"]  # its keys say their own defaults
    return plain

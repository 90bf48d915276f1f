"""Reads `wharfinger.yaml`: all faults at once, each at its line and column; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from reconciler import yamlio
from reconciler.errors import InvalidSettings
from reconciler.faults import describe
from reconciler.names import is_dns_name
from reconciler.settings import Gateway, Settings


def parse(data: bytes, file: str = "wharfinger.yaml") -> Settings:
    """Settings from the bytes of a file. Raises InvalidSettings with every fault."""
    try:
        documents = yamlio.load_all(data, positions=True)
    except yamlio.Unreadable as exc:
        raise InvalidSettings(
            (f"{file}:{exc.line}:{exc.column} (the file): {exc.what}",)
        ) from exc
    if len(documents) != 1:
        raise InvalidSettings((f"{file}:1:1 (the file): expected one YAML document",))
    document = documents[0]
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as exc:
        keys = sorted(_keys(json_schema()))
        errors = _telling([dict(error) for error in exc.errors()])
        faults = [describe(error, document, file, keys) for error in errors]
        raise InvalidSettings(tuple(dict.fromkeys(faults))) from exc
    faults = [
        "{}:{}:{} {}: {}".format(file, *document.position(path), shown_path(path), what)
        for path, what in contradictions(settings)
    ]
    if faults:
        raise InvalidSettings(tuple(faults))
    return settings


def _telling(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without errors that only follow from others: a list that lost its faulty items, ..."""

    def follows(error: dict[str, Any]) -> bool:
        loc = error["loc"] if error["type"] == "too_short" else error["loc"][:-1]
        return any(
            other is not error and other["loc"][: len(loc)] == loc for other in errors
        )

    echoes = ("too_short", "literal_error")
    return [each for each in errors if each["type"] not in echoes or not follows(each)]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `wharfinger.yaml`, for editors and `wharfinger schema`."""
    schema = Settings.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wharfinger.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _keys(schema: object) -> set[str]:
    """All keys that any part of a schema knows."""
    if isinstance(schema, list):
        return {key for item in schema for key in _keys(item)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema.get("properties", {}))
    return own | {key for item in schema.values() for key in _keys(item)}


Path = tuple[str | int, ...]


def contradictions(settings: Settings) -> Iterator[tuple[Path, str]]:
    """What fits the schema and still cannot be meant, with the path of the value."""
    yield from _twice("gateways", [each.name for each in settings.gateways])
    yield from _twice("inventories", [each.name for each in settings.inventories])
    names = {each.name for each in settings.gateways}
    for index, gateway in enumerate(settings.gateways):
        yield from _ports(("gateways", index, "ports"), gateway)
    for index, tenant in enumerate(settings.tenants):
        for place, name in enumerate(tenant.gateways):
            if name not in names:
                yield (
                    ("tenants", index, "gateways", place),
                    f"there is no gateway {name}",
                )
    if settings.apis.gateway is not None and settings.apis.gateway not in names:
        yield ("apis", "gateway"), f"there is no gateway {settings.apis.gateway}"
    host = settings.apis.hostname
    if host.count("{cluster}") != 1 or not is_dns_name(settings.api_host("a")):
        yield ("apis", "hostname"), "expected a DNS name with {cluster} once in it"


def _twice(what: str, names: list[str]) -> Iterator[tuple[Path, str]]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (what, index, "name"), f"the name {name} is there twice"


def _ports(path: Path, gateway: Gateway) -> Iterator[tuple[Path, str]]:
    ports = gateway.ports
    size = sum(map(len, ports.range))
    if ports.max is not None and ports.max > size:
        yield (*path, "max"), f"the range has only {size} ports"
    for each in ports.static:
        if not any(each.first in r and each.last in r for r in ports.range):
            yield (*path, "static"), f"{each} is not inside of the range"


def shown_path(path: Path) -> str:
    """`gateways[0].ports.max`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

"""Logs: JSON lines on stderr where a program reads them, short lines where a person does (I/O)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import structlog

from reconciler.printable import one_line, without_secrets

log: Any = structlog.get_logger()

_LONGEST = 2000
# A value under such a key is never shown, whoever logs it.
_SECRET_KEYS = ("authorization", "cookie", "password", "secret", "token")


def configure(
    *, verbose: bool = False, json_lines: bool | None = None, quiet: bool = False
) -> None:
    """Send logs to stderr; `json_lines` `None` means JSON unless stderr is a terminal."""
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            40 if quiet else 10 if verbose else 20
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def harmless(_logger: object, _method: str, event: Any) -> Any:
    """A processor: one line a value, no control characters, no secrets."""
    return {one_line(str(key)): _shown(str(key), event[key]) for key in event}


def _shown(key: str, value: object) -> object:
    if any(word in key.lower() for word in _SECRET_KEYS):
        return "***"
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {one_line(str(k)): _shown(str(k), value[k]) for k in value}
        case list() | tuple():
            return [_shown(key, each) for each in value]
    return one_line(without_secrets(str(value)), _LONGEST)

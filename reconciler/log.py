"""Logs: JSON lines on stderr where a program reads them, short lines where a person does (I/O)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from reconciler.printable import one_line, without_secrets

_LONGEST = 2000
# A value under such a key is never shown, whoever logs it.
_SECRET_KEYS = ("authorization", "cookie", "password", "secret", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """How logs shall look, until the first one is written."""

    level: int
    as_json: bool
    stream: TextIO


class _Log:
    """structlog's logger, loaded with the first line: a pass without a word is quicker."""

    def __init__(self) -> None:
        self.wanted: _Wanted | None = None
        self._logger: Any = None

    def __getattr__(self, name: str) -> Any:
        import structlog

        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            _configure(wanted)
        self._logger = self._logger or structlog.get_logger()
        return getattr(self._logger, name)


log: Any = _Log()


def configure(
    *, verbose: bool = False, json_lines: bool | None = None, quiet: bool = False
) -> None:
    """Send logs to stderr; `json_lines` `None` means JSON unless stderr is a terminal."""
    log.wanted = _Wanted(
        level=40 if quiet else 10 if verbose else 20,
        as_json=not sys.stderr.isatty() if json_lines is None else json_lines,
        stream=sys.stderr,
    )


def _configure(wanted: _Wanted) -> None:
    import structlog

    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if wanted.as_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(wanted.level),
        logger_factory=structlog.PrintLoggerFactory(wanted.stream),
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

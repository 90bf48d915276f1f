"""Logs: JSON lines on stderr where a program reads them, short lines where a person does (I/O)."""

from __future__ import annotations

import sys
from typing import Any

import structlog

log: Any = structlog.get_logger()


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            40 if quiet else 10 if verbose else 20
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

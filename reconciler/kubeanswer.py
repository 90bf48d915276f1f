"""What an API server answered: its status, its body within limits, its object (reads a connection)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from reconciler import jsonio
from reconciler.kubeerrors import KubeError, TooLarge, status_failure
from reconciler.model.clusters import Why

Json = Mapping[str, Any]

_REASON = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")
_ERROR_BYTES = 64 * 1024


def object_in(data: bytes, where: str) -> Json:
    """The object that an answer is. Raises KubeError."""
    try:
        value = jsonio.loads(data)
    except jsonio.InvalidJson as exc:
        what = f"the answer is no valid JSON ({exc})"
        raise KubeError(what, where, why=Why.UNREADABLE) from None
    if not isinstance(value, dict) or value.get("kind") == "Status":
        what = "the answer is no object of the API"
        raise KubeError(what, where, why=Why.UNREADABLE)
    return value


def hang_up(answer: aiohttp.ClientResponse) -> None:
    """Give a whole answer's connection back, and end any other at once.

    A polite end of TLS waits for the server's own, which a dead or hostile one never sends.
    """
    connection = answer.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    answer.close()


async def check_head(answer: aiohttp.ClientResponse, where: str) -> None:
    """Raises KubeError, its kind by the status, for what is no success."""
    if answer.status not in (200, 201):
        try:
            reason = await _reason(answer)
        finally:
            hang_up(answer)
        raise status_failure(answer.status, reason, where)
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        hang_up(answer)
        what = "the answer is compressed although that was not asked for"
        raise KubeError(what, where, why=Why.UNREADABLE)


async def body_of(answer: aiohttp.ClientResponse, where: str, limit: int) -> bytes:
    """The whole body of an answer. Raises TooLarge."""
    data = bytearray()
    async for chunk in answer.content.iter_any():
        data += chunk
        if len(data) > limit:
            what = f"the answer has more than {limit} bytes"
            raise TooLarge(what, where, why=Why.INCOMPLETE)
    return bytes(data)


async def _reason(answer: aiohttp.ClientResponse) -> str:
    """The machine-readable reason of a Status, such as `Forbidden`; else nothing."""
    data = await answer.content.read(_ERROR_BYTES)
    try:
        value = jsonio.loads(data)
    except jsonio.InvalidJson:
        return ""
    reason = value.get("reason") if isinstance(value, dict) else None
    return reason if isinstance(reason, str) and _REASON.match(reason) else ""

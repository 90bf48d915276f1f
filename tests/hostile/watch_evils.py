"""What a hostile API server does with a watch; its lists are honest. No I/O."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import count

from reconciler.model.clusters import Why
from tests.hostile.cluster import STREAM, event, virtual_service
from tests.hostile.evils import CHUNKED, KIB, Evil, chunked
from tests.kubeserver import Answer, Handler, Request, raw, status

ENDLESS_LINE = "a line without an end"
FAILURE = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}


def flooding(lines: Callable[[int], bytes]) -> Handler:
    """Lines without an end, as fast as they are taken."""

    def serve(_: Request) -> Answer:
        async def script(writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM)
            for part in _parts(lines):
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
                await asyncio.sleep(0)

        return Answer(script=script)

    return serve


def _parts(lines: Callable[[int], bytes]) -> Iterator[bytes]:
    for first in count(1_000, 32):
        yield b"".join(map(lines, range(first, first + 32)))


def said(line: bytes) -> Handler:
    """One line, and then the watch stays open."""
    return lambda _: chunked(line, b"\n", forever=True, pause=0.5)


def _changed(number: int) -> bytes:
    found = virtual_service("db-0")
    found["metadata"] |= {"resourceVersion": str(number), "generation": number}
    found["spec"]["hosts"] = [f"x{number}"]
    return event("MODIFIED", found)


def _new(number: int) -> bytes:
    found = virtual_service(f"x{number}")
    found["metadata"]["resourceVersion"] = str(number)
    found["spec"]["filler"] = "x" * 4 * KIB
    return event("ADDED", found)


def _bookmark(number: int) -> bytes:
    return event("BOOKMARK", {"kind": "X", "metadata": {"resourceVersion": str(number)}})  # fmt: skip


def _odd(number: int) -> bytes:
    found = virtual_service("../../etc/passwd")
    found["metadata"] |= {"namespace": "..", "resourceVersion": str(number)}
    return event("ADDED", {**found, "kind": "Secret"})


def _tiny(_: Request) -> Answer:
    part = b"".join(b"1\r\n%c\r\n" % each for each in _changed(1) * 4)

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(part)
            await writer.drain()

    return Answer(script=script)


def watch_evils(canary: int) -> dict[str, Evil]:
    """All behaviours; `canary` is a port that nobody may call."""
    moved = {"Location": f"https://127.0.0.1:{canary}/apis/x?watch=true"}
    late = {"Retry-After": "1000000000"}
    bad, cut, away = Why.UNREADABLE, Why.INCOMPLETE, Why.UNREACHABLE

    def evil(does: str, answer: Handler, why: Why | None) -> Evil:
        # No watch is given up at once: it is tried again until the cluster's deadline.
        much = does == ENDLESS_LINE
        return Evil(does=does, answer=answer, why=why, watches=True, waits=True, much=much)  # fmt: skip

    return {
        "watch-garbage": evil("lines that are no JSON", said(b"<html>\n"), bad),
        "watch-deep-json": evil("a line that is nested 50,000 deep", said(b"[" * 50_000 + b"\n"), bad),
        "watch-not-a-number": evil("NaN in an event", said(b'{"type":"ADDED","object":{"a":NaN}}\n'), bad),
        "watch-invalid-utf8": evil("bytes that are no UTF-8", said(b'{"type":"\xff"}\n'), bad),
        "watch-values": evil("a line of a million empty lists", said(b'{"type":"ADDED","object":{"a":[' + b"[]," * 1_000_000 + b"[]]}}\n"), bad),
        "watch-endless-line": evil(ENDLESS_LINE, lambda _: chunked(b"{", b" " * 16 * KIB, forever=True), bad),
        "watch-slow-line": evil("a line of one byte every half second", lambda _: chunked(b"{", b" ", forever=True, pause=0.5), Why.TIMEOUT),
        "watch-silent": evil("a watch that says nothing", lambda _: raw(CHUNKED, b"", pause=3600), None),
        "watch-unanswered": evil("no answer to a watch", lambda _: raw(b"", pause=3600), Why.TIMEOUT),
        "watch-flood": evil("one object that changes without rest", flooding(_changed), None),
        "watch-flood-new": evil("new objects without an end", flooding(_new), None),
        "watch-flood-odd": evil("names with path characters without rest", flooding(_odd), None),
        "watch-bookmarks": evil("bookmarks without rest", flooding(_bookmark), None),
        "watch-tiny-chunks": evil("events in chunks of one byte", _tiny, None),
        "watch-gone": evil("410 at each watch", lambda _: status(410, "Expired"), cut),
        "watch-error": evil("an ERROR of 410 in each watch", said(event("ERROR", FAILURE)), cut),
        "watch-ends": evil("watches that end at once", lambda _: chunked(), away),
        "watch-reset": evil("a watch that is cut in an event", lambda _: raw(CHUNKED + b"ff\r\n" + json.dumps(FAILURE).encode()), cut),
        "watch-redirect": evil("a redirect of a watch", lambda _: Answer(status=307, headers=moved), bad),
        "watch-retry-after": evil("429 with Retry-After of 30 years", lambda _: Answer(status=429, headers=late), away),
        "watch-compressed": evil("a watch that is compressed", lambda _: Answer(headers={"Content-Encoding": "gzip"}), bad),
        "watch-informational": evil("100 Continue instead of a watch, again and again", lambda _: raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 500, forever=True), Why.TIMEOUT),
    }  # fmt: skip

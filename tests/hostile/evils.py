"""What a hostile API server does, each behaviour with its name and what must follow; no I/O.

A behaviour takes the place of one answer of a cluster that is healthy otherwise.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass

from reconciler.model.clusters import Why
from tests.hostile.cluster import ISTIO, LISTS, SYSTEM, virtual_service
from tests.kubeserver import Answer, Handler, Request, ok, page, raw, status, thing

KIB, MIB = 1024, 1024 * 1024
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SERVICES = LISTS["virtualservices"]
START = b'{"kind":"List","metadata":{"resourceVersion":"7"},"items":['
_BOMB = gzip.compress(bytes(50 * MIB), 9)
HOSTILE_UID = "uid-hostile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evil:
    """One behaviour: its answer at `path`, and why the cluster is unknown, `None`: it is known.

    `waits` says that the server makes us wait for a deadline, `harms` is the id of a
    neighbour that is unknown with it. With `watches` lists are honest and a watch is not. With `much` so
    much comes that the deadline may be there first.
    """

    does: str
    answer: Handler
    why: Why | None
    path: str = SERVICES
    waits: bool = False
    harms: str = ""
    watches: bool = False
    much: bool = False


def chunked(*parts: bytes, forever: bool = False, pause: float = 0.0) -> Answer:
    """A chunked body, the last part again and again when `forever`."""
    encoded = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for part in encoded:
            writer.write(part)
            await writer.drain()
        while forever:
            writer.write(encoded[-1])
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return Answer(script=script)


def body(data: bytes) -> Handler:
    """A body as it is, with its length."""
    return lambda _: Answer(body=data)


def listed(items: bytes) -> Handler:
    """A list with these bytes as its items."""
    return body(START + items + b"]}")


def _endless(request: Request) -> Answer:
    number = int(request.query.get("continue", "0"))
    return page([thing(f"x{number}")], str(number + 1))


def _endless_empty(request: Request) -> Answer:
    return page([], str(int(request.query.get("continue", "0")) + 1))


def _endless_full(request: Request) -> Answer:
    first = int(request.query.get("continue", "0"))
    last = first + int(request.query["limit"])
    return page([thing(f"x{number}") for number in range(first, last)], str(last))


def _versions(request: Request) -> Answer:
    number = int(request.query.get("continue", "0"))
    return page([thing(f"x{number}")], str(number + 1), version=str(number))


def _expired(request: Request) -> Answer:
    return status(410, "Expired") if "continue" in request.query else page([thing("a")], "t")  # fmt: skip


def _large(item: object, count: int) -> Handler:
    """`count` objects in honest pages; `@` in the text of the object is its number."""
    template = json.dumps(item, ensure_ascii=False).encode()

    def serve(request: Request) -> Answer:
        first = int(request.query.get("continue", "0"))
        last = min(first + int(request.query["limit"]), count)
        token = b"%d" % last if last < count else b""
        numbers = (b"%d" % number for number in range(first, last))
        items = b",".join(template.replace(b"@", number) for number in numbers)
        said = b'{"resourceVersion":"7","continue":"%s"}' % token
        return Answer(body=b'{"kind":"List","metadata":%s,"items":[%s]}' % (said, items))  # fmt: skip

    return serve


def _annotated() -> object:
    found = virtual_service("x@")
    found["metadata"]["annotations"]["filler"] = "x" * 256 * KIB
    return found


def _asking() -> object:
    found = virtual_service("x@")
    found["metadata"]["annotations"]["wharfinger.dev/route"] = "x" * 256 * KIB
    return found


def _exposed() -> object:
    found = virtual_service("x@")
    found["spec"]["tcp"] = [{"match": [{"port": each} for each in range(2_000)]}]
    return found


def _wide() -> object:
    found = virtual_service("x@")
    host = "\U0001f980" * (64 * KIB)
    found["spec"]["tcp"] = [{"route": [{"destination": {"host": host}}]}]
    return found


def _odd_names() -> list[object]:
    names = ("../../etc", "a/b", "..", ".git", "kustomization", "x\x00y", "a\nb")
    return [virtual_service(name) for name in names]


def _changing(uids: list[str]) -> Handler:
    def serve(_: Request) -> Answer:
        uids.append(f"uid-{len(uids)}")
        return ok({"kind": "Namespace", "metadata": {"uid": uids[-1]}})

    return serve


def _moved(port: int) -> Handler:
    where = f"https://127.0.0.1:{port}/api/v1/services"
    return lambda _: Answer(status=307, headers={"Location": where})


def _reset(_: Request) -> Answer:
    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Content-Length: 4000\r\n\r\n" + START)
        await writer.drain()
        writer.transport.abort()

    return Answer(script=script)


def _flood(part: bytes) -> Handler:
    """The same bytes again and again, as fast as they are taken."""
    return lambda _: raw(part * max(1, 16 * KIB // len(part)), forever=True)


def _chunks(_: Request) -> Answer:
    one = b"1\r\n \r\n" * 4_000

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(one)
            await writer.drain()

    return Answer(script=script)


def evils(canary: int, victim: str) -> dict[str, Evil]:
    """All behaviours; `canary` is a port that nobody may call, `victim` a neighbour's id."""
    return {
        **_paging(),
        **_sizes(),
        **_waiting(),
        **_texts(),
        **_protocol(canary),
        **_identities(victim),
    }


def _paging() -> dict[str, Evil]:
    cut = Why.INCOMPLETE
    same = page([thing("a")], "t")
    return {
        "endless-continue": Evil(does="pages without an end, one object each", answer=_endless, why=cut, much=True),
        "endless-empty": Evil(does="pages without an end and without objects", answer=_endless_empty, why=cut, much=True),
        "endless-full": Evil(does="full pages without an end", answer=_endless_full, why=cut, much=True),
        "same-continue": Evil(does="the same continue token again", answer=lambda _: same, why=cut),
        "mixed-versions": Evil(does="pages of different resourceVersions", answer=_versions, why=cut),
        "gone-midway": Evil(does="410 in the middle of a list", answer=_expired, why=cut),
    }  # fmt: skip


def _sizes() -> dict[str, Evil]:
    cut = Why.INCOMPLETE
    return {
        "endless-body": Evil(does="a body without an end", answer=lambda _: chunked(START, b" " * 64 * KIB, forever=True), why=cut),
        "two-gigabytes": Evil(does="a body of 2 GB, declared", answer=lambda _: raw(JSON_HEAD + b"Content-Length: 2147483648\r\n\r\n", b" " * 64 * KIB, forever=True), why=cut),
        "tiny-chunks": Evil(does="a body without an end in chunks of one byte", answer=_chunks, why=Why.TIMEOUT, waits=True),
        "tiny-objects": Evil(does="a page of a million empty objects", answer=listed(b"{}," * 1_000_000 + b"{}"), why=cut),
        "tiny-values": Evil(does="one object of a million empty lists", answer=listed(b'{"metadata":{"name":"a","namespace":"b"},"spec":{"a":[' + b"[]," * 1_000_000 + b"[]]}}"), why=cut),
        "discovery-values": Evil(does="a million values in discovery", path=ISTIO, answer=body(b'{"resources":[' + b"[]," * 1_000_000 + b"[]]}"), why=cut),
        "wide-text": Evil(does="megabytes of characters outside the BMP", answer=_large(_wide(), 2_000), why=cut, much=True),
        "large-annotations": Evil(does="4,000 objects with 256 KiB of annotations each", answer=_large(_annotated(), 4_000), why=cut, much=True),
        "large-wishes": Evil(does="4,000 objects with 256 KiB in an annotation of ours", answer=_large(_asking(), 4_000), why=cut, much=True),
        "large-specs": Evil(does="10,000 exposed objects with 2,000 matches each", answer=_large(_exposed(), 10_000), why=cut, much=True),
    }  # fmt: skip


def _waiting() -> dict[str, Evil]:
    late = Why.TIMEOUT
    return {
        "slow-head": Evil(does="a head of one byte a second", answer=lambda _: raw(*(bytes([each]) for each in JSON_HEAD), pause=1.0), why=late, waits=True),
        "slow-body": Evil(does="a body of one byte a second", answer=lambda _: chunked(START, b" ", forever=True, pause=1.0), why=late, waits=True),
        "silent": Evil(does="no answer at all", answer=lambda _: raw(b"", pause=3600), why=late, waits=True),
        "silent-after-head": Evil(does="a head and then nothing", answer=lambda _: raw(CHUNKED, b"", pause=3600), why=late, waits=True),
        "informational-flood": Evil(does="100 Continue again and again", answer=_flood(b"HTTP/1.1 100 Continue\r\n\r\n"), why=late, waits=True),
    }  # fmt: skip


def _texts() -> dict[str, Evil]:
    bad = Why.UNREADABLE
    deep = b"[" * 100_000 + b"]" * 100_000
    return {
        "deep-json": Evil(does="JSON that is nested 100,000 deep", answer=listed(deep), why=bad),
        "not-a-number": Evil(does="NaN in an object", answer=listed(b'{"a": NaN}'), why=bad),
        "duplicate-keys": Evil(does="a key twice in one object", answer=listed(b'{"metadata": {}, "metadata": {}}'), why=bad),
        "invalid-utf8": Evil(does="bytes that are no UTF-8", answer=listed(b'{"a": "\xff\xfe"}'), why=bad),
        "long-number": Evil(does="a number of a million digits", answer=listed(b'{"a": ' + b"9" * MIB + b"}"), why=bad),
        "gzip-bomb": Evil(does="50 MB of zeros, compressed, not asked for", answer=lambda _: Answer(body=_BOMB, headers={"Content-Encoding": "gzip"}), why=bad),
        "gzip-unlabelled": Evil(does="a compressed body that does not say so", answer=body(_BOMB), why=bad),
        "garbage": Evil(does="HTML instead of JSON", answer=body(b"<html>" * 1_000), why=bad),
        "odd-names": Evil(does="names and namespaces with path characters", answer=lambda _: page(_odd_names()), why=None),  # type: ignore[arg-type]
        "foreign-kinds": Evil(does="objects of another kind in the list", answer=lambda _: page([thing("a", kind="Secret", spec=[7], status="x")]), why=None),
    }  # fmt: skip


def _protocol(canary: int) -> dict[str, Evil]:
    bad, away = Why.UNREADABLE, Why.UNREACHABLE
    realm = {"WWW-Authenticate": f'Bearer realm="https://127.0.0.1:{canary}/token"'}
    return {
        "redirect": Evil(does="a redirect to another address", answer=_moved(canary), why=bad),
        "other-realm": Evil(does="401 with the address of a token service", answer=lambda _: Answer(status=401, headers=realm), why=Why.UNAUTHORISED),
        "retry-after": Evil(does="429 with Retry-After of 30 years", answer=lambda _: Answer(status=429, headers={"Retry-After": "1000000000"}), why=away),
        "upgrade": Evil(does="101 Switching Protocols", answer=lambda _: raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x" * 16 * KIB, forever=True), why=bad),
        "header-flood": Evil(does="headers without an end", answer=_flood(b"A: b\r\n"), why=bad),
        "long-header": Evil(does="one header without an end", answer=lambda _: raw(JSON_HEAD + b"A: ", b"x" * 16 * KIB, forever=True), why=bad),
        "reset": Evil(does="a connection that is reset in a page", answer=_reset, why=Why.INCOMPLETE),
        "no-http": Evil(does="another protocol", answer=lambda _: raw(b"SSH-2.0-OpenSSH\r\n"), why=bad),
    }  # fmt: skip


def _identities(victim: str) -> dict[str, Evil]:
    stolen = {"kind": "Namespace", "metadata": {"uid": victim}}
    return {
        "changing-id": Evil(does="another kube-system UID each time", path=SYSTEM, answer=_changing([]), why=Why.INCOMPLETE),
        "stolen-id": Evil(does="the kube-system UID of a neighbour", path=SYSTEM, answer=lambda _: ok(stolen), why=Why.DUPLICATE, harms=victim),
    }  # fmt: skip

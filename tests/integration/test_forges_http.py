"""The conversation with a forge whose server is slow, broken or hostile."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from reconciler.errors import Blocked, ReconcileError, Unauthorised, Unavailable
from reconciler.review import http
from reconciler.review.http import Access, Clock, Http
from tests.integration.forge_server import TOKEN, Asked, Reply, Server, serving

NOW = 1_795_000_000.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Hands:
    """A clock that is only moved by those who sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: sum(self.slept),
            wall=lambda: NOW + sum(self.slept),
            sleep=self.slept.append,
        )


@contextmanager
def forge(
    *replies: Reply | Callable[[Asked], Reply], writes: int = 60
) -> Iterator[tuple[Http, Server, Hands]]:
    """A conversation with a server that gives these answers, the last one for ever."""
    left: list[Reply | Callable[[Asked], Reply]] = list(replies)

    def reply(asked: Asked) -> Reply:
        given = left.pop(0) if len(left) > 1 else left[0]
        return given if isinstance(given, Reply) else given(asked)

    hands = Hands()
    with serving(reply) as server:
        access = Access(url=server.url, header=f"token {TOKEN}", writes_a_minute=writes)
        yield Http(access, hands.clock), server, hands


def failure(
    *replies: Reply, method: str = "GET"
) -> tuple[ReconcileError, Server, Hands]:
    with forge(*replies) as (talk, server, hands):
        with pytest.raises(ReconcileError) as caught:
            talk.get("/x") if method == "GET" else talk.write(method, "/x", {})
        return caught.value, server, hands


FINE = Reply(body={"fine": True})


def date(seconds: float, zone: str = "GMT") -> str:
    moment = datetime.fromtimestamp(NOW + seconds, UTC)
    return format_datetime(moment, usegmt=True).replace("GMT", zone)


@pytest.mark.parametrize(
    ("status", "headers", "wanted"),
    [
        (429, {"Retry-After": "7"}, 7.0),
        (429, {"Retry-After": date(20)}, 20.0),
        (429, {"Retry-After": date(20, "-0000")}, 20.0),
        (429, {"Retry-After": date(-500)}, 1.0),
        (429, {"Retry-After": "soon"}, 30.0),
        (429, {"Retry-After": "Mon, 99 Foo 2026 99:99:99 GMT"}, 30.0),
        (429, {}, 30.0),
        (403, {"Retry-After": "40"}, 40.0),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 11:.0f}"},
            11.0,
        ),
        (
            429,
            {"RateLimit-Remaining": "0", "RateLimit-Reset": f"{NOW + 12:.0f}"},
            12.0,
        ),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW - 12:.0f}"},
            1.0,
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forge_that_asks_to_wait_is_waited_for(
    status: int, headers: dict[str, str], wanted: float, method: str
) -> None:
    with forge(Reply(status=status, headers=headers), FINE) as (talk, server, hands):
        done = talk.get("/x") if method == "GET" else talk.write("POST", "/x", {})
        assert done.body == {"fine": True}
        assert hands.slept == [wanted]
        assert server.methods() == [method, method]


def test_a_secondary_limit_without_a_header_waits_a_minute() -> None:
    said = {"message": "You have exceeded a secondary rate limit. Please wait."}
    with forge(Reply(status=403, body=said), FINE) as (talk, _, hands):
        assert talk.write("POST", "/x", {}).status == 200
        assert hands.slept == [60.0]


def test_a_refusal_is_no_rate_limit() -> None:
    said = {"message": "Resource not accessible by personal access token"}
    spare = {"X-RateLimit-Remaining": "41", "X-RateLimit-Reset": f"{NOW + 99:.0f}"}
    found, server, hands = failure(Reply(status=403, body=said, headers=spare))
    assert isinstance(found, Blocked)
    assert "Resource not accessible" in str(found)
    assert (len(server.asked), hands.slept) == (1, [])


@pytest.mark.parametrize("after", ["61", "86400", "999999999999", "9" * 5000])
def test_a_long_wait_is_left_to_the_next_pass(after: str) -> None:
    limit = Reply(status=429, headers={"Retry-After": after})
    found, server, hands = failure(limit)
    assert isinstance(found, Unavailable)
    if len(after) < 100:
        assert "the next pass" in str(found)
        assert (len(server.asked), hands.slept) == (1, [])
    assert sum(hands.slept) <= 300


def test_a_limit_that_stays_ends_after_some_attempts() -> None:
    found, server, hands = failure(Reply(status=429, headers={"Retry-After": "5"}))
    assert isinstance(found, Unavailable)
    assert len(server.asked) == 4
    assert hands.slept == [5.0, 5.0, 5.0]


def test_all_the_waits_of_a_pass_together_are_bounded() -> None:
    def every_other(asked: Asked) -> Reply:
        odd = len(server.asked) % 2
        return Reply(status=429, headers={"Retry-After": "50"}) if odd else FINE

    with forge(every_other) as (talk, server, hands):
        for _ in range(6):
            talk.get("/x")
        with pytest.raises(Unavailable):
            talk.get("/x")
    assert hands.slept == [50.0] * 6


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_answer_to_a_question_is_asked_for_again(status: int) -> None:
    with forge(Reply(status=status), Reply(status=status), FINE) as (talk, server, _):
        assert talk.get("/x").body == {"fine": True}
        assert len(server.asked) == 3


def test_a_forge_that_is_down_for_a_while_is_asked_when_it_says() -> None:
    away = Reply(status=503, headers={"Retry-After": "3"})
    with forge(away, FINE) as (talk, _, hands):
        assert talk.get("/x").body == {"fine": True}
        assert hands.slept == [3.0]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_what_writes_is_sent_once(status: int, headers: dict[str, str]) -> None:
    found, server, _ = failure(Reply(status=status, headers=headers), method="POST")
    assert isinstance(found, Unavailable)
    assert len(server.asked) == 1


def cut(*parts: bytes) -> Reply:
    def write(out: BinaryIO) -> None:
        for part in parts:
            out.write(part)

    return Reply(script=write)


CUT = (
    cut(HEAD, b"Content-Length: 100\r\n\r\n", b'{"a": '),
    cut(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b'5\r\n{"a":\r\n'),
    cut(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b'ff\r\n{"a":'),
    cut(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n"),
    cut(HEAD, b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n", b"nope"),
    cut(b"SSH-2.0-OpenSSH\r\n"),
    cut(),
)


def test_a_question_whose_answer_ends_within_its_head_is_asked_again() -> None:
    with forge(cut(HEAD[:20]), FINE) as (talk, _, _hands):
        assert talk.get("/x").body == {"fine": True}


@pytest.mark.parametrize("reply", CUT)
def test_an_answer_that_breaks_off_is_asked_for_again(reply: Reply) -> None:
    with forge(reply, FINE) as (talk, _, _hands):
        assert talk.get("/x").body == {"fine": True}
    found, server, _ = failure(reply, method="PATCH")
    assert isinstance(found, Unavailable)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        cut(
            HEAD,
            b"Transfer-Encoding: chunked\r\n\r\n6\r\n[1, 2,\r\n3\r\n 3]\r\n0\r\n\r\n",
        ),
        Reply(body=gzip.compress(b"[1,2,3]"), headers={"Content-Encoding": "gzip"}),
        cut(HEAD, b"\r\n[1, 2, 3]"),
    ],
)
def test_bodies_come_in_several_ways(reply: Reply) -> None:
    with forge(reply) as (talk, _, _hands):
        assert talk.get("/x").body == [1, 2, 3]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b" " * (21 << 20)),
        Reply(
            body=gzip.compress(b" " * (64 << 20)),
            headers={"Content-Encoding": "gzip"},
        ),
    ],
)
def test_a_huge_body_is_not_kept(reply: Reply) -> None:
    found, _, _ = failure(reply)
    assert "more than 20 MiB" in str(found)


def test_a_body_that_drips_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_WHOLE", 0.5)

    def drip(out: BinaryIO) -> None:
        out.write(HEAD + b"Content-Length: 100000\r\n\r\n")
        for _ in range(400):
            out.write(b" ")
            out.flush()
            time.sleep(0.05)

    with serving(lambda _: Reply(script=drip)) as server:
        talk = Http(Access(url=server.url, header="token x"))
        began = time.monotonic()
        with pytest.raises(Unavailable, match="not complete within"):
            talk.get("/x")
        assert time.monotonic() - began < 10


def listed(count: int, total: str = "") -> Callable[[Asked], Reply]:
    """A list of numbers by page, with Link headers or only a total."""

    def reply(asked: Asked) -> Reply:
        page, size = int(asked.query["page"]), int(asked.query["per_page"])
        items = list(range(count))[(page - 1) * size : page * size]
        more = page * size < count
        link = (
            f'<http://x/?page={page + 1}>; rel="next"' if more else '<x>; rel="first"'
        )
        return Reply(
            body=items, headers={total: str(count)} if total else {"Link": link}
        )

    return reply


@pytest.mark.parametrize("total", ["", "X-Total-Count", "X-Total", "X-Other"])
@pytest.mark.parametrize("count", [0, 1, 10, 11, 30, 95])
def test_a_list_is_read_whole(count: int, total: str) -> None:
    with forge(listed(count, total)) as (talk, _, _hands):
        assert talk.pages("/x", per_page=10) == list(range(count))


@pytest.mark.parametrize(
    "headers", [{"Link": '<http://x/?page=2>; rel="next"'}, {"X-Total": "9" * 12}]
)
def test_a_list_that_never_ends_does(headers: dict[str, str]) -> None:
    with forge(Reply(body=[1], headers=headers)) as (talk, server, _):
        with pytest.raises(Unavailable, match="more than 50 pages"):
            talk.pages("/x", per_page=1)
        assert len(server.asked) == 50


def test_a_total_of_nonsense_is_none() -> None:
    with forge(Reply(body=[1], headers={"X-Total": "9" * 5000})) as (talk, _, _hands):
        assert talk.pages("/x", per_page=10) == [1]


@pytest.mark.parametrize("body", [{"items": []}, "text", 7])
def test_a_list_that_is_none_is_said(body: object) -> None:
    with (
        forge(Reply(body=body)) as (talk, _, _hands),
        pytest.raises(Unavailable, match="a list"),
    ):
        talk.pages("/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with serving(lambda _: FINE) as other:
        to = {"Location": f"{other.url}/stolen"}
        found, server, _ = failure(Reply(status=status, headers=to))
        assert isinstance(found, Blocked)
        assert "review.forge" in found.hint
        assert other.asked == []
        assert len(server.asked) == 1


def test_a_refused_token_is_said_so() -> None:
    found, server, _ = failure(Reply(status=401, body={"message": "Bad credentials"}))
    assert isinstance(found, Unauthorised)
    assert "WHARFINGER_FORGE_TOKEN" in str(found)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [b"<!DOCTYPE html><html>Sign in</html>", b"\xff\xfe", b"[" * 200_000, b"NaN1"],
)
@pytest.mark.parametrize("status", [200, 404, 422])
def test_what_is_no_json_is_no_crash(status: int, body: bytes) -> None:
    with forge(Reply(status=status, body=body)) as (talk, _, _hands):
        if status == 404:
            assert talk.get("/x").status == 404
            return
        with pytest.raises((Unavailable, Blocked)) as caught:
            talk.get("/x")
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("depth", [400, 900, 5_000, 100_000])
def test_an_error_may_be_nested_deeply(depth: int) -> None:
    body = b'{"errors": ' + b"[" * depth + b"]" * depth + b"}"
    found, _, _ = failure(Reply(status=422, body=body))
    assert isinstance(found, Blocked)
    assert len(str(found)) < 700


def test_messages_are_one_printable_line_and_never_the_token() -> None:
    said = f"\x1b[31mred\r\nline \u202e \ud800 {TOKEN} " + "x" * 5000
    for body in ({"message": said}, {"error": {"a": [said]}}, [said], said):
        content = json.dumps(body).encode()
        found, _, _ = failure(Reply(status=400, body=content))
        first = str(found).split("\n")[0]
        assert first.isprintable()
        assert len(first) < 500
        assert TOKEN not in str(found)
    html = f"<pre>Authorization: token {TOKEN}</pre>".encode()
    assert TOKEN not in str(failure(Reply(status=400, body=html))[0])


def test_the_token_is_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with forge(Reply(status=500), cut(), Reply(status=401)) as (talk, server, _):
        with pytest.raises(Unauthorised) as caught:
            talk.get("/x", page=1)
        assert server.asked[0].headers["authorization"] == f"token {TOKEN}"
        access = Access(url=server.url, header=f"token {TOKEN}")
    assert TOKEN not in repr(access)
    assert TOKEN not in repr(talk)
    assert TOKEN not in repr(caught.value) + str(caught.value) + caplog.text


def test_netrc_does_not_put_another_login_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password evil\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with forge(FINE) as (talk, server, _):
        talk.get("/x")
        talk.write("POST", "/x", {})
    seen = {each.headers["authorization"] for each in server.asked}
    assert seen == {f"token {TOKEN}"}


def rate(moments: Sequence[float]) -> int:
    """The most moments within any minute."""
    return max(sum(0 <= b - a < 60 for b in moments) for a in moments)


def test_writes_are_paced_and_reads_are_not() -> None:
    moments = []
    with forge(FINE, writes=10) as (talk, server, hands):
        for _ in range(35):
            talk.get("/x")
            talk.write("POST", "/x", {})
            moments.append(sum(hands.slept))
            hands.slept.append(0.5)
        assert len(server.asked) == 70
    assert rate(moments) == 10
    assert moments[-1] < 200


def test_nobody_answers() -> None:
    with serving(lambda _: FINE) as server:
        pass
    hands = Hands()
    talk = Http(Access(url=server.url, header="token x"), hands.clock)
    with pytest.raises(Unavailable, match="no answer"):
        talk.get("/x")
    assert len(hands.slept) == 3

"""The one conversation with a forge's API: limits, retries, no redirects, no secrets (does I/O).

A GET is tried again; anything that writes is not, as its answer may be what was lost: the next
look at the forge says what happened. Rate limits are kept by waiting, up to what a pass can bear:
a request that was refused for its rate was not carried out and may be sent again.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from reconciler.codes import Code
from reconciler.errors import Blocked, ReconcileError, Unauthorised, Unavailable
from reconciler.printable import one_line

_LARGEST = 20 << 20  # bytes of one answer
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes
_WHOLE = 120.0  # seconds for one answer
_ATTEMPTS = 4
_LONGEST_WAIT = 60.0
_MOST_PAGES = 50
_MINUTE = 60.0
_LONGEST_WORDS = 300
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_NEXT = re.compile(r"""rel="?[^",;]*\bnext\b""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a conversation takes its time from."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a forge's API answers, and who we are. `header` is the whole Authorization value.

    `writes_a_minute` keeps us below what the forge takes for a flood.
    """

    url: str
    header: str = field(repr=False)
    writes_a_minute: int = 60
    more: tuple[tuple[str, str], ...] = ()

    @property
    def secret(self) -> str:
        """What must never be repeated to anybody."""
        return self.header.rpartition(" ")[2] or "\0"


class _Auth(AuthBase):
    """Sets our header last, so that no .netrc puts another one there."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer's status, JSON body and headers (names in lower case)."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One request of ours."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Http:
    """Speaks JSON with one API."""

    def __init__(self, access: Access, clock: Clock | None = None) -> None:
        self._access = access
        self._clock = clock or Clock()
        self._session = requests.Session()
        self._session.auth = _Auth(access.header)
        self._session.headers.update({"User-Agent": "wharfinger", **dict(access.more)})
        self._writes: deque[float] = deque()
        self._waited = 0.0

    def get(self, path: str, **query: str | int) -> Answer:
        """One answer; a 404 is an answer, other refusals raise."""
        return self._ask(_Question(method="GET", path=path, query=query), (404,))

    def pages(self, path: str, **query: str | int) -> list[Any]:
        """All items of a list. Raises Unavailable for a list that does not end."""
        found: list[Any] = []
        query = {"page": 1, **query}
        for page in range(1, _MOST_PAGES + 1):
            asked = {**query, "page": page}
            answer = self._ask(_Question(method="GET", path=path, query=asked))
            if not isinstance(answer.body, list):
                raise self._odd(path, "expected a list")
            found += answer.body
            if not answer.body or not _has_next(answer, len(found), _size(query)):
                return found
        raise self._odd(path, f"more than {_MOST_PAGES} pages")

    def write(
        self, method: str, path: str, body: object, fine: tuple[int, ...] = ()
    ) -> Answer:
        """One request that changes something; answers of `fine` statuses do not raise."""
        self._pace()
        return self._ask(_Question(method=method, path=path, body=body), fine)

    def _pace(self) -> None:
        """Never more writes in a minute than the forge takes from one account."""
        now = self._clock.monotonic()
        while self._writes and now - self._writes[0] >= _MINUTE:
            self._writes.popleft()
        if len(self._writes) >= self._access.writes_a_minute:
            self._wait(self._writes[0] + _MINUTE - now)
        self._writes.append(self._clock.monotonic())

    def _ask(self, asked: _Question, fine: tuple[int, ...] = ()) -> Answer:
        failure: ReconcileError = self._odd(asked.path, "no answer")
        pause = 0.0
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._wait(pause or random.uniform(0.2, 0.6) * 2**attempt)
            pause = 0.0
            try:
                answer = self._once(asked)
            except requests.RequestException as exc:
                failure = self._lost(asked, exc)
                if asked.method != "GET":
                    raise failure from exc
                continue
            wanted = _asked_pause(answer, self._clock.wall())
            if wanted is not None and (answer.status != 503 or asked.method == "GET"):
                pause = wanted
                failure = self._limited(pause)
            elif answer.status < 300 or answer.status in fine:
                return answer
            else:
                failure = self._refused(asked, answer)
                if answer.status < 500 or asked.method != "GET":
                    raise failure
        raise failure

    def _once(self, asked: _Question) -> Answer:
        with self._session.request(
            asked.method,
            self._access.url + asked.path,
            params=dict(asked.query),
            json=asked.body,
            timeout=_TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as answer:
            content = self._content(asked.path, answer)
            if asked.method == "GET" and answer.status_code == 200 and not content:
                raise requests.ConnectionError("the answer broke off")
            headers = {key.lower(): value for key, value in answer.headers.items()}
            return Answer(
                status=answer.status_code,
                body=self._parsed(asked.path, answer.status_code, content),
                headers=headers,
            )

    def _content(self, path: str, answer: requests.Response) -> bytes:
        """The body; read as it comes, so that one of single bytes meets the deadline too."""
        deadline = self._clock.monotonic() + _WHOLE
        content = bytearray()
        while chunk := self._some(answer):
            content += chunk
            if len(content) > _LARGEST:
                raise self._odd(path, f"more than {_LARGEST >> 20} MiB")
            if self._clock.monotonic() > deadline:
                raise self._odd(path, f"not complete within {_WHOLE:.0f} s")
        return bytes(content)

    def _some(self, answer: requests.Response) -> bytes:
        try:
            return bytes(answer.raw.read1(1 << 16, decode_content=True))
        except (HTTPError, OSError) as exc:
            raise requests.ConnectionError(exc) from exc

    def _parsed(self, path: str, status: int, content: bytes) -> Any:
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            if status >= 300:
                return {"message": content[:300].decode("utf-8", "replace")}
            raise self._odd(path, "no JSON; is this the API's URL?") from None

    def _wait(self, seconds: float) -> None:
        """Wait, but never longer than a pass can bear. Raises Unavailable."""
        self._waited += max(0.0, seconds)
        if seconds > _LONGEST_WAIT or self._waited > 5 * _LONGEST_WAIT:
            raise self._limited(seconds)
        if seconds > 0:
            self._clock.sleep(seconds)

    def _limited(self, seconds: float) -> Unavailable:
        return Unavailable(
            f"{Code.FORGE_LIMIT}: the forge asks to wait {seconds:.0f} s",
            where=self._access.url,
            hint="nothing is lost; the next pass goes on where this one stopped",
        )

    def _refused(self, asked: _Question, answer: Answer) -> ReconcileError:
        # A forge, or what stands before it, may repeat what it was sent.
        said = _said(answer.body).replace(self._access.secret, "***")
        said = one_line(said, _LONGEST_WORDS)
        what = f"{Code.FORGE_REFUSED}: {asked}: {answer.status} {said}".strip()
        where = self._access.url
        if answer.status == 401:
            return Unauthorised(what, where=where, hint="set WHARFINGER_FORGE_TOKEN")
        if answer.status >= 500:
            return Unavailable(what, where=where)
        hint = "does the token have the rights, and is review.forge right?"
        if 300 <= answer.status < 400:
            hint = "the API moved; write its present URL into review.forge.url"
        return Blocked(what, where=where, hint=hint)

    def _lost(self, asked: _Question, exc: Exception) -> Unavailable:
        return Unavailable(
            f"{asked}: no answer ({type(exc).__name__})",
            where=self._access.url,
            hint="the next pass sees what happened",
        )

    def _odd(self, path: str, what: str) -> Unavailable:
        return Unavailable(f"{path}: {what}", where=self._access.url)


def _size(query: Mapping[str, str | int]) -> int:
    """How many items of a page we asked for, 0 when we did not say."""
    return int(query.get("per_page", query.get("limit", 0)))


def _has_next(answer: Answer, found: int, size: int) -> bool:
    """Whether another page follows: by the Link header, a total, else by a full page."""
    link = answer.headers.get("link")
    if link is not None:
        return _NEXT.search(link) is not None
    total = answer.headers.get("x-total-count", answer.headers.get("x-total", ""))
    if _NUMBER.match(total):
        return found < int(total)
    return 0 < size <= len(answer.body)


def _asked_pause(answer: Answer, now: float) -> float | None:
    """Seconds that a forge asks us to wait, `None` when it does not."""
    if answer.status not in (403, 429, 503):
        return None
    after = _delay(answer.headers.get("retry-after", ""), now)
    if after is not None:
        return after
    for prefix in ("x-ratelimit", "ratelimit"):
        reset = answer.headers.get(f"{prefix}-reset", "")
        spent = answer.headers.get(f"{prefix}-remaining") == "0"
        if spent and _NUMBER.match(reset):
            return max(1.0, float(reset) - now)
    if answer.status == 403:
        # GitHub: without a header, wait for at least a minute.
        return _MINUTE if "secondary rate limit" in _said(answer.body) else None
    return 30.0 if answer.status == 429 else None


def _delay(after: str, now: float) -> float | None:
    """Seconds of a Retry-After header, which is a number of them or a date."""
    if _NUMBER.match(after):
        return float(after)
    try:
        moment = parsedate_to_datetime(after)
        if moment.tzinfo is None:  # "-0000", as some servers write GMT
            moment = moment.replace(tzinfo=UTC)
        return max(1.0, moment.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _said(body: Any) -> str:
    """The message in a forge's error."""
    known = isinstance(body, Mapping)
    parts = [body.get(k) for k in ("message", "error", "errors")] if known else [body]
    try:
        return "; ".join(str(each) for each in parts if each)
    except RecursionError:
        return "an error that is nested too deeply"

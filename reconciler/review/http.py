"""The one conversation with a forge's API: limits, retries, no redirects, no secrets (does I/O).

A GET is tried again; anything that writes is not, as its answer may be what was lost: the next
look at the forge says what happened. Rate limits are kept by waiting, up to what a pass can bear.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.auth import AuthBase

from reconciler.codes import Code
from reconciler.errors import Blocked, ReconcileError, Unauthorised, Unavailable

_LARGEST = 20 << 20  # bytes of one answer
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between bytes
_WHOLE = 120.0  # seconds for one answer
_ATTEMPTS = 4
_LONGEST_WAIT = 60.0
_MOST_PAGES = 50
_MINUTE = 60.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


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
            if not answer.body or not _has_next(answer, len(found)):
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
        failure: ReconcileError | None = None
        again = asked.method == "GET"
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._wait(random.uniform(0.2, 0.6) * 2**attempt)
            try:
                answer = self._once(asked)
            except requests.RequestException as exc:
                failure = self._lost(asked, exc)
                if again:
                    continue
                raise failure from exc
            pause = _asked_pause(answer, self._clock.wall())
            if pause is not None:
                failure = self._limited(pause)
                self._wait(pause)
            elif answer.status < 300 or answer.status in fine:
                return answer
            else:
                failure = self._refused(asked, answer)
                if answer.status < 500 or not again:
                    raise failure
        raise failure or self._odd(asked.path, "no answer")

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
            headers = {key.lower(): value for key, value in answer.headers.items()}
            return Answer(
                status=answer.status_code,
                body=self._parsed(asked.path, answer.status_code, content),
                headers=headers,
            )

    def _content(self, path: str, answer: requests.Response) -> bytes:
        deadline = self._clock.monotonic() + _WHOLE
        content = bytearray()
        for chunk in answer.iter_content(1 << 16):
            content += chunk
            if len(content) > _LARGEST:
                raise self._odd(path, f"more than {_LARGEST >> 20} MiB")
            if self._clock.monotonic() > deadline:
                raise self._odd(path, f"not complete within {_WHOLE:.0f} s")
        return bytes(content)

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
        said = _said(answer.body)
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


def _has_next(answer: Answer, found: int) -> bool:
    """Whether another page follows: by the Link header, else by a total."""
    link = answer.headers.get("link")
    if link is not None:
        return 'rel="next"' in link
    total = answer.headers.get("x-total-count", answer.headers.get("x-total", ""))
    return total.isdecimal() and found < int(total)


def _asked_pause(answer: Answer, now: float) -> float | None:
    """Seconds that a forge asks us to wait, `None` when it does not."""
    if answer.status not in (403, 429, 503):
        return None
    after = answer.headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    spent = answer.headers.get("x-ratelimit-remaining") == "0"
    if spent and reset.isdecimal():
        return max(1.0, float(reset) - now)
    return 30.0 if answer.status == 429 else None


def _said(body: Any) -> str:
    """The message in a forge's error, one short line."""
    if isinstance(body, Mapping):
        parts = [body.get("message"), body.get("error"), body.get("errors")]
        text = "; ".join(str(each) for each in parts if each)
    else:
        text = str(body or "")
    return _CONTROL.sub(" ", text)[:300]

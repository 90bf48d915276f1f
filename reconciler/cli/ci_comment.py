"""One comment on a pull or merge request, found by its hidden marker and edited in place (I/O).

Only a comment of our own is edited: anybody can write the marker, and who wrote a comment can
change it after us. What a token may not do is no failure, it is told.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from reconciler.cli.ci_place import Forge, Request
from reconciler.errors import ReconcileError, Unavailable

_ANSWER = 8 << 20  # bytes of one answer
_PAGES = 50
_PER_PAGE = 100
_SECONDS = 20.0
_TRIES = 4
_LONGEST_WAIT = 60.0
_BUSY = (429, 500, 502, 503, 504)
_UNSURE = (500, 502, 504)  # it may have been done all the same


class NotPermitted(ReconcileError):
    """The token may not do this: a pull request of a fork, or a permission that is missing."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is for one host; a redirect is an answer that we do not follow."""

    def redirect_request(self, *args: object) -> None:
        """No request instead of the one that was redirected."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """The comments of one request on one forge."""

    forge: Forge
    request: Request
    token: str = field(repr=False)
    sleep: Callable[[float], None] = time.sleep

    def put(self, marker: str, body: str, *, only_if_there: bool) -> str:
        """Create or edit the comment with this marker; what was done: created, edited, kept, none.

        Raises NotPermitted, or Unavailable when the forge does not answer as it should.
        """
        text = f"{marker}\n{body}"
        mine = self._mine(marker)
        if mine is None and only_if_there:
            return "none"
        if mine is None:
            self._create(marker, text)
            return "created"
        number, old = mine
        if old.strip() == text.strip():
            return "kept"
        method = "PATCH" if self.forge is Forge.GITHUB else "PUT"
        self._call(method, f"{self._one}/{number}", {"body": text})
        return "edited"

    def _create(self, marker: str, text: str) -> None:
        try:
            self._call("POST", self._list, {"body": text})
        except Unavailable:
            # An answer that was lost says nothing about the comment.
            if self._mine(marker) is None:
                raise

    @property
    def _list(self) -> str:
        number = self.request.number
        if self.forge is Forge.GITHUB:
            return f"{self._repository}/issues/{number}/comments"
        project = urllib.parse.quote(self.request.project, safe="")
        return f"/projects/{project}/merge_requests/{number}/notes"

    @property
    def _one(self) -> str:
        if self.forge is Forge.GITHUB:
            return f"{self._repository}/issues/comments"
        return self._list

    @property
    def _repository(self) -> str:
        return f"/repos/{urllib.parse.quote(self.request.project, safe='/')}"

    def _mine(self, marker: str) -> tuple[int, str] | None:
        """Our oldest comment that begins with the marker, and its text."""
        found = [each for each in self._all() if _text(each).startswith(marker)]
        if not found:
            return None
        is_mine = self._author()
        ours = [each for each in found if is_mine(_author_of(each))]
        return (int(ours[0]["id"]), _text(ours[0])) if ours else None

    def _all(self) -> Iterator[dict[str, Any]]:
        for page in range(1, _PAGES + 1):
            query = f"?per_page={_PER_PAGE}&limit={_PER_PAGE}&page={page}"
            if self.forge is Forge.GITLAB:
                query += "&sort=asc&order_by=created_at"
            answer = self._call("GET", self._list + query)
            if not isinstance(answer, list):
                raise Unavailable("the forge's list of comments is no list")
            yield from (each for each in answer if isinstance(each, dict))
            if len(answer) < _PER_PAGE:
                return

    def _author(self) -> Callable[[Mapping[str, Any]], bool]:
        """Judges an author. A job's own token has no user: then it must be a bot."""
        try:
            user = self._call("GET", "/user")
        except NotPermitted:
            return lambda author: author.get("type") == "Bot"
        known = user.get("id") if isinstance(user, dict) else None
        return lambda author: known is not None and author.get("id") == known

    def _call(
        self, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> Any:
        """One call, repeated while the forge is busy. What may have been done is not repeated."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as exc:
                with exc:
                    wait = _wait(exc, attempt)
                    unsure = method == "POST" and exc.code in _UNSURE
                    if wait is None or unsure or attempt == _TRIES:
                        raise _meaning(exc, method) from None
            except (OSError, http.client.HTTPException, ValueError) as exc:
                wait = 2.0**attempt
                if method == "POST" or attempt == _TRIES:
                    what = f"the forge did not answer: {type(exc).__name__}"
                    raise Unavailable(what, where=self.request.api) from None
            self.sleep(wait)

    def _once(self, method: str, path: str, body: Mapping[str, str] | None) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "wharfinger"}
        if self.forge is Forge.GITHUB:
            headers["Authorization"] = f"Bearer {self.token}"
        else:
            headers["PRIVATE-TOKEN"] = self.token
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = self.request.api.rstrip("/") + path
        asked = urllib.request.Request(url, data, headers, method=method)
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(asked, timeout=_SECONDS) as answer:
            return json.loads(_whole(answer))


def _whole(answer: IO[bytes]) -> bytes:
    data = answer.read(_ANSWER + 1)
    if len(data) > _ANSWER:
        raise ValueError("an answer that is too long")
    return data


def _wait(exc: urllib.error.HTTPError, attempt: int) -> float | None:
    """Seconds to wait, or `None` when asking again would not help."""
    told = exc.headers.get("Retry-After", "")
    limited = exc.code == 403 and (
        told or exc.headers.get("X-RateLimit-Remaining") == "0"
    )
    if exc.code not in _BUSY and not limited:
        return None
    return min(float(told) if told.isdecimal() else 2.0**attempt, _LONGEST_WAIT)


def _meaning(exc: urllib.error.HTTPError, method: str) -> ReconcileError:
    if exc.code in (401, 403, 404):
        return NotPermitted(f"the token may not comment here (HTTP {exc.code})")
    return Unavailable(f"the forge answered HTTP {exc.code} to {method}")


def _text(comment: Mapping[str, Any]) -> str:
    # Forges hand back other line ends than they were given, and cut blanks at the end.
    return str(comment.get("body") or "").replace("\r\n", "\n")


def _author_of(comment: Mapping[str, Any]) -> Mapping[str, Any]:
    author = comment.get("user") or comment.get("author")
    return author if isinstance(author, dict) else {}

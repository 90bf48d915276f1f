"""One comment on a pull or merge request, found by its hidden marker and edited in place (I/O).

Only a comment of our own is edited: anybody can write the marker, and who wrote a comment can
change it after us. What a token may not do is no failure, it is told.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.cli.ci_place import Forge, Request
from reconciler.errors import Blocked, ReconcileError, Unauthorised, Unavailable
from reconciler.review.http import Access, Clock, Http

_PER_PAGE = 100
_REFUSED = (401, 403, 404)


class NotPermitted(ReconcileError):
    """The token may not do this: a pull request of a fork, or a permission that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """The comments of one request on one forge."""

    forge: Forge
    request: Request
    http: Http

    @staticmethod
    def of(
        forge: Forge, request: Request, token: str, clock: Clock | None = None
    ) -> Comments:
        """With a conversation of its own."""
        access = Access(url=request.api.rstrip("/"), header=f"Bearer {token}")
        return Comments(forge=forge, request=request, http=Http(access, clock))

    def put(self, marker: str, body: str, *, only_if_there: bool) -> str:
        """Create or edit the comment with this marker; what was done: created, edited, kept, none.

        Raises NotPermitted, or Unavailable when the forge does not answer as it should.
        """
        try:
            return self._put(marker, f"{marker}\n{body}", only_if_there)
        except Unauthorised as exc:
            raise NotPermitted("the forge refused the token (HTTP 401)") from exc
        except Blocked as exc:
            raise Unavailable(exc.what, where=exc.where) from exc

    def _put(self, marker: str, text: str, only_if_there: bool) -> str:
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
        self._write(method, f"{self._one}/{number}", text)
        return "edited"

    def _create(self, marker: str, text: str) -> None:
        try:
            self._write("POST", self._list, text)
        except Unavailable:
            # An answer that was lost says nothing about the comment.
            if self._mine(marker) is None:
                raise

    def _write(self, method: str, path: str, text: str) -> None:
        answer = self.http.write(method, path, {"body": text}, _REFUSED)
        if answer.status in _REFUSED:
            raise NotPermitted(f"the token may not comment here (HTTP {answer.status})")

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
        query: dict[str, str | int] = {"per_page": _PER_PAGE}
        if self.forge is Forge.GITLAB:
            query |= {"sort": "asc", "order_by": "created_at"}
        try:
            found = self.http.pages(self._list, **query)
        except Blocked as exc:
            raise NotPermitted(f"the token may not read comments ({exc.what})") from exc
        yield from (each for each in found if isinstance(each, dict))

    def _author(self) -> Callable[[Mapping[str, Any]], bool]:
        """Judges an author. A job's own token has no user: then it must be a bot."""
        try:
            user = self.http.get("/user").body
        except Blocked:
            return lambda author: author.get("type") == "Bot"
        known = user.get("id") if isinstance(user, dict) else None
        return lambda author: known is not None and author.get("id") == known


def _text(comment: Mapping[str, Any]) -> str:
    # Forges hand back other line ends than they were given, and cut blanks at the end.
    return str(comment.get("body") or "").replace("\r\n", "\n")


def _author_of(comment: Mapping[str, Any]) -> Mapping[str, Any]:
    author = comment.get("user") or comment.get("author")
    return author if isinstance(author, dict) else {}

"""The comments of one pull or merge request behind a real HTTP server, as the forges serve them.

Shapes and status codes are those of the forges' public API descriptions. What was asked is kept.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = {"id": 41898282, "login": "github-actions[bot]", "type": "Bot"}
STRANGER = {"id": 666, "login": "mallory", "type": "User"}
PROJECT_BOT = {"id": 77, "username": "project_7_bot"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    token: str
    body: str


@dataclass(slots=True, kw_only=True)
class Comments:
    """A forge with one request: its comments, who the token is, and what goes wrong next.

    `failures` are status codes that the next requests get; `refused` is one for all that would
    change something, `lost` are posts that are carried out and answered with 502.
    """

    gitlab: bool = False
    token: str = "comment-t0ken"
    me: dict[str, Any] | None = None
    author: dict[str, Any] = field(default_factory=lambda: dict(BOT))
    comments: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    failures: list[int] = field(default_factory=list)
    lost: int = 0
    asked: list[Asked] = field(default_factory=list)
    api: str = ""

    def write(self, author: dict[str, Any], body: str) -> None:
        """A comment of somebody."""
        key = "author" if self.gitlab else "user"
        number = 1000 + len(self.comments)
        self.comments.append({"id": number, key: author, "body": body})

    @property
    def written(self) -> list[str]:
        """Methods that changed something."""
        return [each.method for each in self.asked if each.method != "GET"]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Status and body of an answer."""
        self.asked.append(asked)
        if self.failures:
            return self.failures.pop(0), {"message": "not now"}
        if asked.token != self.token:
            return 401, {"message": "Bad credentials"}
        url = urlsplit(asked.path)
        if url.path == "/user":
            return (403, {"message": "no user"}) if self.me is None else (200, self.me)
        if self.refused and asked.method != "GET":
            return self.refused, {"message": "Resource not accessible by integration"}
        return self._comments(asked, url.path, parse_qs(url.query))

    def _comments(
        self, asked: Asked, path: str, query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        many = (
            r"/projects/12/merge_requests/7/notes"
            if self.gitlab
            else (r"/repos/team/clusters/issues/7/comments")
        )
        one = many if self.gitlab else r"/repos/team/clusters/issues/comments"
        if path == many and asked.method == "GET":
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if path == many and asked.method == "POST":
            self.write(self.author, self._body(asked))
            if self.lost:
                self.lost -= 1
                return 502, {"message": "lost"}
            return 201, self.comments[-1]
        found = re.fullmatch(rf"{one}/(\d+)", path)
        if found and asked.method == ("PUT" if self.gitlab else "PATCH"):
            comment = next(c for c in self.comments if c["id"] == int(found[1]))
            comment["body"] = self._body(asked)
            return 200, comment
        return 404, {"message": "Not Found"}

    def next_page(self, path: str) -> str:
        """Where a list goes on, empty at its end."""
        query = parse_qs(urlsplit(path).query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        if page * size >= len(self.comments):
            return ""
        return f"{urlsplit(path).path}?per_page={size}&page={page + 1}"

    def _body(self, asked: Asked) -> str:
        body = json.loads(asked.body)["body"]
        assert isinstance(body, str)
        assert len(body) <= (1_000_000 if self.gitlab else 65_536)
        return body.replace("\n", "\r\n").rstrip()


@contextmanager
def serving(forge: Comments) -> Iterator[Comments]:
    """The forge behind a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            body = self.rfile.read(length).decode()
            asked = Asked(self.command, self.path, bearer, body)
            status, answer = forge.answer(asked)
            data = json.dumps(answer).encode()
            self.send_response(status)
            if status in (429, 503):
                self.send_header("Retry-After", "0")
            if status == 302:
                self.send_header("Location", f"{forge.api}/user")
            if isinstance(answer, list):
                more = forge.next_page(self.path)
                self.send_header(
                    "Link", f'<{forge.api}{more}>; rel="next"' * bool(more)
                )
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Tests ask for what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    forge.api = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

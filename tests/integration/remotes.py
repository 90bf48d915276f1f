"""Real remotes for tests: bare repositories, git over HTTP and SSH, and a line that is cut."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Credentials, Remote, Repository, create_bare

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOBODY = Credentials()
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def git(folder: Path, *args: str, **env: str) -> str:
    """Run git as a person would, without this machine's configuration."""
    done = subprocess.run(
        ["git", "-C", str(folder), *args],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
            "GIT_MERGE_AUTOEDIT": "no",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def draft(path: str, data: bytes | None, subject: str = "Change it") -> CommitDraft:
    """A commit of one file."""
    return CommitDraft(
        subject=subject, body="", units=(), writes=(FileWrite(path=path, data=data),)
    )


@dataclass
class Place:
    """A bare repository and a work tree of a person beside it."""

    root: Path
    bare: Path = field(init=False)
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.bare, self.work = self.root / "remote.git", self.root / "work"
        create_bare(self.bare, "main")
        git(self.bare, "config", "http.receivepack", "true")

    def open(
        self, url: str = "", *, cache: str = "cache", **more: object
    ) -> Repository:
        """Our view of it, fetched."""
        repository = self.unfetched(url, cache=cache, **more)
        repository.fetch()
        return repository

    def unfetched(
        self, url: str = "", *, cache: str = "cache", **more: object
    ) -> Repository:
        """Our view of it before the first fetch."""
        more.setdefault("credentials", NOBODY)
        remote = Remote(url=url or str(self.bare), **more)  # type: ignore[arg-type]
        return Repository.open(remote, self.root / cache, renderer=3)

    def person(self) -> Path:
        """An up-to-date work tree."""
        if not self.work.exists():
            git(self.root, "clone", "-q", str(self.bare), str(self.work))
        else:
            git(self.work, "pull", "-q", "--ff-only")
        return self.work

    def commits(self, path: str, text: str, message: str = "by hand") -> str:
        """A person's commit, pushed; returns its id."""
        work = self.person()
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", message)
        git(work, "push", "-q", "origin", "HEAD:main")
        return self.tip()

    def tip(self) -> str:
        """What the remote's branch names."""
        return git(self.bare, "rev-parse", "refs/heads/main")

    def ids(self) -> list[str]:
        """The remote's first-parent history, newest first."""
        return git(self.bare, "rev-list", "--first-parent", "main").split()

    def hook(self, name: str, script: str) -> None:
        """Install a hook of the remote."""
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


class _Backend(BaseHTTPRequestHandler):
    """`git http-backend` as a CGI program, with an optional login and redirect."""

    protocol_version = "HTTP/1.1"
    root: ClassVar[Path]
    login: ClassVar[str]
    moved_to: ClassVar[str]
    old: ClassVar[bool]
    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._serve(self.rfile.read(length) if length else self._chunks())

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _serve(self, body: bytes) -> None:
        authorization = self.headers.get("Authorization", "")
        self.seen.append(authorization)
        if self.moved_to:
            return self._answer(302, {"Location": self.moved_to + self.path}, b"")
        wanted = base64.b64encode(self.login.encode()).decode()
        if self.login and authorization != f"Basic {wanted}":
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"no")
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": "" if self.old else self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=env,
            capture_output=True,
            timeout=60,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        headers = {key: value for key, value in lines}
        status = int(headers.pop("Status", "200 OK").split()[0])
        return self._answer(status, headers, content)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        with suppress(ConnectionError):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A line that is cut on purpose is no news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A running server: its URL and the Authorization headers that it saw."""

    url: str
    port: int
    seen: list[str]


@contextmanager
def web(
    root: Path, login: str = "", moved_to: str = "", old: bool = False
) -> Iterator[Web]:
    """Serve the repositories of a folder over HTTP; `old`: only the first protocol."""
    seen: list[str] = []
    fields = {
        "root": root,
        "login": login,
        "moved_to": moved_to,
        "seen": seen,
        "old": old,
    }
    server = _Server(("127.0.0.1", 0), type("Handler", (_Backend,), fields))
    port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Web(url=f"http://127.0.0.1:{port}", port=port, seen=seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Line:
    """A TCP line to a port that can be cut after some bytes in one direction."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left: dict[str, int | None] = {"up": None, "down": None}
        self.passed = {"up": 0, "down": 0}
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def whole(self) -> None:
        """Pass everything from now on, and count from nothing."""
        self.cut(None, None)

    def cut(self, up: int | None, down: int | None) -> None:
        """Cut the line after this many more bytes to or from the server."""
        with self._lock:
            self._left = {"up": up, "down": down}
            self.passed = {"up": 0, "down": 0}

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for way, one, other in (("up", near, far), ("down", far, near)):
                    thread = threading.Thread(
                        target=self._pump, args=(way, one, other), daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, way: str, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                allowed = self._allowed(way, len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if way == "down":
                end.close()

    def _allowed(self, way: str, size: int) -> int:
        with self._lock:
            left = self._left[way]
            allowed = size if left is None else min(left, size)
            if left is not None:
                self._left[way] = left - allowed
            self.passed[way] += allowed
            return allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """A running sshd: a user's key file, and its host's public key line."""

    port: int
    user: str
    key: Path
    host_key: str


@contextmanager
def ssh_server(folder: Path) -> Iterator[Ssh]:
    """A real sshd on a free port that lets one key in."""
    assert SSHD is not None
    folder.mkdir()
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(keygen, check=True, timeout=30)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/authorized\nPidFile none\nStrictModes no\n"
        "UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    sshd = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE
    )
    assert sshd.stderr is not None
    try:
        while b"Server listening" not in (line := sshd.stderr.readline()):
            assert line, "sshd ended"
        yield Ssh(
            port=port,
            user=os.environ.get("USER") or "root",
            key=folder / "user",
            host_key=" ".join((folder / "host.pub").read_text().split()[:2]),
        )
    finally:
        sshd.terminate()
        sshd.wait(10)
        sshd.stderr.close()

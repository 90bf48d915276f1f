"""Real programs as children of a test run: start, wait, stop (does I/O).

Nothing that is started here outlives the run: each program has a process group of its
own that `reaper.py` knows of. Scratch folders come from here for the same reason.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL = 0.05
TAIL = 40


class ProcessError(RuntimeError):
    """A program died, or was not ready in time; the message ends with its log."""


class Reaper:
    """The line to the one `reaper.py` process of this run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None

    def _pipe(self) -> IO[str]:
        if self._child is None:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(Path(__file__).with_name("reaper.py")),
                ],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
                cwd="/",
            )
            # Not earlier: another stack of this process may still need it.
            atexit.register(self.close)
        if self._child.stdin is None:
            raise ProcessError("the reaper has no stdin")
        return self._child.stdin

    def _send(self, line: str) -> None:
        with self._lock:
            pipe = self._pipe()
            pipe.write(f"{line}\n")
            pipe.flush()

    def remember(self, kind: str, value: str) -> None:
        """End `value` when this run ends (`kind`: group, address, folder)."""
        self._send(f"+ {kind} {value}")

    def forget(self, kind: str, value: str) -> None:
        """`value` has been ended, or is to be kept."""
        self._send(f"- {kind} {value}")

    def close(self) -> None:
        """End everything that is still remembered, and the reaper itself."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None and child.stdin is not None:
                child.stdin.close()
                child.wait(timeout=30)


REAPER = Reaper()


def scratch(name: str) -> Path:
    """A new empty folder that is removed when the run ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"wharfinger-{name}-"))
    REAPER.remember("folder", str(folder))
    return folder


def wait_until(
    ready: Callable[[], bool], what: str, *, seconds: float = 30.0, poll: float = POLL
) -> None:
    """Return when `ready()` is true; raise TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(poll)


def listens(host: str, port: int) -> Callable[[], bool]:
    """A predicate: does a TCP connect to `host:port` succeed?"""

    def connects() -> bool:
        try:
            with socket.create_connection((host, port), timeout=1):
                return True
        except OSError:
            return False

    return connects


def answers(url: str) -> Callable[[], bool]:
    """A predicate: does a plain HTTP GET of `url` answer with 200?"""

    def fetches() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return fetches


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start. `env` is added to a minimal environment, nothing is inherited.

    `ready` is asked again and again until it is true, for at most `seconds`.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Callable[[], bool] | None = None
    seconds: float = 60.0

    def environment(self) -> dict[str, str]:
        """The whole environment of the program."""
        least = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        return {**least, **self.env}


class Daemon:
    """One program that runs in the background, with its log in `logs/<name>.log`."""

    def __init__(self, command: Command, logs: Path) -> None:
        self.command = command
        self.log = logs / f"{command.name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child and self.running else None

    @property
    def running(self) -> bool:
        """Has it been started, and not ended yet?"""
        return self._child is not None and self._child.poll() is None

    def launch(self) -> Self:
        """Start it and do not wait; the log is appended to."""
        if self.running:
            raise ProcessError(f"{self.command.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command.argv,
                env=self.command.environment(),
                cwd=self.command.cwd or "/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        REAPER.remember("group", str(self._child.pid))
        return self

    def wait(self) -> Self:
        """Return when it is ready; raise ProcessError when it died or took too long."""
        ready, seconds = self.command.ready, self.command.seconds
        deadline = time.monotonic() + seconds
        while self.running:
            if ready is None or ready():
                return self
            if time.monotonic() > deadline:
                self.stop()
                raise ProcessError(f"not ready within {seconds:g} s: {self._story()}")
            time.sleep(POLL)
        code = self._child.returncode if self._child else None
        raise ProcessError(f"ended with {code} before it was ready: {self._story()}")

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        return self.launch().wait()

    def stop(self, *, patience: float = 5.0) -> None:
        """TERM, then after `patience` seconds KILL, to the whole group."""
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=10)
        REAPER.forget("group", str(child.pid))

    def _story(self) -> str:
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            tail = "".join(deque(lines, maxlen=TAIL))
        return (
            f"{self.command.name} ({' '.join(self.command.argv)}), {self.log}:\n{tail}"
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(*argv: str, stdin: str = "", seconds: float = 60.0) -> str:
    """Run a short program to its end; its stdout, or ProcessError with all output."""
    done = subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        shown = f"{done.stdout}{done.stderr}".strip()
        raise ProcessError(f"{' '.join(argv)} ended with {done.returncode}: {shown}")
    return done.stdout

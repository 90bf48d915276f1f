"""Runs git and ssh-keygen as children: clean environment, argument lists, time limits (I/O).

Credentials travel in the environment of the one child that needs them, never in an argument
vector, and never in what is said about its failure. A child that is not ended by itself is
killed with its whole process group.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from reconciler.errors import Usage

WORDS = 1 << 17  # bytes kept of what a child says; the rest is read and dropped
_CHUNK = 1 << 16
_KEPT = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended. `timed_out`: it was killed; `cut`: it said more than was kept."""

    code: int
    output: bytes
    errors: bytes
    timed_out: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may take: seconds, and bytes of its output that are kept.

    `inherited` is a lock's descriptor: the lock lives until the child has ended, also when we
    are killed before.
    """

    seconds: float
    kept: int = WORDS
    inherited: int | None = None


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What children may see of ours: no configuration, no prompts, no tracing, no hooks."""
    kept = (*_KEPT, *_PROXIES, *map(str.upper, _PROXIES))
    found = {name: environ[name] for name in kept if name in environ}
    if (
        "SSL_CERT_FILE" in environ
    ):  # what everything else here honours, and git does not
        found.setdefault("GIT_SSL_CAINFO", environ["SSL_CERT_FILE"])
    found.update(
        LC_ALL="C",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_ATTR_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_OPTIONAL_LOCKS="0",
    )
    return found


def run_child(
    argv: Sequence[str],
    env: Mapping[str, str],
    limits: Limits,
    stdin: bytes | Iterable[bytes] = b"",
) -> Ended:
    """Run a child without a terminal; parts of its input are made while it reads.

    Raises OSError when it cannot be started, and what making its input raises.
    """
    parts = (stdin,) if isinstance(stdin, bytes) else stdin
    with subprocess.Popen(
        list(argv),
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        pass_fds=() if limits.inherited is None else (limits.inherited,),
    ) as child:
        try:
            return _converse(child, limits, _Input(_pipe(child.stdin), parts))
        finally:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


class _Input:
    """What a child is to read: written as far as it takes it, so that it cannot block us."""

    def __init__(self, pipe: IO[bytes], parts: Iterable[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self.pipe = pipe
        self._parts = iter(parts)
        self._rest = memoryview(b"")

    def step(self) -> bool:
        """Write some; false when nothing more is to be written."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return False
            self._rest = memoryview(part)
        try:
            written = os.write(self.pipe.fileno(), self._rest)
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self._rest = self._rest[written:]
        return True


class _Output:
    """What a child says on one pipe, as much of it as is kept."""

    def __init__(self, pipe: IO[bytes], kept: int) -> None:
        self.pipe = pipe
        self.said = bytearray()
        self.cut = False
        self._kept = kept

    def step(self) -> bool:
        """Read some; false at the end."""
        data = os.read(self.pipe.fileno(), _CHUNK)
        room = self._kept - len(self.said)
        self.said.extend(data[:room])
        self.cut = self.cut or len(data) > room
        return bool(data)


def _converse(child: subprocess.Popen[bytes], limits: Limits, entry: _Input) -> Ended:
    """Feed and drain the child until both of its outputs are closed or the time is over."""
    deadline = time.monotonic() + limits.seconds
    outputs = [
        _Output(_pipe(each), limits.kept) for each in (child.stdout, child.stderr)
    ]
    late = False
    with selectors.DefaultSelector() as selector:
        selector.register(entry.pipe, selectors.EVENT_WRITE, entry)
        for each in outputs:
            selector.register(each.pipe, selectors.EVENT_READ, each)
        while not late and not all(each.pipe.closed for each in outputs):
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            late = not ready or time.monotonic() > deadline
            for key, _ in ready:
                if not key.data.step():
                    selector.unregister(key.fileobj)
                    key.data.pipe.close()
    output, errors = outputs
    return Ended(
        code=-1 if late else _exit_code(child, deadline),
        output=bytes(output.said),
        errors=bytes(errors.said),
        timed_out=late or child.returncode is None,
        cut=output.cut or errors.cut,
    )


def installed(program: str, package: str) -> str:
    """The path of a program. Raises Usage."""
    found = shutil.which(program)
    if found is None:
        raise Usage(
            f"{program} is not installed",
            hint=f"install it, for example with `apt-get install {package}`",
        )
    return found


def _exit_code(child: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return child.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return -1


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the child was started without this pipe")
    return pipe

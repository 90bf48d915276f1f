"""Runs git and ssh-keygen as children: clean environment, argument lists, time limits (I/O).

Credentials travel in the environment of the one child that needs them, never in an argument
vector, and never in what is said about its failure. A child that is not ended by itself is
killed with its whole process group.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

WORDS = 1 << 17  # bytes kept of what a child says; the rest is read and dropped
_CHUNK = 1 << 16
_PIPE = 1 << 15  # what every system's pipe takes without a reader
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
    argv: Sequence[str], env: Mapping[str, str], limits: Limits, stdin: bytes = b""
) -> Ended:
    """Run a child without a terminal. Raises OSError when it cannot be started."""
    with (
        _long(stdin) as entry,
        subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.PIPE if entry is None else entry,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            pass_fds=() if limits.inherited is None else (limits.inherited,),
        ) as child,
    ):
        try:
            return _converse(child, limits, stdin if entry is None else b"")
        finally:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def _long(stdin: bytes) -> Iterator[IO[bytes] | None]:
    """A file with an input that is too long for a pipe: a child that hangs cannot block us."""
    if len(stdin) <= _PIPE:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        yield file


def _converse(child: subprocess.Popen[bytes], limits: Limits, stdin: bytes) -> Ended:
    """Feed and drain the child until both of its pipes are closed or the time is over."""
    deadline = time.monotonic() + limits.seconds
    _feed(child, stdin)
    said = {"stdout": bytearray(), "stderr": bytearray()}
    cut = late = False
    with selectors.DefaultSelector() as selector:
        selector.register(_pipe(child.stdout), selectors.EVENT_READ, said["stdout"])
        selector.register(_pipe(child.stderr), selectors.EVENT_READ, said["stderr"])
        while selector.get_map() and not late:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            late = not ready
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                room = limits.kept - len(key.data)
                key.data.extend(data[:room])
                cut = cut or len(data) > room
                if not data:
                    selector.unregister(key.fileobj)
    return Ended(
        code=-1 if late else _exit_code(child, deadline),
        output=bytes(said["stdout"]),
        errors=bytes(said["stderr"]),
        timed_out=late or child.returncode is None,
        cut=cut,
    )


def _feed(child: subprocess.Popen[bytes], stdin: bytes) -> None:
    """Give it all of its input, which fits into a pipe, and the end of it."""
    if child.stdin is None:
        return  # it has a file
    entry = child.stdin
    with contextlib.suppress(BrokenPipeError):
        entry.write(stdin)
        entry.flush()
    with contextlib.suppress(BrokenPipeError):
        entry.close()


def _exit_code(child: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return child.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return -1


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the child was started without this pipe")
    return pipe

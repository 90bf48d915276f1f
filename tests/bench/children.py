"""Runs a command in a process of its own and says what it took: time, processor, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """`seconds` on the wall, `processor` seconds of it and its children, peak memory in MiB."""

    seconds: float
    processor: float
    mebibytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s ({self.processor:.2f} s of processors), {self.mebibytes:.0f} MiB"


def took(
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdin: Path | None = None,
) -> Took:
    """Run it without output; on the wall it is only what other work leaves. Raises SystemExit."""
    environ = os.environ if environment is None else environment
    started = time.monotonic()
    with (stdin or Path(os.devnull)).open("rb") as entry:
        child = subprocess.Popen(
            list(argv),
            env=environ,
            stdin=entry,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(argv[:3])} ended with {child.returncode}")
    return Took(
        seconds=seconds,
        processor=usage.ru_utime + usage.ru_stime,
        mebibytes=usage.ru_maxrss / 1024,
    )

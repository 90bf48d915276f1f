"""Ends what a test run started, also when the run itself was killed (does I/O).

Runs as a process of its own, in its own session. It reads lines from stdin: ``+ KIND
VALUE`` remembers a thing, ``- KIND VALUE`` forgets it. When stdin ends, because the
parent closed it or died in any way, all that is still remembered is ended: process
groups are killed, network namespaces and links deleted, addresses taken off the
loopback device, folders and files removed. It is a
pipe and not ``PR_SET_PDEATHSIG`` because that signal follows the *thread* that forked,
and clusters are started from threads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys

KINDS = ("group", "netns", "link", "address", "folder")


def end(kind: str, value: str) -> None:
    """End one remembered thing; one that is gone already is fine."""
    match kind:
        case "group":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(value), signal.SIGKILL)
        case "netns":
            _ip("netns", "del", value)
        case "link":
            _ip("link", "del", value)
        case "address":
            _ip("addr", "del", f"{value}/32", "dev", "lo")
        case "folder" if os.path.isfile(value):
            os.unlink(value)
        case "folder":
            shutil.rmtree(value, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=False, stderr=subprocess.DEVNULL)


def main() -> None:
    """Remember and forget until stdin ends, then end the rest, groups first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    remembered: dict[tuple[str, str], None] = {}
    for line in sys.stdin:
        sign, kind, value = line.rstrip("\n").split(" ", 2)
        if sign == "+":
            remembered[kind, value] = None
        else:
            remembered.pop((kind, value), None)
    for wanted in KINDS:
        for kind, value in remembered:
            if kind == wanted:
                end(kind, value)


if __name__ == "__main__":
    main()

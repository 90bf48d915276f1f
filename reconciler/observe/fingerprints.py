"""Whether a folder is as it was, without reading what is in its files (reads folders)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A fingerprint, and when something in the folder was changed last, in nanoseconds.

    What was changed a moment ago can be changed again within the same tick of the clock. The
    time is the kernel's own: a file's modification time is whatever somebody set.
    """

    print: str
    newest: int


def fingerprint(folder: Path) -> str:
    """Equal while names, sizes, inodes and times of all files in it are; hexadecimal.

    Links to files count as what they lead to. What cannot be looked at has a fingerprint too,
    which is another one as soon as it can.
    """
    return look(folder).print


def look(folder: Path) -> Look:
    """The fingerprint of a folder, and when it was changed."""
    digest, newest = hashlib.sha256(), 0
    waiting = [os.fsencode(folder)]
    while waiting:
        current = waiting.pop()
        digest.update(b"%b\0" % current)
        try:
            with os.scandir(current) as found:
                entries = sorted(found, key=lambda each: each.name)
        except OSError as exc:
            digest.update(b"unreadable %d\0" % (exc.errno or 0))
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                said, at = b"folder", 0
            else:
                said, at = _status(entry)
            newest = max(newest, at)
            digest.update(b"%b\0%b\0" % (entry.name, said))
    return Look(print=digest.hexdigest(), newest=newest)


def _status(entry: os.DirEntry[bytes]) -> tuple[bytes, int]:
    try:
        status = entry.stat()
    except OSError as exc:
        return b"unreadable %d" % (exc.errno or 0), 0
    said = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return b"%d %d %d %d" % said, status.st_ctime_ns

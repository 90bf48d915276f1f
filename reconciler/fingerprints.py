"""What tells whether a cluster's folder is still what it was (reads files).

A one-shot pass compares content: a checkout of a CI job has other times and inodes each time. For
a process that looks at the same folders again and again see `observe/fingerprints.py`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from reconciler.directory import Faulty, contents


class Fingerprint:
    """A digest over the name of a folder and its files, fed in the order in which they are read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digest = hashlib.blake2b(digest_size=32)
        self._part(os.fsencode(folder.name))

    def add(self, file: Path, data: bytes) -> None:
        """One more file and its content."""
        self._part(os.fsencode(file.relative_to(self._folder)))
        self._part(data)

    def _part(self, data: bytes) -> None:
        # With its length before it no part can pass for two.
        self._digest.update(len(data).to_bytes(8, "big"))
        self._digest.update(data)

    def __str__(self) -> str:
        return self._digest.hexdigest()


def folders_of(root: Path) -> list[Path]:
    """The folders of a directory of clusters, sorted. Raises OSError."""
    return sorted(
        each
        for each in root.iterdir()
        if each.is_dir() and not each.name.startswith(".")
    )


def fingerprint(folder: Path) -> str:
    """Of everything that observing the folder reads; empty where it cannot be read whole."""
    found = Fingerprint(folder)
    try:
        for file, data in contents(folder):
            found.add(file, data)
    except (OSError, Faulty):
        return ""
    return str(found)

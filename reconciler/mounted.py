"""Secrets that a deployment mounts beside us: a folder of small files per name (reads files).

The ingress repository names the folder and nothing in it: neither the secret nor the address that
it is sent to may be chosen by who can push there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.model.clusters import Why

VARIABLE = "WHARFINGER_CREDENTIALS"
_MAX_FILE = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One folder of credentials. It is read anew each time, so that rotation is followed."""

    folder: Path

    def text(self, name: str) -> str:
        """A file's text without white space around it. Raises RefusedKubeconfig."""
        found = self.maybe(name)
        if not found:
            raise RefusedKubeconfig(
                f"there is no file {name} in it, or it is empty",
                str(self.folder),
                why=Why.UNAUTHORISED,
            )
        return found

    def maybe(self, name: str) -> str:
        """As `text`, empty where there is no such file. Raises RefusedKubeconfig."""
        path = self.folder / name
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as exc:
            raise RefusedKubeconfig(exc.strerror or "unreadable", str(path)) from None
        if len(data) > _MAX_FILE:
            raise RefusedKubeconfig(f"more than {_MAX_FILE} bytes", str(path))
        try:
            return data.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise RefusedKubeconfig("not a text in UTF-8", str(path)) from None


def mounted(name: str) -> Mounted:
    """The folder of this name (a DNS label). Raises RefusedKubeconfig."""
    root = os.environ.get(VARIABLE, "")
    if not root:
        raise RefusedKubeconfig(
            f"{VARIABLE} is not set: it names the folder that credentials are mounted in",
            name,
            why=Why.UNAUTHORISED,
        )
    return Mounted(folder=Path(root) / name)

"""Reads policies from the package, from the checkout and from folders (does I/O)."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from reconciler.errors import Usage
from reconciler.policies.documents import PolicySet, parse_policies


def builtin_policies() -> PolicySet:
    """The policies for the platform cluster that come with Wharfinger."""
    packaged = resources.files("reconciler") / "_policies"
    if packaged.is_dir():
        return _all(packaged, "policies")
    return _all(Path(__file__).parents[2] / "policies", "policies")


def policies_in(folder: Path) -> PolicySet:
    """The policies of a folder, not of folders in it, as `kubectl apply -f` takes them.

    Raises Usage when there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise Usage("there is no such folder", where=str(folder))
    found = _all(folder, str(folder))
    if not found.policies:
        raise Usage("there is no ValidatingAdmissionPolicy in it", where=str(folder))
    return found


def _all(folder: Traversable, shown: str) -> PolicySet:
    found = PolicySet()
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.is_file() and file.name.endswith((".yaml", ".yml", ".json")):
            found |= parse_policies(f"{shown}/{file.name}", _bytes(file, shown))
    return found


def _bytes(file: Traversable, shown: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Usage(str(exc.strerror), where=f"{shown}/{file.name}") from exc

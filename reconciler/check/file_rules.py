"""Which files may lie in our folders: the layout, regular, small, one name each; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from reconciler.check.findings import Finding, finding
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.model.changes import EXECUTABLE, LINK, REGULAR, SUBMODULE
from reconciler.model.repository import File

GATEWAY_FILES = ("gateway.yaml", "service.yaml")
_EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]*\Z")
# Whole shapes; that names are canonical and agree with the content is for other rules.
_LAYOUT = re.compile(
    r"wharfinger\.yaml"
    r"|clusters/[^/]+\.yaml"
    r"|(?:ports|hosts)/[^/]+/[^/]+"
    rf"|manifests/[^/]+/(?:{'|'.join(map(re.escape, GATEWAY_FILES))})"
    r"|manifests/[^/]+/[^/]+/api(?:\.endpoints)?\.yaml"
    r"|manifests/[^/]+/[^/]+/[^/.]+/vs-[^/]+\.yaml"
    r"|manifests/[^/]+/[^/]+/cf\.(domain|tcp)/\1-[^/]+\.yaml"
    r"|holds/.+"
)
_MODES = {
    LINK: "a symbolic link",
    SUBMODULE: "a submodule",
    EXECUTABLE: "executable",
}


def mode_fault(mode: int) -> str:
    """What a mode makes of a path, empty for a regular file."""
    return "" if mode == REGULAR else _MODES.get(mode, f"of mode {mode:o}")


def files_fit(subject: Subject) -> Iterator[Finding]:
    """Modes, shapes, names and sizes of all our files."""
    for path, file in subject.files.items():
        fault = mode_fault(file.mode)
        if fault:
            what = f"is {fault}; only regular files belong here"
            yield finding(Code.NO_REGULAR_FILE, path, what)
        elif not _PLAIN.match(path):
            yield finding(Code.UNSAFE_NAME, path, "has a name that nothing of ours has")
        elif _LAYOUT.fullmatch(path) is None:
            yield finding(
                Code.FOREIGN_FILE, path, "is no file of the layout; nobody renders it"
            )
        elif _is_unread(file):
            yield finding(Code.FILE_TOO_LARGE, path, "is larger than 1 MiB")
    for path, other in collisions(subject.files):
        what = f"differs from {other} only in case or spelling"
        yield finding(Code.NAMES_COLLIDE, path, what)


def _is_unread(file: File) -> bool:
    """A file beyond the limit is listed without its content."""
    return not file.data and file.blob != _EMPTY_BLOB


def folded(path: str) -> str:
    """A path as a file system sees it that ignores case and how letters are composed."""
    return unicodedata.normalize("NFKC", path).casefold()


def collisions(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(path, the one that came first) where two paths or their folders would be one."""
    seen: dict[str, str] = {}
    known: set[str] = set()  # that collide with nothing, and their parents neither
    for path in sorted(paths):
        parts = path.split("/")
        walked: list[str] = []
        for depth in range(len(parts), 0, -1):
            part = "/".join(parts[:depth])
            other = seen.setdefault(folded(part), part)
            if other != part:
                yield path, other
                break
            if part in known:
                known.update(walked)
                break
            walked.append(part)
        else:
            known.update(walked)

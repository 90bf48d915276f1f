"""Builds the programs of the stack and copies its files (does I/O).

``python -m tests.stack.build`` makes what is missing in the cache (`pins.py` says where
that is) and nothing else. ``--clean``, and ``CI`` in the environment, remove Go's own
caches (about 20 GB) after a complete build. ``--user-caches`` uses the caches of the
user's Go instead of our own; those are never removed. ``--update`` lets Go write
go.mod and go.sum after a pin was changed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.stack import pins
from tests.stack.documents import load
from tests.stack.gotool import BuildError, Go, find_go
from tests.stack.pins import Asset, Binary


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock of the cache, so that two runs do not build the same twice."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("stack: another run builds, waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_binary(go: Go, wanted: Binary, *, update: bool = False) -> None:
    """Build one program into its place; raises BuildError that names the log file."""
    module = pins.PROGRAMS / wanted.module
    log = pins.cache_root() / "logs" / f"{wanted.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    temporary = log.with_suffix(".new")
    argv = [str(go.program), "build", "-ldflags", f"-s -w {wanted.ldflags}".strip()]
    argv += ["-mod=mod"] if update else []
    argv += ["-tags", wanted.tags] if wanted.tags else []
    with log.open("wb") as output:
        done = subprocess.run(
            [*argv, "-o", str(temporary), wanted.package],
            cwd=module,
            env=go.environment(wanted.toolchain),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise BuildError(
            f"{wanted.name}: go build ended with {done.returncode}, see {log}"
        )
    # After the build: with `update` it may have changed the files that make the key.
    place = pins.binary_path(wanted)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary.rename(place)


def copy_asset(go: Go, wanted: Asset) -> None:
    """Copy one folder out of its module; Helm's lines in CRDs are dropped."""
    source = _module_folder(go, wanted) / wanted.source
    place = pins.asset_path(wanted)
    temporary = place.with_name(f"{place.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    if wanted.glob:
        temporary.mkdir(parents=True)
        found = sorted(source.glob(wanted.glob))
        if not found:
            raise BuildError(f"{wanted.target}: nothing matches {source}/{wanted.glob}")
        for path in found:
            (temporary / path.name).write_text(_without_helm(path.read_text()))
            (temporary / path.name).chmod(0o755 if path.suffix == ".sh" else 0o644)
    else:
        # The module cache is read-only; a copy of its modes could not be removed.
        shutil.copytree(source, temporary, copy_function=shutil.copyfile)
        for path in [temporary, *temporary.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    if wanted.target.startswith("crds/"):
        _join(temporary)
    temporary.rename(place)


def _module_folder(go: Go, wanted: Asset) -> Path:
    toolchain = next(b.toolchain for b in pins.BINARIES if b.module == wanted.program)
    where = pins.PROGRAMS / wanted.program
    module = wanted.module
    if "@" not in module:
        listed = go.json("list", "-m", "-json", module, cwd=where, toolchain=toolchain)
        listed = listed.get("Replace", listed)
        module = f"{listed['Path']}@{listed['Version']}"
    argv = ("mod", "download", "-json", module)
    return Path(go.json(*argv, cwd=where, toolchain=toolchain)["Dir"])


def _without_helm(text: str) -> str:
    return re.sub(r"^\{\{.*\n", "", text, flags=re.MULTILINE)


def _join(folder: Path) -> None:
    """Write all definitions as one JSON list: applying them is then not a parse."""
    documents = [d for p in sorted(folder.glob("*.yaml")) for d in load(p.read_text())]
    (folder / "all.json").write_text(json.dumps(documents))


def make(
    go: Go, wanted: Sequence[Binary | Asset], *, update: bool = False
) -> list[BuildError]:
    """Make all of `wanted`, one line of progress each; the errors of those that failed."""
    errors = []
    for number, item in enumerate(wanted, 1):
        name = item.name if isinstance(item, Binary) else item.target
        started = time.monotonic()
        print(f"stack: {number}/{len(wanted)} {name} ...", end="", flush=True)
        try:
            if isinstance(item, Binary):
                build_binary(go, item, update=update)
            else:
                copy_asset(go, item)
        except BuildError as error:
            errors.append(error)
            print(" failed", flush=True)
        else:
            print(f" {time.monotonic() - started:.0f} s", flush=True)
    return errors


def _remove_work(work: Path) -> None:
    """Remove Go's caches, which `work` (a folder inside ours) alone may hold."""
    if not work.is_dir():
        return
    for folder in (p for p in work.rglob("*") if p.is_dir() and not p.is_symlink()):
        folder.chmod(0o755)
    shutil.rmtree(work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stack.build", description="Build what the stack lacks."
    )
    parser.add_argument("--clean", action="store_true", help="remove Go's caches")
    parser.add_argument("--user-caches", action="store_true", help="use ~/go")
    parser.add_argument("--update", action="store_true", help="write go.mod, go.sum")
    parser.add_argument("--only", default="", help="names, separated by commas")
    return parser.parse_args()


def main() -> int:
    """Build what is missing; 0, or 1 with the errors on stderr."""
    arguments = _arguments()
    if packages := pins.missing_packages():
        print(f"stack: apt-get install -y {' '.join(packages)}", file=sys.stderr)
        return 1
    work = pins.cache_root() / "work"
    with _alone(pins.cache_root()):
        wanted = _selected(arguments.only)
        errors: list[BuildError] = []
        if wanted:
            go = find_go(None if arguments.user_caches else work)
            errors = make(go, wanted, update=arguments.update)
        for error in errors:
            print(f"stack: {error}", file=sys.stderr)
        left = pins.missing()
        if not left and (arguments.clean or os.environ.get("CI")):
            _remove_work(work)
    if not left:
        print(f"stack: complete in {pins.cache_root()}")
    return 1 if errors else 0


def _selected(only: str) -> tuple[Binary | Asset, ...]:
    names = set(filter(None, only.split(",")))
    return tuple(
        item
        for item in pins.missing()
        if not names
        or (item.name if isinstance(item, Binary) else item.target) in names
    )


if __name__ == "__main__":
    sys.exit(main())

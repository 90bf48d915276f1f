"""Asks Envoy's own validator about units before anything changes (runs a program)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.envoyunits import Joined, Resources, join
from reconciler.errors import TimedOut, Usage
from reconciler.settings import Gateway

SECONDS = 120.0


def refused_by(
    program: Path, units: Mapping[str, Resources], gateway: Gateway, bind: str
) -> dict[str, str]:
    """The units that Envoy would refuse, with what it says. Raises Usage, TimedOut."""

    def fault(some: Sequence[str]) -> str:
        chosen = {path: units[path] for path in some}
        return _validated(program, join(chosen, gateway, bind))

    return dict(_search(tuple(units), fault))


def _search(
    paths: Sequence[str], fault: Callable[[Sequence[str]], str]
) -> Iterable[tuple[str, str]]:
    """Halves what is refused until each bad unit is alone: few runs for few bad units."""
    reason = fault(paths) if paths else ""
    if not reason:
        return
    if len(paths) == 1:
        yield paths[0], reason
        return
    middle = len(paths) // 2
    yield from _search(paths[:middle], fault)
    yield from _search(paths[middle:], fault)


def _validated(program: Path, joined: Joined) -> str:
    """Why Envoy refuses this configuration; empty when it does not. Raises Usage, TimedOut."""
    resources = {"listeners": joined.listeners, "clusters": joined.clusters}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"static_resources": resources}, file)
        file.flush()
        quiet = (
            "--log-level",
            "critical",
            "--log-format",
            "%v",
            "--use-dynamic-base-id",
        )
        argv = (str(program), "--mode", "validate", "-c", file.name, *quiet)
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as exc:
            raise TimedOut(
                f"Envoy did not validate in {SECONDS:.0f} s", where=argv[0]
            ) from exc
        except OSError as exc:
            raise Usage(f"cannot run {argv[0]}: {exc.strerror}") from exc
    said = " ".join((done.stdout + done.stderr).split()).rpartition(f"'{file.name}': ")[
        2
    ]
    return "" if done.returncode == 0 else said[:300] or f"exit {done.returncode}"

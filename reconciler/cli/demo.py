"""`wharfinger demo`: the main job in about a minute, on this machine alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from reconciler import log
from reconciler.cli.options import option
from reconciler.demo.stage import build, new_folder, workloads
from reconciler.demo.story import Story, next_steps


@click.command("demo")
@click.argument("folder", default="wharfinger-demo", type=click.Path(path_type=Path))
@option("--debug", is_flag=True, help="Show logs.")
def command(folder: Path, debug: bool) -> None:
    """See everything work: two clusters, real Git, real Envoy, real bytes.

    FOLDER is made anew and left for you to play with.
    """
    log.configure(verbose=debug, quiet=not debug)
    started = time.monotonic()
    folder = folder.absolute()
    new_folder(folder)
    teller = _Teller()
    with workloads() as ports:
        stage = build(folder, ports)
        Story(stage=stage, teller=teller).tell()
    teller.step(
        f"Done in {time.monotonic() - started:.0f} s; everything is in {folder}"
    )
    teller.say("Envoy and the workloads have stopped; clusters and Git are yours. Try:")
    teller.code(next_steps(stage), "console")


class _Teller:
    """Tells the story on a terminal with colours, in a pipe as plain text."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._count = 0

    def step(self, title: str) -> None:
        self._count += 1
        text = f"{self._count}. {title}"
        if self._console.is_terminal:
            self._console.print()
            self._console.print(
                Rule(Text(text, style="bold cyan"), align="left", style="cyan")
            )
        else:
            click.echo(f"\n== {text}")

    def say(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.print(Text(text))
        else:
            click.echo(text)

    def code(self, text: str, language: str) -> None:
        if self._console.is_terminal:
            syntax = Syntax(
                text,
                language,
                theme="ansi_dark",
                background_color="default",
                word_wrap=True,
            )
            self._console.print(Panel(syntax, border_style="dim", expand=False))
        else:
            click.echo("\n".join(f"    {line}" for line in text.splitlines()))

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{text} ..."):
                yield
        else:
            yield
        self.say(f"[{time.monotonic() - started:.1f} s] {text}")

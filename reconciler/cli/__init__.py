"""The command line: one file a command, loaded only when it is called (I/O).

A new command is a file here with a click command named `command`, and a line in `COMMANDS`.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from reconciler.errors import Exit, ReconcileError
from reconciler.printable import one_line, printable, without_secrets

COMMANDS = {
    "accept-cluster": "Accept a recreated cluster as the successor of the old one.",
    "accept-rewind": "Accept that commits of the branch are lost.",
    "check": "Check an ingress repository offline.",
    "ci": "Run plan, reconcile or check as a CI job.",
    "demo": "See everything work on this machine, without Docker or a cluster.",
    "doctor": "Examine permissions, CRDs, certificates, push rights and room.",
    "envoy-sync": "Feed plain Envoy from the ingress repository.",
    "explain": "Explain a reason code or a unit.",
    "get": "List routes, ports, hosts, clusters, holds or gateways.",
    "history": "Tell what happened to a unit, a port or a gateway.",
    "hold": "Hold a unit, a cluster or all as they are in Git.",
    "import": "Adopt ports that are served already into the ledger.",
    "init": "Start an ingress repository.",
    "kubeconfig": "Print a kubeconfig for a cluster behind the gateway.",
    "plan": "Show what a pass would commit; change nothing.",
    "prove": "Prove what is served and write it back.",
    "reconcile": "Make one pass: plan, commit, prove, write back.",
    "release": "End the hold of a unit.",
    "revert": "Undo one decision: a unit's last change, or one commit.",
    "run": "Make passes until stopped.",
    "schema": "Print the JSON Schema of wharfinger.yaml.",
    "transfer": "Give a port to another unit without a gap.",
    "version": "Print the version.",
    "who-had": "Tell whose a port was at a date.",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE
_EPILOG = """\
Every option has a twin in the environment: --last-seen is WHARFINGER_LAST_SEEN.

\b
Exit codes, the first of 1, 2, 4, 6, 7, 3, 5 counts:
  0 done           4 credentials    7  timeout
  1 a bug          5 blocked        10 changes pending (plan --exit-code)
  2 usage          6 conflict
  3 incomplete: something could not be reached or read

\b
Completion: eval "$(_WHARFINGER_COMPLETE=bash_source wharfinger)"
"""


class _PipeClosed(Exception):
    """Nobody reads our output any more, as after `| head`."""


class Commands(click.Group):
    """Finds a command by its file, so that `--help` and completion load none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded from its file."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with "did you mean"."""
        name = args[0]
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        unknown = name not in COMMANDS and not name.startswith("-")
        if unknown and near and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {name!r}, did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The list of commands, from the one line that each has here."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Names of commands with their line, and options of the group."""
        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        """As click does it, but a closed pipe ends with our exit code, not with click's 1."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise _PipeClosed from exc
            raise
        return result


@click.command(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    None, "--version", package_name="wharfinger", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Expose many Kubernetes clusters through one front door; Git is the interface."""


def main() -> None:
    """Run a command and end the process with the exit code of the contract."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run a command; the exit code. Errors are told on stderr, a traceback only for --debug."""
    try:
        code = cli.main(list(arguments), prog_name="wharfinger", standalone_mode=False)
    except click.UsageError as exc:
        _tell_usage(exc)
        return Exit.USAGE
    except click.ClickException as exc:
        _tell(exc.format_message())
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except _PipeClosed:
        _forget_stdout()
        return PIPE_CLOSED
    except ReconcileError as exc:
        if _is_debug(arguments):
            traceback.print_exc()
        _tell(str(exc))
        return exc.exit
    # The one broad catch of the program: a bug, too, ends with a line and the contract's code.
    except Exception as exc:
        if _is_debug(arguments):
            traceback.print_exc()
        what = one_line(str(exc), limit=300)
        _tell(f"{type(exc).__name__}: {what} (--debug shows where)")
        return Exit.ERROR
    return code if isinstance(code, int) else Exit.DONE


def _is_debug(arguments: Sequence[str]) -> bool:
    named = os.environ.get("WHARFINGER_DEBUG", "").lower()
    return "--debug" in arguments or named in ("1", "true", "t", "yes", "y", "on")


def _tell(what: str) -> None:
    click.echo(f"error: {printable(without_secrets(what))}", err=True)


def _tell_usage(exc: click.UsageError) -> None:
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        click.echo(exc.format_message(), err=True)
        return
    if exc.ctx is not None:
        click.echo(exc.ctx.get_usage(), err=True)
        click.echo(f"`{exc.ctx.command_path} --help` shows more.", err=True)
    _tell(exc.format_message())


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of failing loudly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

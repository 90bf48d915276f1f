"""The command line: one file a command, loaded only when it is called (I/O)."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

from reconciler.errors import Exit, ReconcileError

COMMANDS = {
    "accept-cluster": "Accept a recreated cluster as the successor of the old one.",
    "check": "Check an ingress repository offline.",
    "demo": "See everything work on this machine, without Docker or a cluster.",
    "envoy-sync": "Feed plain Envoy from the ingress repository.",
    "explain": "Explain a reason code or a unit.",
    "get": "List routes, ports, hosts, clusters or holds.",
    "hold": "Hold a unit, a cluster or all as they are in Git.",
    "init": "Start an ingress repository.",
    "kubeconfig": "Print a kubeconfig for a cluster behind the gateway.",
    "plan": "Show what a pass would commit; change nothing.",
    "prove": "Prove what is served and write it back.",
    "reconcile": "Make one pass: plan, commit, prove, write back.",
    "release": "End the hold of a unit.",
    "run": "Make passes until stopped.",
    "schema": "Print the JSON Schema of wharfinger.yaml.",
    "version": "Print the version.",
}


class Commands(click.Group):
    """Finds a command by its file, so that `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Expose many Kubernetes clusters through one front door; Git is the interface."""


def main() -> None:
    """Run a command and end the process with the exit code of the contract."""
    debug = "--debug" in sys.argv
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as exc:
        code = exc.exit_code
    except click.ClickException as exc:
        exc.show()
        code = Exit.USAGE
    except click.Abort:
        click.echo("stopped", err=True)
        code = 130
    except ReconcileError as exc:
        click.echo(f"error: {printable(str(exc))}", err=True)
        code = exc.exit
    except BrokenPipeError:
        sys.stderr.close()
        code = Exit.DONE
    except (
        Exception
    ) as exc:  # the one place where anything may end: a bug is exit code 1
        if debug:
            traceback.print_exc()
        click.echo(
            f"error: {type(exc).__name__}: {printable(str(exc))[:300]} (--debug shows where)",
            err=True,
        )
        code = Exit.ERROR
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def printable(text: str) -> str:
    """Text with control characters made visible; line breaks stay."""
    return "".join(
        each if each == "\n" or each.isprintable() else repr(each)[1:-1]
        for each in text
    )

"""The frame of all commands: what is loaded, where output goes, how a process ends."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler import cli
from reconciler.cli import COMMANDS, INTERRUPTED, PIPE_CLOSED, execute
from reconciler.errors import (
    Blocked,
    Conflict,
    Exit,
    ReconcileError,
    TimedOut,
    Unauthorised,
    Unavailable,
    Usage,
    worst,
)

WHARFINGER = [sys.executable, "-m", "reconciler"]
OWN = ("accept-cluster", "check", "explain", "get", "hold", "kubeconfig", "release")


def raising(error: BaseException) -> click.Command:
    @click.command("version")
    @click.option("--debug", is_flag=True)
    def command(debug: bool) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReconcileError("x"), 1),
        (Usage("x"), 2),
        (Unavailable("x"), 3),
        (Unauthorised("x"), 4),
        (Blocked("x"), 5),
        (Conflict("x"), 6),
        (TimedOut("x"), 7),
        (RuntimeError("x"), 1),
        (click.UsageError("x"), 2),
        (click.ClickException("x"), 2),
        (click.exceptions.Exit(10), 10),
        (KeyboardInterrupt(), INTERRUPTED),
    ],
)
def test_every_error_ends_with_the_code_of_the_contract(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    monkeypatch.setattr("reconciler.cli.version.command", raising(error))
    assert execute(["version"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_the_first_of_the_contracts_order_counts() -> None:
    order = [Exit(code) for code in (1, 2, 4, 6, 7, 3, 5, 10)]
    for index, code in enumerate(order):
        assert worst(reversed(order[index:])) is code
    assert worst([]) is Exit.DONE


@pytest.mark.parametrize("how", ["flag", "twin"])
def test_a_bug_is_one_line_and_a_traceback_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    error = RuntimeError("https://me:hunter2@git/x\n\x1b[31m")
    monkeypatch.setattr("reconciler.cli.version.command", raising(error))
    monkeypatch.delenv("WHARFINGER_DEBUG", raising=False)
    assert execute(["version"]) == Exit.ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: RuntimeError: https://***@git/x \\x1b[31m (--debug shows where)"
    )
    if how == "twin":
        monkeypatch.setenv("WHARFINGER_DEBUG", "1")
    execute(["version", *(["--debug"] if how == "flag" else [])])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_twins_of_all_its_options(name: str) -> None:
    module = importlib.import_module(f"reconciler.cli.{name.replace('-', '_')}")
    command: click.Command = module.command
    assert command.name == name
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            long = next(each for each in parameter.opts if each.startswith("--"))
            twin = "WHARFINGER_" + long[2:].replace("-", "_").upper()
            assert parameter.envvar == twin
            assert parameter.help


@pytest.mark.parametrize("name", OWN)
def test_commands_about_a_repository_share_their_options(name: str) -> None:
    module = importlib.import_module(f"reconciler.cli.{name.replace('-', '_')}")
    shared = {"--repo", "--branch", "--path", "--debug", "--log-format", "--no-color"}
    assert shared <= {each for option in module.command.params for each in option.opts}


def test_help_and_completion_load_no_command_and_no_library() -> None:
    """Measured as modules, not as time: other work on the machine must not fail a test."""
    script = (
        "import sys; from reconciler.cli import execute; code = execute(['--help']);"
        "heavy = {'kubernetes', 'pygit2', 'pydantic', 'rich', 'aiohttp', 'structlog'};"
        "assert code == 0; assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_completion_names_commands_with_their_line() -> None:
    environment = {
        **os.environ,
        "_WHARFINGER_COMPLETE": "zsh_complete",
        "COMP_WORDS": "wharfinger acc",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        WHARFINGER, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:3] == [
        "plain",
        "accept-cluster",
        COMMANDS["accept-cluster"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plna"], "did you mean plan?"),
        (["version", "--nope"], "--nope"),
        (["get", "nothing"], "nothing"),
        (["hold"], "UNIT"),
    ],
)
def test_a_wrong_command_line_is_usage_and_says_where_help_is(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert execute(arguments) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "--help` shows more." in captured.err


def test_no_command_at_all_shows_the_help_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute([]) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "reconcile" in captured.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    child = subprocess.Popen(
        [*WHARFINGER, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.close()
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (PIPE_CLOSED, b"")


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    """A remote that never answers is waited for; Ctrl-C ends it with the shell's code."""
    started = tmp_path / "started"
    script = (
        "import sys, signal, time, pathlib; from reconciler import cli;"
        # What a shell starts in the background is born deaf to Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import reconciler.cli.version as v, click;"
        f"wait = lambda: (pathlib.Path({str(started)!r}).touch(), time.sleep(60));"
        "v.command = click.command('version')(wait); sys.argv[1:] = ['version']; cli.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE
    ) as child:
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        try:
            _, errors = child.communicate(timeout=30)
        finally:
            child.kill()
    assert (child.returncode, errors.strip()) == (INTERRUPTED, b"stopped")


def test_main_ends_the_process_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wharfinger", "plna"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == Exit.USAGE

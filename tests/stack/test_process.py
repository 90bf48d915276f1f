"""Programs as children of a test run: what their errors say, and that ports are ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.network import free_port
from tests.stack.process import Command, Daemon, ProcessError, listens, wait_until

ROOT = Path(__file__).resolve().parents[2]


def shell(script: str, name: str = "program") -> Command:
    return Command(name=name, argv=("sh", "-c", script), ready=lambda: False, seconds=1)


def test_a_program_that_dies_early_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="ended with 3 before it was ready") as error:
        Daemon(shell("echo out of luck; exit 3"), tmp_path).start()
    assert "out of luck" in str(error.value)
    assert str(tmp_path / "program.log") in str(error.value)


def test_a_program_that_is_never_ready_is_stopped_and_reported(tmp_path: Path) -> None:
    daemon = Daemon(shell("echo busy; exec sleep 60"), tmp_path)
    with pytest.raises(ProcessError, match="not ready within 1 s") as error:
        daemon.start()
    assert "busy" in str(error.value)
    assert not daemon.running


def test_stopping_ends_a_program_that_ignores_term_and_its_children(
    tmp_path: Path,
) -> None:
    port = free_port()
    server = f"import socket,time; s=socket.create_server(('127.0.0.1', {port}))"
    script = f'trap "" TERM; {sys.executable} -c "{server}; time.sleep(60)"; true'
    command = Command(
        name="stubborn", argv=("sh", "-c", script), ready=listens("127.0.0.1", port)
    )
    daemon = Daemon(command, tmp_path).start()
    daemon.stop(patience=0.2)
    wait_until(lambda: not listens("127.0.0.1", port)(), "the child is gone")


def test_nothing_of_our_environment_reaches_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    log = tmp_path / "program.log"
    command = Command(
        name="program",
        argv=("sh", "-c", "env; sleep 60"),
        ready=lambda: "PATH=" in log.read_text(),
    )
    with Daemon(command, tmp_path):
        assert "KUBECONFIG" not in log.read_text()


def test_two_processes_never_get_the_same_port() -> None:
    script = (
        "from tests.stack.network import free_port\n"
        "print([free_port() for _ in range(300)], flush=True)\n"
        "input()\n"
    )
    argv = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        for _ in range(2)
    ]
    outputs = []
    for child in children:
        assert child.stdout is not None
        outputs.append(child.stdout.readline())
    for child in children:
        child.communicate("\n", timeout=30)
    ports = [int(port) for line in outputs for port in line.strip("[]\n").split(",")]
    assert len(ports) == len(set(ports)) == 600

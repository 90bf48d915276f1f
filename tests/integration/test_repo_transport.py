"""HTTP and SSH against real servers: who is let in, who is believed, and what stays secret."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ReconcileError, Unauthorised, Unavailable
from reconciler.model.repository import CommitId
from reconciler.repo import Credentials, Repository
from reconciler.repo import transport as transport_module
from reconciler.repo.children import Ended, Limits
from reconciler.repo.children import run_child as real_run_child
from tests.integration.remotes import NOW, Place, Ssh, draft, git, ssh_server, web

A = "ports/p/1.yaml"
CANARY = "c4n4ry+/%:@ s3cret"
LOGIN = Credentials(username="bot", password=CANARY)


def one_round(repository: Repository, place: Place) -> None:
    """Read, write, read again."""
    assert repository.head().files[A].data == b"1"
    tip = repository.push([draft(A, b"2")], repository.head().commit, "", NOW)
    repository.fetch()
    assert place.tip() == tip == repository.head().commit
    assert repository.history().commits[0].ours


def test_http_without_a_login(place: Place) -> None:
    place.commits(A, "1")
    with web(place.root) as server:
        one_round(place.open(f"{server.url}/remote.git"), place)


def test_http_with_a_login_from_the_environment(place: Place) -> None:
    place.commits(A, "1")
    with web(place.root, login=f"bot:{CANARY}") as server:
        one_round(place.open(f"{server.url}/remote.git", credentials=LOGIN), place)


def test_a_token_is_a_password_with_any_username() -> None:
    found = Credentials.from_environment({"WHARFINGER_GIT_TOKEN": "t"})
    assert (found.username, found.password) == ("x-access-token", "t")
    names = {"WHARFINGER_GIT_TOKEN": "t", "WHARFINGER_GIT_USERNAME": "u"}
    assert Credentials.from_environment(names).username == "u"
    assert "secret" not in repr(Credentials(password="secret"))


def test_a_login_inside_the_url_is_used_and_never_shown(place: Place) -> None:
    place.commits(A, "1")
    with web(place.root, login="me:p%40ss") as server:
        url = server.url.replace("http://", "http://me:p%2540ss@")
        repository = place.open(f"{url}/remote.git")
        one_round(repository, place)
        assert repository.url == f"{server.url}/remote.git"
        assert "p%" not in repr(repository.remote)


def test_a_refused_login_is_a_matter_of_credentials(place: Place) -> None:
    place.commits(A, "1")
    with web(place.root, login="bot:other") as server:
        for credentials in (LOGIN, Credentials()):
            with pytest.raises(Unauthorised, match="WHARFINGER_GIT_TOKEN") as caught:
                place.open(f"{server.url}/remote.git", credentials=credentials)
            assert CANARY not in str(caught.value)


def test_who_may_read_may_not_always_write(place: Place) -> None:
    place.commits(A, "1")
    git(place.bare, "config", "http.receivepack", "false")
    with web(place.root) as server:
        repository = place.open(f"{server.url}/remote.git")
        with pytest.raises(Unauthorised, match="403"):
            repository.push([draft(A, b"2")], repository.head().commit, "", NOW)


def test_what_is_not_there_is_unavailable(place: Place) -> None:
    with web(place.root) as server:
        with pytest.raises(Unavailable, match="not found"):
            place.open(f"{server.url}/nowhere.git")
        port = server.port
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        place.open(f"http://127.0.0.1:{port}/remote.git")


def test_a_redirect_elsewhere_does_not_carry_the_secret(place: Place) -> None:
    place.commits(A, "1")
    encoded = base64.b64encode(f"bot:{CANARY}".encode()).decode()
    with (
        web(place.root, login="x:y") as thief,
        web(place.root, moved_to=thief.url) as server,
    ):
        with pytest.raises(Unauthorised):
            place.open(f"{server.url}/remote.git", credentials=LOGIN)
        assert thief.seen
        assert not any(encoded in header for header in thief.seen)


def test_a_redirect_to_an_open_place_is_followed(place: Place) -> None:
    place.commits(A, "1")
    with (
        web(place.root) as target,
        web(place.root, moved_to=target.url) as server,
    ):
        assert place.open(f"{server.url}/remote.git").head().files[A].data == b"1"


def test_a_netrc_of_the_machine_is_not_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commits(A, "1")
    (place.root / ".netrc").write_text("machine 127.0.0.1 login bot password pw\n")
    monkeypatch.setenv("HOME", str(place.root))
    with web(place.root, login="bot:pw") as server, pytest.raises(Unauthorised):
        place.open(f"{server.url}/remote.git")


def _command_lines() -> list[bytes]:
    """What everybody on this machine can see of processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def test_a_secret_is_in_no_argument_no_message_and_no_clone(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.commits(A, "1")
    seen: list[bytes] = []

    def run(
        argv: list[str], env: dict[str, str], limits: Limits, stdin: bytes = b""
    ) -> Ended:
        seen.append("\0".join(argv).encode())
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(over, seen))
        watch.start()
        ended = real_run_child(argv, env, limits, stdin)
        over.set()
        watch.join()
        return ended

    monkeypatch.setattr(transport_module, "run_child", run)
    forms = [CANARY.encode(), b"c4n4ry", base64.b64encode(f"bot:{CANARY}".encode())]
    said = [caplog.text]
    hook = f"echo 'you sent {CANARY} to http://bot:c4n4ry@host/' >&2; exit 1"
    with web(place.root, login=f"bot:{CANARY}") as server:
        repository = place.open(f"{server.url}/remote.git", credentials=LOGIN)
        place.hook("pre-receive", hook)
        for url in (f"{server.url}/remote.git", f"{server.url}/nowhere.git"):
            try:
                again = place.open(url, credentials=LOGIN)
                again.push([draft(A, b"2")], again.head().commit, "", NOW)
            except ReconcileError as exc:
                said += [str(exc), repr(exc), exc.hint, exc.where]
    said += [repr(repository.remote), repr(repository._address), repr(LOGIN)]
    assert any("pre-receive" in each for each in said)
    files = [path for path in (place.root / "cache").rglob("*") if path.is_file()]
    for form in forms:
        assert not any(form in each for each in seen)
        assert not any(form.decode() in each for each in said)
        assert not any(form in path.read_bytes() for path in files)


def _watch(over: threading.Event, seen: list[bytes]) -> None:
    while not over.wait(0.01):
        seen += _command_lines()


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with ssh_server(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


def over_ssh(place: Place, ssh: Ssh, known: str | None, **more: str) -> Repository:
    """The remote through sshd, with this known_hosts file."""
    file = place.root / 'known "hosts" 100%'
    if known is not None:
        file.write_text(known)
    more.setdefault("ssh_key", str(ssh.key))
    credentials = Credentials(known_hosts=str(file), **more)
    url = f"ssh://{ssh.user}@127.0.0.1:{ssh.port}{place.bare}"
    return place.open(url, credentials=credentials)


def known(ssh: Ssh, key: str | None = None) -> str:
    """A line of known_hosts."""
    return f"[127.0.0.1]:{ssh.port} {key or ssh.host_key}\n"


@pytest.mark.stack
def test_ssh_with_the_right_host_key(place: Place, ssh: Ssh) -> None:
    place.commits(A, "1")
    one_round(over_ssh(place, ssh, known(ssh)), place)


@pytest.mark.stack
def test_ssh_with_several_pinned_keys(place: Place, ssh: Ssh, tmp_path: Path) -> None:
    place.commits(A, "1")
    lines = []
    for kind in ("rsa", "ecdsa"):
        path = tmp_path / kind
        keygen = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path]
        subprocess.run(keygen, check=True, timeout=60)
        key = " ".join(path.with_suffix(".pub").read_text().split()[:2])
        lines.append(known(ssh, key))
    one_round(over_ssh(place, ssh, "".join(lines) + known(ssh)), place)


@pytest.mark.stack
def test_ssh_with_a_wrong_or_missing_host_key_is_refused(
    place: Place, ssh: Ssh
) -> None:
    place.commits(A, "1")
    other = " ".join(ssh.key.with_suffix(".pub").read_text().split()[:2])
    for text in (known(ssh, other), "", None):
        (place.root / 'known "hosts" 100%').unlink(missing_ok=True)
        with pytest.raises(Unauthorised, match="host key"):
            over_ssh(place, ssh, text)
        file = place.root / 'known "hosts" 100%'
        assert (file.read_text() if file.exists() else None) == text


@pytest.mark.stack
def test_ssh_with_a_stranger_s_key_is_a_matter_of_credentials(
    place: Place, ssh: Ssh, tmp_path: Path
) -> None:
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "mine"]
    subprocess.run(keygen, check=True, timeout=60)
    with pytest.raises(Unauthorised, match="WHARFINGER_SSH_KEY"):
        over_ssh(place, ssh, known(ssh), ssh_key=str(tmp_path / "mine"))


@pytest.mark.stack
def test_ssh_runs_the_hooks_of_the_remote(place: Place, ssh: Ssh) -> None:
    repository = over_ssh(place, ssh, known(ssh))
    place.hook("pre-receive", "echo 'not today' >&2; exit 1")
    with pytest.raises(ReconcileError, match="not today"):
        repository.push([draft(A, b"1")], CommitId(""), "", NOW)


def test_nobody_listens_to_ssh(place: Place) -> None:
    with web(place.root) as server:
        port = server.port
    with pytest.raises(Unavailable, match="refused"):
        place.open(f"ssh://git@127.0.0.1:{port}/x.git")


def test_tests_see_their_own_command_line() -> None:
    """The search for secrets in command lines can find something at all."""
    marker = f"wharfinger-{os.getpid()}-marker"
    script = "import sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, marker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        # The kernel lets Popen go on before the new command line is there.
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        assert any(marker.encode() in line for line in _command_lines())
        child.communicate(b"", timeout=30)

"""A real sshd that serves bare repositories, as a Git remote over SSH (does I/O).

It has host keys of its own (ed25519 and ecdsa), lets one user key in, and runs nothing
but git. Clients never see the machine's own ``~/.ssh``.
"""

from __future__ import annotations

import getpass
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.stack.checkout import git
from tests.stack.network import free_port
from tests.stack.pins import system_program
from tests.stack.process import Command, Daemon, listens, run, scratch

ADDRESS = "127.0.0.1"
# sshd refuses to start without it; the init scripts of Debian make it at boot.
PRIVILEGE_SEPARATION = Path("/run/sshd")
HOST_KEYS = ("ed25519", "ecdsa")
CONFIG = """\
ListenAddress {address}
Port {port}
{host_keys}
AuthorizedKeysFile {folder}/authorized_keys
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserRC no
PermitUserEnvironment no
PrintMotd no
UsePAM no
UseDNS no
StrictModes no
PidFile none
LogLevel VERBOSE
"""


def _key(path: Path, kind: str) -> Path:
    run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path))
    return path


def _public(path: Path) -> str:
    algorithm, blob, *_ = path.with_suffix(".pub").read_text().split()
    return f"{algorithm} {blob}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRepository:
    """One bare repository: `url` for clients, `bare` where it lies on this machine."""

    url: str
    bare: Path


class SshRemote:
    """sshd on a free port of the loopback device; a context manager."""

    def __init__(self, logs: Path) -> None:
        self.folder = scratch("ssh")
        self.port = free_port()
        self.user = getpass.getuser()
        self.user_key = _key(self.folder / "user", "ed25519")
        self.stranger_key = _key(self.folder / "stranger", "ed25519")
        self._host_keys = {k: _key(self.folder / f"host_{k}", k) for k in HOST_KEYS}
        self._impostor = _key(self.folder / "impostor", "ed25519")
        self._write_settings()
        self.daemon = Daemon(
            Command(
                name="sshd",
                argv=(
                    str(system_program("sshd")),
                    *("-D", "-e", "-f", str(self.folder / "sshd_config")),
                ),
                ready=listens(ADDRESS, self.port),
                seconds=20,
            ),
            logs,
        )

    def _write_settings(self) -> None:
        keys = "\n".join(f"HostKey {path}" for path in self._host_keys.values())
        text = CONFIG.format(
            address=ADDRESS, port=self.port, folder=self.folder, host_keys=keys
        )
        (self.folder / "sshd_config").write_text(text)
        only_git = f'restrict,command="{system_program("git")} shell -c \\"$SSH_ORIGINAL_COMMAND\\""'
        line = f"{only_git} {_public(self.user_key)}\n"
        (self.folder / "authorized_keys").write_text(line)

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()

    def create_repo(self, name: str) -> SshRepository:
        """An empty bare repository with default branch `main`."""
        bare = self.folder / "repos" / f"{name}.git"
        bare.mkdir(parents=True)
        git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
        url = f"ssh://{self.user}@{ADDRESS}:{self.port}{bare}"
        return SshRepository(url=url, bare=bare)

    def known_hosts(self, *kinds: str) -> str:
        """Lines that trust this server's host keys of `kinds`, by default all."""
        wanted = kinds or HOST_KEYS
        return "".join(self._known(self._host_keys[kind]) for kind in wanted)

    def wrong_known_hosts(self) -> str:
        """A line that knows this server under a key that it does not have."""
        return self._known(self._impostor)

    def unrelated_known_hosts(self) -> str:
        """A line about another host: this server is unknown."""
        return f"git.example.com {_public(self._host_keys['ed25519'])}\n"

    def _known(self, key: Path) -> str:
        return f"[{ADDRESS}]:{self.port} {_public(key)}\n"

    def client_environment(
        self, known_hosts: Path, key: Path | None = None
    ) -> dict[str, str]:
        """GIT_SSH_COMMAND for the git program, strict about host keys."""
        options = (
            *("-F", "/dev/null", "-i", str(key or self.user_key)),
            *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"UserKnownHostsFile={known_hosts}"),
            *("-o", "GlobalKnownHostsFile=/dev/null"),
        )
        return {"GIT_SSH_COMMAND": shlex.join(("ssh", *options))}

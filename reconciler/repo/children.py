"""Runs git and ssh-keygen as children: clean environment, argument lists, time limits (I/O).

Credentials travel in the environment of the one child that needs them, never in an argument
vector, and never in what is said about its failure.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcileError, TimedOut, Unauthorised, Unavailable, Usage
from reconciler.repo.remote import Address, Credentials, Scheme

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_REFUSED = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied",
    "returned error: 401",
    "returned error: 403",
    "access denied",
    "invalid credentials",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended; `errors` is free of secrets and control characters, and short."""

    code: int
    output: str
    errors: str


class Git:
    """git against one bare clone and one remote."""

    def __init__(
        self, folder: Path, address: Address, credentials: Credentials, timeout: float
    ) -> None:
        self.folder = folder
        self.address = address
        self._credentials = credentials
        self._timeout = timeout
        program = shutil.which("git")
        if program is None:
            raise Usage(
                "git is not installed",
                hint="install git, for example with `apt-get install git`",
            )
        self._program = program

    def local(self, *args: str) -> Ended:
        """A command on the clone alone."""
        return self._run(args, {})

    def remote(self, *args: str) -> Ended:
        """A command that speaks to the remote."""
        return self._run(args, self._access())

    def _run(self, args: Sequence[str], access: Mapping[str, str]) -> Ended:
        argv = [self._program, f"--git-dir={self.folder}", *args]
        try:
            done = subprocess.run(
                argv,
                env={**_environment(), **access},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout,
                check=False,
                cwd="/",
            )
        except subprocess.TimeoutExpired as exc:
            raise TimedOut(
                f"git {args[0]} took more than {self._timeout:.0f} s",
                where=self.address.url,
            ) from exc
        return Ended(
            code=done.returncode,
            output=done.stdout.decode("utf-8", "replace"),
            errors=self.clean(done.stderr.decode("utf-8", "replace")),
        )

    def clean(self, text: str) -> str:
        """What a child said, without secrets and control characters, at most 600 characters."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return _CONTROL.sub(" ", text).strip()[-600:]

    def _secrets(self) -> list[str]:
        user, password = self._login()
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        return [each for each in (password, token) if each]

    def _login(self) -> tuple[str, str]:
        if self.address.password:
            return self.address.username, self.address.password
        user = self._credentials.username or self.address.username
        return user, self._credentials.password

    def _access(self) -> dict[str, str]:
        settings = [
            ("protocol.file.allow", "always"),
            ("http.followRedirects", "false"),
        ]
        if self.address.scheme is Scheme.FILE:
            settings.append(("safe.directory", self.address.url))
            settings.append(("safe.directory", f"{self.address.url}/.git"))
        user, password = self._login()
        if password and self.address.origin:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            settings.append(
                (
                    f"http.{self.address.origin}/.extraHeader",
                    f"Authorization: Basic {token}",
                )
            )
        found = {"GIT_CONFIG_COUNT": str(len(settings))}
        for index, (key, value) in enumerate(settings):
            found[f"GIT_CONFIG_KEY_{index}"] = key
            found[f"GIT_CONFIG_VALUE_{index}"] = value
        found["GIT_SSH_COMMAND"] = self._ssh()
        return found

    def _ssh(self) -> str:
        options = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", "ConnectTimeout=20", "-o", "ForwardAgent=no"]
        known, key = self._credentials.known_hosts, self._credentials.ssh_key
        if known:
            options += ["-o", f"UserKnownHostsFile={_ssh_path(known)}"]
            options += ["-o", "GlobalKnownHostsFile=/dev/null"]
        if key:
            options += ["-i", key, "-o", "IdentitiesOnly=yes"]
        return shlex.join(options)

    def failure(self, ended: Ended, what: str) -> ReconcileError:
        """The error that a failed conversation with the remote means."""
        said = ended.errors.lower()
        where = self.address.url
        if "host key verification failed" in said:
            return Unavailable(
                f"{what}: the host key is unknown or not the pinned one",
                where=where,
                hint="put the host's key into the file that WHARFINGER_KNOWN_HOSTS names",
            )
        if any(mark in said for mark in _REFUSED):
            return Unauthorised(
                f"{what}: the credentials are missing or were refused",
                where=where,
                hint="set WHARFINGER_GIT_TOKEN, or WHARFINGER_SSH_KEY for SSH",
            )
        return Unavailable(f"{what}: {ended.errors or 'no answer'}", where=where)


def _ssh_path(path: str) -> str:
    """ssh splits this option at blanks unless it is quoted."""
    return f'"{path}"' if " " in path else path


def _environment() -> dict[str, str]:
    keep = (
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "GIT_SSL_CAINFO",
        "TMPDIR",
    )
    found = {name: os.environ[name] for name in keep if name in os.environ}
    found.update(
        LC_ALL="C",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_TERMINAL_PROMPT="0",
        GIT_ASKPASS="true",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_ALLOW_PROTOCOL="file:http:https:ssh",
        GIT_OPTIONAL_LOCKS="0",
        GIT_HTTP_LOW_SPEED_LIMIT="1",
        GIT_HTTP_LOW_SPEED_TIME="60",
    )
    return found

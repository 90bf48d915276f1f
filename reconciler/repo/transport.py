"""Speaks to the remote through the git program, and to the clone where git is faster (I/O).

libgit2 is not used on the wire: its Python default accepts any SSH host key, and its push to a
path skips the remote's hooks. The child gets its whole configuration from us.
"""

from __future__ import annotations

import base64
import os
import re
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcileError, Unauthorised, Unavailable
from reconciler.repo.children import (
    Ended,
    Limits,
    clean_environment,
    installed,
    run_child,
)
from reconciler.repo.clone import PROMISOR, is_filtered
from reconciler.repo.disk import is_untidy
from reconciler.repo.faults import HARMLESS
from reconciler.repo.refusals import hint_for
from reconciler.repo.remote import Address, Credentials, Scheme
from reconciler.repo.ssh import ssh_command

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_REFUSED = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied (",
    "returned error: 401",
    "returned error: 403",
    "access denied",
    "too many authentication failures",
    "unprotected private key file",
)
_HOST_KEY = ("host key verification failed", "remote host identification has changed")
_FETCH = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-gc",
    "--no-recurse-submodules",
)
# Objects of passes that did not push go after some hours: no pass takes so long. A bitmap
# would make packing fail where files are missing.
_LOOSE, _PACKS = 3000, 30
# Large packs stay, so that packing costs what came lately and not what there is.
_LARGE = "gc.bigPackThreshold=64m"
_TIDY_AGAIN = 3600.0  # seconds until packing is tried again after it failed
_TIDY = (
    ("gc.auto", str(_LOOSE)),
    ("gc.autoPackLimit", str(_PACKS)),
    ("gc.pruneExpire", "3.hours.ago"),
    ("repack.writeBitmaps", "false"),
)
# Servers say so when another push was faster, and the branch may not show it yet.
LOST_RACE = re.compile(
    r"stale info|fetch first|non-fast-forward|already exists|cannot lock ref"
    r"|failed to (?:update|lock) ref|incorrect old value|unable to create .*lock"
)
_HISTORY = 1 << 30  # bytes of `git log` that are read at most

_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" '
    '"$WHARFINGER_CHILD_USERNAME" "$WHARFINGER_CHILD_PASSWORD"; }; f'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """What a push said: `accepted` (or `was_there` before), a `refusal`, or neither (lost)."""

    accepted: bool
    refusal: str | None
    ended: Ended
    was_there: bool = False


class Git:
    """git against one bare clone and one remote."""

    def __init__(
        self, folder: Path, address: Address, credentials: Credentials, timeout: float
    ) -> None:
        self.address = address
        self._folder = folder
        self._credentials = credentials
        self._timeout = timeout
        self._program = installed("git", "git")
        self._trust: Path | None = None
        self._tidy_at = 0.0
        if address.scheme is Scheme.SSH:
            installed("ssh", "openssh-client")
        if address.scheme is Scheme.FILE and _is_foreign(Path(address.url)):
            self._trust = self._trusted_folders()

    def fetch(
        self, spec: str, lock: int, *, filtered: bool = False, prune: bool = False
    ) -> Ended:
        """Bring one ref, or with `*` many; `spec` is `+source:target`.

        `filtered`: without files, as every fetch into a clone that was made so. `prune` removes
        targets whose sources are gone.
        """
        pruning = ["--prune"] if prune else []
        args = [*_FETCH, *pruning, "--end-of-options", self.address.url, spec]
        if filtered or is_filtered(self._folder):
            args = [*self._promised(), *pruning, "--end-of-options", PROMISOR, spec]
        return self._run(args, self._limits(lock), remote=True)

    def fetch_all(self, specs: Sequence[str], lock: int) -> None:
        """Bring several refs that exist. Raises Unavailable or Unauthorised."""
        args = [*_FETCH, "--end-of-options", self.address.url, *specs]
        if is_filtered(self._folder):
            args = [*self._promised(), "--end-of-options", PROMISOR, *specs]
        ended = self._run(args, self._limits(lock), remote=True)
        if ended.code != 0:
            raise self.failure(ended, "merged requests cannot be fetched")

    def refs(self, names: Sequence[str], lock: int) -> tuple[str, ...]:
        """Those of the refs that the remote has. Raises Unavailable or Unauthorised."""
        args = ["ls-remote", "--quiet", "--end-of-options", self.address.url, *names]
        ended = self._run(args, self._limits(lock), remote=True)
        if ended.code != 0:
            raise self.failure(ended, "merged requests cannot be looked for")
        lines = ended.output.decode("utf-8", "replace").splitlines()
        return tuple(line.partition("\t")[2] for line in lines if "\t" in line)

    def fetch_objects(self, names: Iterable[str], lock: int) -> Ended:
        """Bring objects by their ids into a filtered clone."""
        args = ["-c", "fetch.negotiationAlgorithm=noop", *self._promised(), "--stdin"]
        args += ["--end-of-options", PROMISOR]
        stdin = "".join(f"{name}\n" for name in names).encode()
        return self._run(args, self._limits(lock), remote=True, stdin=stdin)

    def _promised(self) -> list[str]:
        """A fetch that may leave out files. No other child knows where they could be had."""
        named = ["-c", f"remote.{PROMISOR}.url={self.address.url}"]
        return [*named, *_FETCH, "--filter=blob:none"]

    def branches(self, pattern: str, lock: int) -> tuple[Ended, tuple[str, ...]]:
        """The remote's branches that match, as full ref names."""
        ended, found = self.tips(pattern, lock)
        return ended, tuple(found)

    def tips(self, pattern: str, lock: int) -> tuple[Ended, dict[str, str]]:
        """The remote's branches that match with the commits that they name."""
        args = ["ls-remote", "--quiet", "--heads", "--end-of-options"]
        args += [self.address.url, *([pattern] if pattern else [])]
        ended = self._run(args, self._limits(lock), remote=True)
        lines = ended.output.decode("utf-8", "replace").splitlines()
        pairs = (line.split("\t", 1) for line in lines if "\t" in line)
        return ended, {ref: commit for commit, ref in pairs}

    def push(self, tip: str, base: str, branch: str, lock: int) -> PushResult:
        """Move one branch from exactly `base` to `tip`; an empty `tip` removes it.

        The lease makes it a compare-and-swap also where the remote was rewound to an ancestor
        of `base`; an empty `base` means that the branch must not exist. Only branches of
        requests are moved to what does not descend from `base`.
        """
        ref = f"refs/heads/{branch}"
        args = ["push", "--porcelain", "--no-verify", "--no-follow-tags"]
        args += ["--recurse-submodules=no", f"--force-with-lease={ref}:{base}"]
        args += ["--end-of-options", self.address.url, f"{tip}:{ref}"]
        ended = self._run(args, self._limits(lock), remote=True)
        return read_push(ended, ref)

    def may_push(self, tip: str, branch: str, lock: int) -> Ended:
        """Ask to push what is there already, and send nothing."""
        args = ["push", "--dry-run", "--porcelain", "--no-verify", "--no-follow-tags"]
        args += ["--recurse-submodules=no", "--end-of-options", self.address.url]
        args += [f"{tip}:refs/heads/{branch}"]
        return self._run(args, self._limits(lock), remote=True)

    def fast_import(self, stream: Iterable[bytes], lock: int) -> None:
        """Write what the stream says into one pack. Raises BrokenClone."""
        ended = self._run(
            ["fast-import", "--quiet", "--done"], self._limits(lock), stdin=stream
        )
        if ended.code != 0:
            raise BrokenClone(self.said(ended))

    def log(self, revisions: Iterable[str], paths: Iterable[str]) -> bytes:
        """Raw first-parent diffs of the commits that touch the paths, whole, with `-z`."""
        args = ["--first-parent", "--diff-merges=first-parent", "--root", "--raw"]
        args += ["--no-abbrev", "--no-renames", "--full-diff", "--format=%H"]
        args += ["--no-ext-diff", "--no-textconv", "--ignore-submodules=none"]
        return self._logged([*args, "--end-of-options", *revisions, "--", *paths])

    def beside(self, revisions: Iterable[str], paths: Iterable[str]) -> bytes:
        """Raw diffs of all commits but merges that touch the paths, on every side."""
        args = ["--full-history", "--no-merges", "--root", "--raw", "--no-abbrev"]
        args += ["--no-renames", "--full-diff", "--format=%H", "--no-ext-diff"]
        args += ["--no-textconv", "--ignore-submodules=none"]
        return self._logged([*args, "--end-of-options", *revisions, "--", *paths])

    def messages(self, tip: str, containing: str) -> str:
        """Messages of a commit and its ancestors that contain a text."""
        args = ["--fixed-strings", f"--grep={containing}", "--format=%B"]
        found = self._logged([*args, "--end-of-options", tip, "--"])
        return found.decode("utf-8", "replace").replace("\0", "\n")

    def _logged(self, args: list[str]) -> bytes:
        plain = ["log", "-z", "--no-show-signature", "--no-notes", "--no-mailmap"]
        limits = Limits(seconds=self._timeout, kept=_HISTORY)
        ended = self._run([*plain, "--no-decorate", *args], limits)
        if ended.code != 0 or ended.cut:
            raise BrokenClone(self.said(ended))
        return ended.output

    def ask(self, args: list[str]) -> bytes:
        """The whole output of a command that only reads the clone."""
        ended = self._run(args, Limits(seconds=self._timeout, kept=_HISTORY))
        if ended.code != 0 or ended.cut:
            raise BrokenClone(self.said(ended))
        return ended.output

    def tidy(self, lock: int) -> None:
        """Pack loose objects when there are many; failing changes nothing but speed."""
        now = time.monotonic()
        if now >= self._tidy_at and is_untidy(self._folder, _LOOSE, _PACKS):
            args = ["gc", "--auto", "--quiet"]
            if not is_filtered(self._folder):  # there git packs what is kept once more
                args = ["-c", _LARGE, *args]
            ended = self._run(args, self._limits(lock))
            self._tidy_at = now + _TIDY_AGAIN if ended.code != 0 else 0.0

    def said(self, ended: Ended) -> str:
        """What a child said on stderr, without secrets and control characters, short."""
        text = ended.errors.decode("utf-8", "replace")
        for secret in self._secrets():
            text = text.replace(secret, "***")
        text = _URL_LOGIN.sub("***@", text)
        return _CONTROL.sub(" ", text).strip()[:600]

    def failure(self, ended: Ended, what: str) -> ReconcileError:
        """The error that a failed conversation with the remote means."""
        where = self.address.url
        if ended.timed_out:
            return Unavailable(
                f"{what}: no answer within {self._timeout:g} s", where=where
            )
        # What the server says ("remote: ...") cannot choose our exit code.
        lines = ended.errors.decode("utf-8", "replace").lower().splitlines()
        own = "\n".join(line for line in lines if not line.startswith("remote:"))
        if any(mark in own for mark in _HOST_KEY):
            return Unauthorised(
                f"{what}: the host key is unknown or not the pinned one",
                where=where,
                hint="put the host's key into the file that WHARFINGER_KNOWN_HOSTS names",
            )
        if any(mark in own for mark in _REFUSED):
            return Unauthorised(
                f"{what}: the credentials are missing or were refused: {self.said(ended)}",
                where=where,
                hint=_CREDENTIALS[self.address.scheme],
            )
        return Unavailable(
            f"{what}: {self.said(ended) or 'no answer'}",
            where=where,
            hint=hint_for(own),
        )

    def _run(
        self,
        args: list[str],
        limits: Limits,
        *,
        remote: bool = False,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> Ended:
        argv = [self._program, f"--git-dir={self._folder}", *args]
        return run_child(argv, self._environment(remote=remote), limits, stdin)

    def _limits(self, lock: int) -> Limits:
        return Limits(seconds=self._timeout, inherited=lock)

    def _environment(self, *, remote: bool) -> dict[str, str]:
        env = clean_environment(os.environ)
        settings = [("core.hooksPath", os.devnull), ("gc.autoDetach", "false")]
        settings += [("fetch.fsckObjects", "true"), ("credential.helper", "")]
        settings += [(f"fetch.fsck.{name}", "ignore") for name in HARMLESS]
        settings += _TIDY
        # Missing files are asked for by us or not at all; older versions only know the second.
        env.update(GIT_NO_LAZY_FETCH="1", GIT_ALLOW_PROTOCOL="none")
        if remote:
            env["GIT_ALLOW_PROTOCOL"] = self.address.scheme.value
            if self._trust is not None:
                env["GIT_CONFIG_GLOBAL"] = str(self._trust)
            settings += self._access(env)
        env["GIT_CONFIG_COUNT"] = str(len(settings))
        for index, (key, value) in enumerate(settings):
            env[f"GIT_CONFIG_KEY_{index}"] = key
            env[f"GIT_CONFIG_VALUE_{index}"] = value
        return env

    def _trusted_folders(self) -> Path | None:
        """The person's own `safe.directory`, all that we take from their configuration.

        It must be a file: git keeps what the environment says from the remote's side.
        """
        argv = [self._program, "config", "-z", "--get-all", "safe.directory"]
        kept = {"PATH", "HOME", "XDG_CONFIG_HOME"}
        env = {name: os.environ[name] for name in kept & os.environ.keys()}
        ended = run_child(argv, env, Limits(seconds=30))
        names = [name.decode("utf-8", "replace") for name in ended.output.split(b"\0")]
        plain = [name for name in names if name and not _CONTROL.search(name)]
        if not plain:
            return None
        quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in plain]
        lines = [f'\tdirectory = "{name}"\n' for name in quoted]
        file = self._folder.with_suffix(".trust")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text("[safe]\n" + "".join(lines), encoding="utf-8")
        return file

    def _access(self, env: dict[str, str]) -> list[tuple[str, str]]:
        """What the remote's scheme needs; secrets go into the environment."""
        match self.address.scheme:
            case Scheme.FILE:
                return []
            case Scheme.SSH:
                env["GIT_SSH_COMMAND"] = ssh_command(self._credentials)
                env["GIT_SSH_VARIANT"] = "ssh"
                return []
            case Scheme.HTTP | Scheme.HTTPS:
                env["HOME"] = str(self._folder)  # no .netrc
        slow = [("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", "60")]
        user, password = self._login()
        if not password:
            return slow
        env["WHARFINGER_CHILD_USERNAME"] = user
        env["WHARFINGER_CHILD_PASSWORD"] = password
        # A helper of this one origin: a redirect elsewhere does not carry the secret along.
        return [*slow, (f"credential.{self.address.origin}.helper", _HELPER)]

    def _login(self) -> tuple[str, str]:
        if self.address.password:
            return self.address.username, self.address.password
        user = self._credentials.username or self.address.username
        return user, self._credentials.password

    def _secrets(self) -> list[str]:
        user, password = self._login()
        if not password:
            return []
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return [pair, password, urllib.parse.quote(password, safe="")]


class BrokenClone(Unavailable):
    """The clone has missing or damaged objects; it is made again, at the latest in a new pass."""


_CREDENTIALS = {
    Scheme.FILE: "let this user read and write that folder",
    Scheme.HTTP: "set WHARFINGER_GIT_TOKEN, or WHARFINGER_GIT_USERNAME and _PASSWORD",
    Scheme.HTTPS: "set WHARFINGER_GIT_TOKEN, or WHARFINGER_GIT_USERNAME and _PASSWORD",
    Scheme.SSH: "set WHARFINGER_SSH_KEY to a private key file of mode 0400 "
    "that the server knows",
}


def read_push(ended: Ended, ref: str) -> PushResult:
    """The one ref's line of `push --porcelain`: flag, refs, summary, between tabs."""
    accepted, refusal, was_there = False, None, False
    for line in ended.output.decode("utf-8", "replace").splitlines():
        flag, _, rest = line.partition("\t")
        refs, _, summary = rest.partition("\t")
        if refs.partition(":")[2] != ref:
            continue
        if flag == "!":
            refusal = None if "remote failure" in summary else summary
        accepted = flag in (" ", "*", "=", "+", "-")
        was_there = flag == "="
    return PushResult(
        accepted=accepted and ended.code == 0,
        refusal=refusal,
        ended=ended,
        was_there=was_there,
    )


def _is_foreign(folder: Path) -> bool:
    try:
        return folder.stat().st_uid != os.geteuid()
    except OSError:
        return False

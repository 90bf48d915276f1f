"""Which remote is meant and how to speak to it; pure, but for reading the environment once.

Everything that a person wrote is checked here, before any child process sees it: what git or
ssh could take for an option, a command or a second line of a protocol is a `Usage` error.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from reconciler.errors import Usage

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\])\Z")
_SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\Z")
_SCP = re.compile(
    r"(?:(?P<user>[^@/:]*)@)?(?P<host>[^/:@]+|\[[^\]/]+\]):(?P<path>.+)\Z"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?::|//)")
_PUBLIC_KEY = re.compile(
    r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*(?: [^\x00-\x1f]*)?\Z"
)


class Scheme(StrEnum):
    """How a remote is reached; the values are git's protocol names."""

    FILE = "file"
    HTTP = "http"
    HTTPS = "https"
    SSH = "ssh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What proves who we are. Never in a message, an argument vector or a `repr`.

    `ssh_key` and `known_hosts` are files; empty ones mean what ssh itself would use.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    ssh_key: str = ""
    known_hosts: str = ""
    signing_key: str = ""

    @staticmethod
    def from_environment(environ: Mapping[str, str]) -> Credentials:
        """Reads the `WHARFINGER_*` variables; a token is a password with any username."""
        token = environ.get("WHARFINGER_GIT_TOKEN", "")
        password = environ.get("WHARFINGER_GIT_PASSWORD", "") or token
        for name, secret in (("TOKEN", token), ("PASSWORD", password)):
            if _CONTROL.search(secret):
                raise Usage(
                    "it contains a line break or another control character",
                    where=f"WHARFINGER_GIT_{name}",
                    hint="remove the trailing newline",
                )
        username = environ.get("WHARFINGER_GIT_USERNAME", "")
        return Credentials(
            username=username or ("x-access-token" if password else ""),
            password=password,
            ssh_key=environ.get("WHARFINGER_SSH_KEY", ""),
            known_hosts=environ.get("WHARFINGER_KNOWN_HOSTS", ""),
            signing_key=environ.get("WHARFINGER_SIGNING_KEY", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """The ingress repository as a person names it, and who writes to it.

    `url` is a path, file://, http(s)://, ssh:// or scp-like; it may carry a credential and is
    therefore not in the `repr`. `path` is the folder of the repository that is ours.
    `signing_keys` are the allowed public keys (`ssh-ed25519 AAAA...`); those of the settings
    are given to `Repository.history`. `credentials` default to the environment.
    `timeout` is in seconds and bounds each child process.
    """

    url: str = field(repr=False)
    branch: str = "main"
    path: str = "."
    author_name: str = "wharfinger"
    author_email: str = "wharfinger@localhost"
    credentials: Credentials | None = None
    signing_keys: tuple[str, ...] = ()
    timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A checked remote: `url` is safe for an argument vector and for messages."""

    scheme: Scheme
    url: str
    origin: str = ""  # scheme://host[:port], the scope of the credential
    username: str = ""
    password: str = field(default="", repr=False)


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/wharfinger`, else `~/.cache/wharfinger`."""
    root = environ.get("XDG_CACHE_HOME", "")
    folder = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return folder / "wharfinger"


def parse_address(url: str) -> Address:
    """Checks and splits a URL. Raises Usage without repeating a credential."""
    if not url or len(url) > 4096 or _CONTROL.search(url):
        raise _bad_url(
            "the repository's URL is empty, too long or has control characters"
        )
    if url.startswith("-"):
        raise _bad_url("the repository's URL begins with a dash, as options do")
    if _SCHEME.match(url):
        return _with_scheme(url)
    scp = _SCP.match(url)
    if scp is not None and not os.path.exists(url):
        host, user, path = scp["host"], scp["user"], scp["path"]
        if "::" in url.split("/", 1)[0] and not host.startswith("["):
            raise _bad_url("remote helpers such as ext:: are not allowed")
        _check_ssh(user, host)
        if path.startswith("-"):
            raise _bad_url("the path on the host begins with a dash, as options do")
        return Address(scheme=Scheme.SSH, url=url)
    return Address(scheme=Scheme.FILE, url=str(Path(url).expanduser().absolute()))


def check_remote(remote: Remote) -> None:
    """Checks branch, folder, author and public keys. Raises Usage."""
    check_branch(remote.branch)
    normal_folder(remote.path)
    for what, text in (("name", remote.author_name), ("email", remote.author_email)):
        if not text.strip() or _CONTROL.search(text) or set(text) & set("<>"):
            raise Usage(
                f"the author's {what} is empty or has <, > or control characters"
            )
    check_public_keys(remote.signing_keys)


def check_public_keys(keys: tuple[str, ...]) -> None:
    """Raises Usage for what is no line of one OpenSSH public key."""
    for key in keys:
        if _PUBLIC_KEY.match(key) is None:
            raise Usage(
                "a signing key is not one OpenSSH public key",
                where="signing.keys",
                hint="write the line of the .pub file, such as `ssh-ed25519 AAAA...`",
            )


def check_branch(branch: str) -> None:
    """Raises Usage for what is no plain branch name."""
    parts = branch.split("/")
    bad = (
        _BRANCH.match(branch) is None
        or ".." in branch
        or any(not part or part[0] in ".-" or part[-1] == "." for part in parts)
        or any(part.endswith(".lock") for part in parts)
        or parts[0] == "refs"
        or branch == "HEAD"
    )
    if bad:
        raise Usage(
            f"{branch[:80]!r} is not a branch name that is accepted here",
            where="--branch",
            hint="write the short name, such as main or team/ingress",
        )


def normal_folder(path: str) -> str:
    """`--path` as a repository path without a trailing slash; empty for the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    odd = any(part == ".." or part.lower() == ".git" for part in parts)
    if odd or path.startswith("/") or _CONTROL.search(path) or "\\" in path:
        raise Usage(
            f"{path[:80]!r} is not a folder of the repository",
            where="--path",
            hint="write it relative to the repository's root, such as ingress/prod",
        )
    return "/".join(parts)


def _with_scheme(url: str) -> Address:
    name = url.split(":", 1)[0].lower()
    if "::" in url[: len(name) + 2] or name not in set(Scheme):
        raise _bad_url("the URL's scheme is none of file, http, https, ssh")
    scheme = Scheme(name)
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_url("the repository's URL cannot be read") from None
    if scheme is Scheme.FILE:
        if parts.netloc not in ("", "localhost"):
            raise _bad_url("a file:// URL names another host")
        path = urllib.parse.unquote(parts.path)
        return Address(scheme=scheme, url=str(Path(path).absolute()))
    return _on_host(scheme, parts, host if port is None else f"{host}:{port}")


def _on_host(scheme: Scheme, parts: urllib.parse.SplitResult, host: str) -> Address:
    name = parts.hostname or ""
    location = host.replace(name, f"[{name}]") if ":" in name else host
    if parts.path.startswith("/-") or not parts.path.strip("/"):
        raise _bad_url("the URL's path is empty or begins with a dash")
    if parts.query or parts.fragment:
        raise _bad_url("the URL has a query or a fragment, which could be a secret")
    if scheme is Scheme.SSH:
        _check_ssh(parts.username, f"[{name}]" if ":" in name else name)
        if parts.password is not None:
            raise _bad_url("an ssh:// URL cannot carry a password")
        user = f"{parts.username}@" if parts.username else ""
        return Address(scheme=scheme, url=f"ssh://{user}{location}{parts.path}")
    if _HOST.match(f"[{name}]" if ":" in name else name) is None:
        raise _bad_url("the URL's host is not a host name")
    origin = f"{scheme}://{location}"
    return Address(
        scheme=scheme,
        url=origin + parts.path,
        origin=origin,
        username=urllib.parse.unquote(parts.username or ""),
        password=urllib.parse.unquote(parts.password or ""),
    )


def _check_ssh(user: str | None, host: str) -> None:
    if _HOST.match(host) is None:
        raise _bad_url("the SSH host is not a host name")
    if user is not None and _SSH_USER.match(user) is None:
        raise _bad_url("the SSH user is not a user name")


def _bad_url(what: str) -> Usage:
    return Usage(
        what,
        where="--repo",
        hint="write a path, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH",
    )

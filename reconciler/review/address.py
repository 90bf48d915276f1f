"""Where a Git remote's forge answers, as URLs say it; pure."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

from reconciler.errors import Usage
from reconciler.settings import ForgeKind

VARIABLE = "WHARFINGER_FORGE_URL"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_HTTP = re.compile(
    rf"(https?)://(?:[^@/]*@)?{_HOST}(:[0-9]{{1,5}})?/(.+)\Z", re.IGNORECASE
)
_SSH = re.compile(
    rf"(?:git\+)?ssh(?:\+git)?://(?:[^@/]*@)?{_HOST}(?::[0-9]{{0,5}})?/(.+)\Z",
    re.IGNORECASE,
)
_SCP = re.compile(rf"(?:[^@/:]+@)?{_HOST}:(?!//)(.+)\Z")
_ROOT = re.compile(rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[^?#@\s]*)?\Z")
_API = re.compile(r"/api/v[0-9]\Z")
# Hosts that take ssh on the port of https for the forge beside them.
_ALIASES = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository at a forge: `root` is the forge's own URL, `slug` is `owner/name`."""

    root: str
    host: str
    slug: str

    @classmethod
    def of(cls, remote: str, root: str = "") -> Place:
        """The place of a remote without credentials; `root` overrules where the forge is.

        Raises Usage for a remote or a root that names none.
        """
        own, host, path = _parts(remote)
        root = _API.sub("", root.rstrip("/"))
        if root and not _ROOT.match(root):
            raise Usage(
                "this is not the URL of a forge",
                where=VARIABLE,
                hint="write it like https://git.example.com, without user or query",
            )
        slug = urllib.parse.unquote(path).strip("/").removesuffix(".git")
        below = root.partition("://")[2].partition("/")[2]
        return cls(
            root=root or own,
            host=host,
            slug=slug.removeprefix(f"{below}/") if below else slug,
        )


def _parts(remote: str) -> tuple[str, str, str]:
    """The forge's root, its host without a port, and the path of a remote."""
    if match := _HTTP.match(remote):
        scheme, host, port, path = match.groups()
        host = host.lower()
        return f"{scheme.lower()}://{host}{port or ''}", host, path
    match = _SSH.match(remote) or _SCP.match(remote)
    if match is None or remote.startswith((".", "/")):
        raise Usage(
            "pull requests need a forge, and this remote has none",
            where=remote,
            hint="review.mode: direct, or a remote at GitHub, GitLab or Gitea",
        )
    host = _ALIASES.get(match[1].lower(), match[1].lower())
    return f"https://{host}", host, match[2]


def known_kind(host: str) -> ForgeKind:
    """The kind of forge that a host is known or named for. Raises Usage."""
    for kind in ForgeKind:
        if host == f"{kind}.com" or host.startswith(f"{kind}."):
            return kind
    if host in ("codeberg.org", "forgejo.org"):
        return ForgeKind.GITEA
    raise Usage(
        f"nobody knows which forge {host} is",
        where="wharfinger.yaml: review.forge",
        hint="write forge: github, gitlab or gitea (Forgejo speaks Gitea's API)",
    )

"""Review: pull requests at a forge (does I/O); what to do about them is decided in `decide`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.errors import Usage
from reconciler.review.forge import Forge
from reconciler.review.gitea import WRITES_A_MINUTE as GITEA_WRITES
from reconciler.review.gitea import Gitea
from reconciler.review.github import HEADERS as GITHUB_HEADERS
from reconciler.review.github import WRITES_A_MINUTE as GITHUB_WRITES
from reconciler.review.github import GitHub
from reconciler.review.gitlab import WRITES_A_MINUTE as GITLAB_WRITES
from reconciler.review.gitlab import GitLab
from reconciler.review.http import Access, Clock, Http
from reconciler.settings import ForgeKind

_SSH = re.compile(r"(?:ssh://)?(?:[^@/]+@)?([A-Za-z0-9.-]+)(?::[0-9]+/|:|/)(.+)\Z")
_HTTP = re.compile(r"(https?)://(?:[^@/]*@)?([^/]+)/(.+)\Z")


def connect(
    kind: ForgeKind | None,
    remote: tuple[str, str],
    branch: str,
    environ: Mapping[str, str],
    clock: Clock | None = None,
) -> Forge:
    """The forge of a Git remote; `remote` is its URL and the password in it, if any.

    The token comes from WHARFINGER_FORGE_TOKEN, else what Git itself uses. It is only sent to
    the remote's own host or to what the environment names. Raises Usage.
    """
    url, password = remote
    scheme, host, slug = _parts(url)
    kind = kind or _known(host)
    token = (
        environ.get("WHARFINGER_FORGE_TOKEN")
        or environ.get("WHARFINGER_GIT_TOKEN")
        or environ.get("WHARFINGER_GIT_PASSWORD")
        or password
    )
    if not token:
        raise Usage(
            "pull requests need a token of the forge",
            where="WHARFINGER_FORGE_TOKEN",
            hint="it needs to read and write contents and pull requests of this repository",
        )
    root = environ.get("WHARFINGER_FORGE_URL", "").rstrip("/") or f"{scheme}://{host}"
    match kind:
        case ForgeKind.GITHUB:
            return _github(root, token, slug, branch)
        case ForgeKind.GITLAB:
            access = _access(f"{root}/api/v4", f"Bearer {token}", GITLAB_WRITES)
            return GitLab(Http(access, clock), slug, branch)
        case ForgeKind.GITEA:
            access = _access(f"{root}/api/v1", f"token {token}", GITEA_WRITES)
            return Gitea(Http(access, clock), slug, branch, clock)


def _github(root: str, token: str, slug: str, branch: str) -> GitHub:
    public = root.partition("://")[2] in ("github.com", "api.github.com")
    api = "https://api.github.com" if public else f"{root}/api/v3"
    graphql = "https://api.github.com/graphql" if public else f"{root}/api/graphql"
    header = f"Bearer {token}"
    rest = _access(api, header, GITHUB_WRITES, GITHUB_HEADERS)
    return GitHub(
        Http(rest), slug, branch, Http(_access(graphql, header, GITHUB_WRITES))
    )


def _access(
    url: str, header: str, writes: int, more: tuple[tuple[str, str], ...] = ()
) -> Access:
    return Access(url=url, header=header, writes_a_minute=writes, more=more)


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, host and `owner/name` of a remote. Raises Usage for one without a host."""
    match = _HTTP.match(url)
    if match is not None:
        scheme, host, path = match[1], match[2], match[3]
    else:
        ssh = None if url.startswith(("/", ".", "file:")) else _SSH.match(url)
        if ssh is None:
            raise Usage(
                "pull requests need a forge, and this remote has none",
                where=url,
                hint="review.mode: direct, or a remote at GitHub, GitLab or Gitea",
            )
        scheme, host, path = "https", ssh[1], ssh[2]
    slug = path.strip("/").removesuffix(".git")
    return scheme, host, slug


def _known(host: str) -> ForgeKind:
    name = host.partition(":")[0]
    for kind in ForgeKind:
        if name == f"{kind}.com" or name.startswith(f"{kind}."):
            return kind
    if name in ("codeberg.org", "forgejo.org"):
        return ForgeKind.GITEA
    raise Usage(
        f"nobody knows which forge {name} is",
        where="wharfinger.yaml: review.forge",
        hint="write forge: github, gitlab or gitea (Forgejo speaks Gitea's API)",
    )

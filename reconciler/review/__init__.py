"""Review: pull requests at a forge (does I/O); what to do about them is decided in `decide`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.errors import Usage
from reconciler.review.address import VARIABLE, Place, known_kind
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

_TOKEN = re.compile(r"[\x21-\x7e]+\Z")  # what a header can carry


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
    place = Place.of(url, environ.get(VARIABLE, ""))
    kind = kind or known_kind(place.host)
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
    if not _TOKEN.match(token):
        raise Usage(
            "this is no token: it has blanks, line breaks or other characters in it",
            where="WHARFINGER_FORGE_TOKEN",
        )
    root, slug = place.root, place.slug
    match kind:
        case ForgeKind.GITHUB:
            rest, graphql = _github(root, token)
            return GitHub(Http(rest, clock), slug, branch, Http(graphql, clock))
        case ForgeKind.GITLAB:
            access = _access(f"{root}/api/v4", f"Bearer {token}", GITLAB_WRITES)
            return GitLab(Http(access, clock), slug, branch)
        case ForgeKind.GITEA:
            access = _access(f"{root}/api/v1", f"token {token}", GITEA_WRITES)
            return Gitea(Http(access, clock), slug, branch, clock)


def _github(root: str, token: str) -> tuple[Access, Access]:
    """Where REST and GraphQL are: public GitHub has a host for them, an own server paths."""
    host = root.partition("://")[2]
    api, graphql = f"{root}/api/v3", f"{root}/api/graphql"
    if host in ("github.com", "www.github.com", "api.github.com"):
        api, graphql = "https://api.github.com", "https://api.github.com/graphql"
    elif host.endswith(".ghe.com"):
        api, graphql = f"https://api.{host}", f"https://api.{host}/graphql"
    header = f"Bearer {token}"
    rest = _access(api, header, GITHUB_WRITES, GITHUB_HEADERS)
    return rest, _access(graphql, header, GITHUB_WRITES)


def _access(
    url: str, header: str, writes: int, more: tuple[tuple[str, str], ...] = ()
) -> Access:
    return Access(url=url, header=header, writes_a_minute=writes, more=more)

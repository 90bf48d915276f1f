"""Where a forge is, by its remote; and that a token goes nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.errors import Usage
from reconciler.review import connect
from reconciler.review.address import Place, known_kind
from reconciler.review.gitea import Gitea
from reconciler.review.github import GitHub
from reconciler.review.gitlab import GitLab
from reconciler.settings import ForgeKind

TOKEN = {"WHARFINGER_FORGE_TOKEN": "canary"}

PLACES = {
    "https://github.com/acme/ingress.git": ("https://github.com", "acme/ingress"),
    "https://GitHub.com/Acme/Ingress": ("https://github.com", "Acme/Ingress"),
    "HTTPS://git.example.com:8443/a/b.git/": ("https://git.example.com:8443", "a/b"),
    "http://127.0.0.1:3000/a/b.git": ("http://127.0.0.1:3000", "a/b"),
    "http://[::1]:3000/a/b.git": ("http://[::1]:3000", "a/b"),
    "https://bot@git.example.com/a/b.git": ("https://git.example.com", "a/b"),
    "https://gitlab.com/group/sub/name.git": ("https://gitlab.com", "group/sub/name"),
    "https://gitea.example.com/a/b%20c.git": ("https://gitea.example.com", "a/b c"),
    "git@github.com:acme/ingress.git": ("https://github.com", "acme/ingress"),
    "github.com:acme/ingress": ("https://github.com", "acme/ingress"),
    "git@git.example.com:2222/b.git": ("https://git.example.com", "2222/b"),
    "git@[2001:db8::1]:a/b.git": ("https://[2001:db8::1]", "a/b"),
    "ssh://git@git.example.com/a/b.git": ("https://git.example.com", "a/b"),
    "ssh://git@git.example.com:2222/a/b.git": ("https://git.example.com", "a/b"),
    "git+ssh://git@git.example.com/a/b": ("https://git.example.com", "a/b"),
    "ssh://git@[2001:db8::1]:2222/a/b.git": ("https://[2001:db8::1]", "a/b"),
    "ssh://git@ssh.github.com:443/a/b.git": ("https://github.com", "a/b"),
    "ssh://git@altssh.gitlab.com:443/a/b.git": ("https://gitlab.com", "a/b"),
}


@pytest.mark.parametrize(("remote", "wanted"), PLACES.items())
def test_a_remote_names_its_forge(remote: str, wanted: tuple[str, str]) -> None:
    place = Place.of(remote)
    assert (place.root, place.slug) == wanted


@pytest.mark.parametrize(
    "remote",
    [
        *("/srv/git/ingress.git", "./ingress", "../ingress", "team/ingress", "ingress"),
        *("file:///srv/git/ingress.git", "git://git.example.com/a/b.git", ""),
        *("https://", "https:///a/b", "https://git.example.com", "ssh://", "ftp://h/a"),
        "https://git.example.com:port/a/b",
    ],
)
def test_a_remote_without_a_forge_is_said(remote: str) -> None:
    with pytest.raises(Usage, match="this remote has none"):
        Place.of(remote)


def test_the_environment_says_where_the_forge_is() -> None:
    for root in (
        "https://forge.example.com/git/",
        "https://forge.example.com/git/api/v1",
    ):
        place = Place.of("ssh://git@git.example.com:22/a/b.git", root)
        assert (place.root, place.slug) == ("https://forge.example.com/git", "a/b")
    below = Place.of("https://example.com/git/a/b.git", "https://example.com/git")
    assert below.slug == "a/b"


@pytest.mark.parametrize(
    "root",
    [
        *("forge.example.com", "ftp://forge.example.com", "https://", "file:///x"),
        *("https://u:p@forge.example.com", "https://forge.example.com/?x=1"),
        "https://forge.example.com/a b",
    ],
)
def test_an_environment_of_nonsense_is_said(root: str) -> None:
    with pytest.raises(Usage, match="not the URL of a forge") as caught:
        Place.of("https://github.com/a/b", root)
    assert "u:p" not in str(caught.value)


KINDS = {
    "github.com": ForgeKind.GITHUB,
    "github.example.com": ForgeKind.GITHUB,
    "gitlab.com": ForgeKind.GITLAB,
    "gitlab.example.com": ForgeKind.GITLAB,
    "gitea.com": ForgeKind.GITEA,
    "gitea.example.com": ForgeKind.GITEA,
    "codeberg.org": ForgeKind.GITEA,
}


@pytest.mark.parametrize(("host", "kind"), KINDS.items())
def test_hosts_are_known_by_name(host: str, kind: ForgeKind) -> None:
    assert known_kind(host) is kind


@pytest.mark.parametrize(
    "host", ["git.example.com", "notgithub.com", "127.0.0.1", "[::1]", "mygitlab.org"]
)
def test_other_hosts_are_asked_about(host: str) -> None:
    with pytest.raises(Usage, match=r"review\.forge") as caught:
        known_kind(host)
    assert host in str(caught.value)


def roots(
    remote: str, kind: ForgeKind | None = None, environ: Mapping[str, str] = TOKEN
) -> set[str]:
    """The URLs that a connected forge would speak with."""
    forge: Any = connect(kind, (remote, ""), "main", environ)
    talks = [forge._http, getattr(forge, "_graphql", forge._http)]
    return {each._access.url for each in talks}


def test_public_github_has_a_host_of_its_own_for_the_api() -> None:
    wanted = {"https://api.github.com", "https://api.github.com/graphql"}
    assert roots("git@github.com:a/b.git") == wanted
    assert roots("https://github.com/a/b") == wanted
    tenant = {"https://api.acme.ghe.com", "https://api.acme.ghe.com/graphql"}
    assert roots("https://acme.ghe.com/a/b", ForgeKind.GITHUB) == tenant


def test_an_enterprise_server_has_paths() -> None:
    wanted = {
        "https://git.example.com:8443/api/v3",
        "https://git.example.com:8443/api/graphql",
    }
    assert roots("https://git.example.com:8443/a/b", ForgeKind.GITHUB) == wanted


def test_gitlab_and_gitea_are_asked_where_they_are() -> None:
    assert roots("git@gitlab.com:a/b.git") == {"https://gitlab.com/api/v4"}
    found = roots("http://127.0.0.1:3000/a/b.git", ForgeKind.GITEA)
    assert found == {"http://127.0.0.1:3000/api/v1"}


def test_the_environment_overrules_the_remote() -> None:
    environ = {**TOKEN, "WHARFINGER_FORGE_URL": "https://forge.example.com"}
    found = roots("git@git.example.com:a/b.git", ForgeKind.GITEA, environ)
    assert found == {"https://forge.example.com/api/v1"}


@pytest.mark.parametrize(
    "remote", [url for url in PLACES if not url.startswith("http:")]
)
@pytest.mark.parametrize("kind", ForgeKind)
def test_only_a_plain_remote_is_spoken_with_plainly(
    remote: str, kind: ForgeKind
) -> None:
    assert all(url.startswith("https://") for url in roots(remote, kind))


@pytest.mark.parametrize(
    ("environ", "password", "wanted"),
    [
        ({"WHARFINGER_FORGE_TOKEN": "a", "WHARFINGER_GIT_TOKEN": "b"}, "d", "a"),
        ({"WHARFINGER_GIT_TOKEN": "b", "WHARFINGER_GIT_PASSWORD": "c"}, "d", "b"),
        ({"WHARFINGER_GIT_PASSWORD": "c"}, "d", "c"),
        ({"WHARFINGER_FORGE_TOKEN": ""}, "d", "d"),
    ],
)
def test_the_first_token_there_is_is_taken(
    environ: dict[str, str], password: str, wanted: str
) -> None:
    address = ("https://gitea.example.com/a/b", password)
    forge: Any = connect(None, address, "main", environ)
    assert forge._http._access.header == f"token {wanted}"


def test_no_token_is_said() -> None:
    with pytest.raises(Usage, match="WHARFINGER_FORGE_TOKEN"):
        connect(None, ("https://gitea.example.com/a/b", ""), "main", {})


@pytest.mark.parametrize(
    "token", ["two words", "line\r\nX-Evil: 1", "ünïcode", "a\n", "\x00"]
)
def test_a_token_that_no_header_can_carry_is_said_without_it(token: str) -> None:
    with pytest.raises(Usage, match="this is no token") as caught:
        connect(None, ("https://gitea.example.com/a/b", token), "main", {})
    assert token not in str(caught.value)


def test_each_kind_has_its_adapter() -> None:
    found = [
        type(connect(kind, ("https://git.example.com/a/b", "x"), "main", {}))
        for kind in (ForgeKind.GITHUB, ForgeKind.GITLAB, ForgeKind.GITEA)
    ]
    assert found == [GitHub, GitLab, Gitea]

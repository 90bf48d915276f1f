"""Credentials of the command line against a real HTTP server with git behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingress import Ingress
from tests.integration.remotes import web

TOKEN = "t0ken-of-the-night"


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    return Ingress(root=tmp_path).start()


def test_missing_and_wrong_credentials_are_exit_four_and_no_secret_is_said(
    ingress: Ingress,
) -> None:
    with web(ingress.root, login=f"x-access-token:{TOKEN}") as server:
        url = f"{server.url}/ingress.git"
        missing = ingress.run("plan", WHARFINGER_REPO=url)
        assert missing.code == 4, missing.err
        assert "WHARFINGER_GIT_TOKEN" in missing.err
        wrong = ingress.run(
            "plan", WHARFINGER_REPO=url, WHARFINGER_GIT_TOKEN="sesame-wrong"
        )
        assert wrong.code == 4, wrong.err
        assert "sesame-wrong" not in wrong.err + wrong.out


def test_a_token_opens_the_repository(ingress: Ingress) -> None:
    ingress.git("config", "http.receivepack", "true", at=ingress.remote)
    with web(ingress.root, login=f"x-access-token:{TOKEN}") as server:
        url = f"{server.url}/ingress.git"
        environment = {"WHARFINGER_REPO": url, "WHARFINGER_GIT_TOKEN": TOKEN}
        done = ingress.reconcile(**environment)
        assert done.code == 0, done.err
        assert done.plan["commit"] == ingress.tip()
        assert TOKEN not in done.err + done.out
        assert ingress.reconcile(**environment).plan["changes"] == []
    kept = [path for path in (ingress.root / "cache").rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in path.read_bytes() for path in kept)


def test_a_server_that_is_away_is_incomplete(ingress: Ingress) -> None:
    with web(ingress.root) as server:
        url = f"{server.url}/ingress.git"
    assert ingress.run("plan", WHARFINGER_REPO=url).code == 3

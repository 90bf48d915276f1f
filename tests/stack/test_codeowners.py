"""Owners of namespaces are asked for review: CODEOWNERS and requests, on a real Gitea."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.process import wait_until
from tests.stack.review import Review

pytestmark = pytest.mark.stack
ORG = "owned"
OWNERS = b"""\
manifests/.* @owned/platform
manifests/public/eu1/shop/.* @owned/shop
manifests/public/eu1/data/.* @owned/data
"""


def team(gitea: Gitea, name: str) -> None:  # noqa: F811
    """A team of the organisation with one member, who may review and not push."""
    units = ["repo.code", "repo.pulls"]
    rights = {"permission": "read", "units": units, "includes_all_repositories": True}
    made = gitea.api("POST", f"/orgs/{ORG}/teams", {"name": name, **rights})
    member = gitea.account(f"member-of-{name}")
    gitea.api("PUT", f"/teams/{made['id']}/members/{member.user}")


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    """An adopted repository of an organisation whose namespaces have owners."""
    gitea.api("POST", "/orgs", {"username": ORG})
    origin = gitea.create_repo(org=ORG)
    bot = gitea.account("bot-of-owned")
    gitea.grant(origin, bot)
    for name in ("platform", "shop", "data"):
        team(gitea, name)
    started = Review(root=tmp_path, gitea=gitea, origin=origin, bot=bot).start()
    started.commit({".gitea/CODEOWNERS": OWNERS}, "Say who owns what")
    started.passes()
    started.merge(started.only()["number"])
    started.passes()
    return started


def asked(review: Review, pull: dict[str, Any]) -> list[str]:
    """Teams and people whose review a pull request asks for."""
    path = f"/repos/{review.origin.slug}/pulls/{pull['number']}/reviews"
    found = review.gitea.api("GET", path)
    wanted = [each for each in found if each["state"] == "REQUEST_REVIEW"]
    return sorted(each["team"]["name"] for each in wanted if each.get("team"))


def test_a_request_asks_the_owners_of_its_namespace_and_no_others(
    review: Review,
) -> None:
    review.expose("eu1", "stock")
    review.write("eu1/svc-users.yaml", documents.service("users", 31001, "data"))
    users = documents.virtual_service("users", space="data")
    review.write("eu1/users.yaml", users)
    review.passes()
    by_branch = {each["head"]["ref"]: each for each in review.pulls()}
    assert set(by_branch) == {"wharfinger/eu1/shop", "wharfinger/eu1/data"}
    for name in ("shop", "data"):
        pull = by_branch[f"wharfinger/eu1/{name}"]
        wait_until(lambda pull=pull: bool(asked(review, pull)), "owners are asked")
        assert asked(review, pull) == sorted((name, "platform"))

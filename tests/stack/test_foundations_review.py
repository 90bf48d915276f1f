"""What a foundation serves as pull requests at a real Gitea."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.mounted import VARIABLE
from tests.foundries import Foundry, serving
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea
from tests.stack.review import review_at

pytestmark = pytest.mark.stack
WISH = "manifests/public/blue/cf.tcp/tcp-tcp.blue.example.com-1030.yaml"


def test_routes_of_a_foundation_are_proposed_and_merged(
    gitea: Gitea,  # noqa: F811
    tmp_path: Path,
) -> None:
    blue = Foundry(name="blue")
    blue.domain("apps.blue.example.com")
    tcp = blue.domain("tcp.blue.example.com", tcp=True)
    source = {
        "credentials": "blue",
        "routers": ["10.20.0.10"],
        "tcpRouters": ["10.20.0.20"],
    }
    tenant = {
        "clusters": ["*"],
        "gateways": ["public"],
        "endpoints": ["10.20.0.0/16"],
        "hosts": [".blue.example.com"],
    }
    review = review_at(gitea, tmp_path / "review")
    review.environment[VARIABLE] = str(tmp_path / "credentials")
    with serving(blue, tmp_path):
        review.start(
            domain="ingress.example.com",
            inventories=[{"name": "blue", "cloudFoundry": source}],
            tenants=[tenant],
        )
        review.passes()
        assert r"\*.apps.blue.example.com:443" in review.only()["body"]
        review.merge(review.only()["number"])
        review.passes()
        assert review.pulls() == []
        blue.tcp_route(tcp, 1030)
        review.passes()
        assert WISH not in review.files()
        assert review.only()["head"]["ref"] == "wharfinger/blue/cf.tcp"
        assert "blue cf.tcp/tcp.blue.example.com-1030" in review.only()["body"]
        review.merge(review.only()["number"], "squash")
        review.passes()
        assert WISH in review.files()
        assert review.pulls() == []

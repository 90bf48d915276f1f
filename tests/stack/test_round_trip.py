"""The road of one route as people see it; docs/round_trip.md is what this test saw."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from tests import documents
from tests.envoys import RealEnvoy
from tests.pages import Page
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Account, Gitea
from tests.stack.network import free_port
from tests.stack.review import Review
from tests.stack.workloads import Workload

pytestmark = [pytest.mark.stack, pytest.mark.envoy]
UNIT = "eu1/shop/orders"
NODE_PORT = 31080
GREETING = "hello from orders"
SITE = "https://git.example.com"


@dataclass(slots=True)
class Team:
    """The people and machines of the story, and the page that tells it."""

    review: Review
    envoy: RealEnvoy
    reviewer: Account
    port: int
    other: int
    page: Page = field(default_factory=lambda: Page(name="round_trip.md"))

    def type(self, block: str, command: str) -> str:
        """A command as people type it, shown with what it prints."""
        done = self.review.run(*shlex.split(command)[1:])
        assert done.code == 0, (command, done)
        self.show(block, f"$ {command}\n{done.out}")
        return done.out

    def sync(self, block: str) -> None:
        """Bring Envoy to the branch; what it takes is told as a log line."""
        done = self.review.run("envoy-sync", "--once")
        assert done.code == 0, done
        self.show(block, f"$ wharfinger envoy-sync --once\n{done.err}")

    def show(self, block: str, *parts: str) -> None:
        """A block of the page; commits get stand-ins."""
        known = self.review.git("rev-list", "--all", at=self.review.remote)
        self.page.neutral.commits = frozenset(known.split())
        self.page.show(block, *parts)

    def annotations(self, block: str) -> dict[str, str]:
        """What the VirtualService of orders says, shown without its spec."""
        path = self.review.clusters / "eu1/orders.yaml"
        found = yamlio.load(path.read_bytes())
        assert isinstance(found, dict)
        metadata: dict[str, Any] = found["metadata"]
        said: dict[str, str] = metadata["annotations"]
        neutral = {key: self.page.neutral(value) for key, value in said.items()}
        names = {key: metadata[key] for key in ("name", "namespace")}
        shown = {"kind": found["kind"], "metadata": {**names, "annotations": neutral}}
        self.show(block, yamlio.dump(shown))
        return {key.removeprefix("wharfinger.dev/"): said[key] for key in said}

    def dial(self, block: str) -> str:
        """What a client of the port hears."""
        command = f"cat < /dev/tcp/localhost/{self.port}"
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.show(block, f"$ {command}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def pull(self, block: str) -> dict[str, Any]:
        """The open pull request as its reviewer reads it."""
        pull = self.review.only()
        labels = ", ".join(sorted(each["name"] for each in pull["labels"]))
        title = f"{pull['title']} (#{pull['number']})"
        self.show(block, f"{title}\nLabels: {labels}", pull["body"])
        return pull

    def accept(self, pull: dict[str, Any]) -> None:
        """The reviewer approves; the owner squashes with what the forge's form holds then."""
        forge, origin = self.review.gitea, self.review.origin
        path = f"/repos/{origin.slug}/pulls/{pull['number']}"
        review = {"event": "APPROVED", "body": "That is what we agreed on."}
        forge.api("POST", f"{path}/reviews", review, account=self.reviewer)
        who = f"Reviewed-by: {self.reviewer.user} <{self.reviewer.user}@example.com>"
        message = f"{pull['body']}\nReviewed-on: {pull['html_url']}\n{who}\n"
        forge.merge(origin, pull["number"], "squash", message)

    def revert(self) -> None:
        """A person undoes the newest commit by a pull request of their own."""
        review = self.review
        review.pull()
        review.git("revert", "--no-edit", "HEAD")
        review.git("push", "-q", "origin", "HEAD:refs/heads/undo-orders")
        title = "Close orders until the audit is over"
        number = review.gitea.open_pull(review.origin, "undo-orders", title)
        self.accept(review.gitea.pull(review.origin, number))

    def log(self, block: str) -> str:
        """The newest commit of the branch, its first lines."""
        command = "git log -1 --format='%an%n%n%s' origin/main"
        self.review.pull()
        said = self.review.git(*shlex.split(command)[1:])
        self.show(block, f"$ {command}\n{said}")
        return said


@pytest.fixture
def team(gitea: Gitea, tmp_path: Path) -> Iterator[Team]:  # noqa: F811
    """A front door that serves one workload already and is reviewed."""
    origin = gitea.create_repo("round-trip")
    bot, reviewer = gitea.account("ingress-bot"), gitea.account("grace")
    for account in (bot, reviewer):
        gitea.grant(origin, account)
    review = Review(root=tmp_path, gitea=gitea, origin=origin, bot=bot)
    with RealEnvoy(tmp_path) as envoy, Workload(GREETING, NODE_PORT) as orders:
        other, port = sorted((free_port(), free_port()))
        made = Team(
            review=review, envoy=envoy, reviewer=reviewer, port=port, other=other
        )
        _adopt_another(made, orders.address)
        made.page.neutral.fixed += [
            (f"{gitea.url}/{origin.slug}", f"{SITE}/platform/ingress"),
            (str(port), "20017"),
            (str(other), "20001"),
            (orders.address, "10.99.0.7"),
        ]
        yield made


def _adopt_another(team: Team, address: str) -> None:
    """Serve a workload of another namespace; orders runs and is not exposed."""
    review, options = team.review, team.envoy.options
    review.environment |= {
        "WHARFINGER_OUT": str(options.folder),
        "WHARFINGER_STATUS": str(options.status),
        "WHARFINGER_ADMIN": options.admin,
        "WHARFINGER_BIND": options.bind,
    }
    gateway = {
        "name": "public",
        "renderer": "envoy",
        "namespace": "ingress",
        "host": "localhost",
        "ports": {"range": [team.other, team.port], "static": team.other},
        "proof": {"envoySync": str(options.status)},
    }
    tenant = {"clusters": ["*"], "gateways": ["public"], "endpoints": ["10.99.0.0/16"]}
    review.start(gateways=[gateway], tenants=[tenant])
    (review.clusters / "eu1/orders.yaml").unlink()
    review.write("eu1/node.yaml", documents.node("n1", address))
    review.write("eu1/svc-orders.yaml", documents.service("orders", NODE_PORT))
    review.write("eu1/svc-users.yaml", documents.service("users", NODE_PORT, "data"))
    asked = {"wharfinger.dev/request-port": str(team.other)}
    users = documents.virtual_service("users", annotations=asked, space="data")
    review.write("eu1/users.yaml", users)
    review.passes()
    review.merge(review.only()["number"])
    review.passes()


def test_a_route_is_proposed_merged_served_reverted_held_and_released(
    team: Team,
) -> None:
    _propose(team)
    _merge_and_serve(team)
    _revert_and_hold(team)
    _release(team)
    team.page.settle()


def _propose(team: Team) -> None:
    wish = documents.virtual_service("orders")
    wish["metadata"] |= {"generation": 1}  # type: ignore[operator]
    team.review.write("eu1/orders.yaml", wish)
    team.annotations("wish")
    assert f"localhost:{team.port}  newly exposed" in team.type(
        "plan", "wharfinger plan"
    )
    team.type("proposed", "wharfinger reconcile")
    said = team.annotations("pending")
    assert said["state"] == "Pending"
    assert "port" not in said
    pull = team.pull("request")
    assert pull["html_url"] in said["message"]
    branch = pull["head"]["ref"]
    team.type("check", f"wharfinger check --base main --head {branch}")


def _merge_and_serve(team: Team) -> None:
    assert team.dial("closed") == ""
    team.accept(team.review.only())
    assert team.log("merged").startswith("ingress-bot")
    team.sync("synced")
    assert team.dial("served") == GREETING
    team.type("proved", "wharfinger reconcile")
    said = team.annotations("ready")
    assert (said["state"], said["host"], said["port"]) == (
        "Ready",
        "localhost",
        str(team.port),
    )
    assert said["commit"] == team.review.tip()


def _revert_and_hold(team: Team) -> None:
    team.revert()
    tip = team.review.tip()
    team.sync("unsynced")
    assert team.dial("refused") == ""
    assert "= hold" in team.type("held", "wharfinger reconcile")
    assert team.review.tip() == tip
    assert team.review.pulls() == []
    said = team.annotations("told")
    assert said["state"] == "Held"
    assert tip[:10] in said["message"]
    assert tip[:10] in team.type("holds", "wharfinger get holds")
    assert UNIT in team.type("ports", "wharfinger get ports")
    assert f": {UNIT}" in team.type("who-had", f"wharfinger who-had {team.port}")


def _release(team: Team) -> None:
    team.type("released", f"wharfinger release {UNIT}")
    team.accept(team.review.only())
    team.sync("synced-again")
    assert team.dial("served-again") == GREETING
    team.type("proved-again", "wharfinger reconcile")
    said = team.annotations("ready-again")
    assert (said["state"], said["port"]) == ("Ready", str(team.port))
    told = team.type("history", f"wharfinger history {UNIT}")
    assert told.count("grace; merged by platform") == 2

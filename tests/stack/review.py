"""A directory of clusters whose ingress repository is reviewed at a real Gitea (does I/O)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ingress import Doc, Done, Ingress, Near
from tests.stack.gitea import Account, Gitea, GitRemote
from tests.stack.process import wait_until

PREFIX = "wharfinger/"
_numbers = itertools.count(1)


@dataclass(slots=True)
class Review(Near):
    """As `Near`, with pull requests; the bot may write, the owner merges."""

    gitea: Gitea = field(kw_only=True)
    origin: GitRemote = field(kw_only=True)
    bot: Account = field(kw_only=True)

    @property
    def remote(self) -> Path:
        return self.origin.bare

    def start(self, **overrides: object) -> Review:
        """A repository with settings and the cluster eu1 with one exposure."""
        self.root.mkdir(parents=True, exist_ok=True)
        url = self.origin.authenticated_url
        self.git("clone", "-q", url, str(self.work), at=self.root)
        self.git("checkout", "-q", "-B", "main")
        self.environment["WHARFINGER_REPO"] = self.origin.url_of(self.bot)
        self.commit({"wharfinger.yaml": self.settings(**overrides)}, "Set up")
        # While it still holds the repository for empty, its hook refuses the next push.
        wait_until(lambda: self.gitea.knows(self.origin, "main"), "main is known")
        self.cluster("eu1")
        self.expose("eu1", "orders")
        return self

    def settings(self, **overrides: object) -> bytes:
        """Settings with review at Gitea; `apis` are off, so that groups are namespaces."""
        review = {"mode": "pull-request", "forge": "gitea"}
        more: Doc = {"review": review, "apis": {"mode": "off"}}
        return Ingress.settings(self, **{**more, **overrides})

    def passes(self, code: int = 0, *args: str, **environment: str) -> Done:
        """`reconcile -o json` that must end with a code."""
        done = self.reconcile(*args, **environment)
        assert done.code == code, f"{done.code}: {done.err}\n{done.out}"
        return done

    def pulls(self, state: str = "open") -> list[dict[str, Any]]:
        """Pull requests, the oldest first."""
        found = self.gitea.pulls(self.origin, state)
        return sorted(found, key=lambda each: int(each["number"]))

    def only(self) -> dict[str, Any]:
        """The one open pull request."""
        (found,) = self.pulls()
        return found

    def merge(self, number: int, style: str = "merge") -> str:
        """Merge as the owner; the branch's new tip."""
        return self.gitea.merge(self.origin, number, style)

    def merges_by_itself(self, number: int) -> None:
        """Wait until Gitea has merged what it was asked to merge when ready."""

        def is_merged() -> bool:
            found = self.gitea.pull(self.origin, number)
            return bool(found["merged"]) and found["state"] == "closed"

        wait_until(is_merged, f"pull request {number} merges by itself")

    def branches(self) -> list[str]:
        """Request branches of the remote."""
        names = self.git("branch", "--format=%(refname:short)", at=self.remote).split()
        return sorted(each for each in names if each.startswith(PREFIX))

    def push_to(self, branch: str, files: dict[str, bytes], message: str) -> None:
        """A person's commit on top of a branch."""
        self.git("fetch", "-q", "origin")
        self.git("checkout", "-q", "-B", "theirs", f"origin/{branch}")
        for path, data in files.items():
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.work / path).write_bytes(data)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", f"theirs:{branch}")
        self.git("checkout", "-q", "main")


def review_at(gitea: Gitea, root: Path) -> Review:
    """A new repository with an account for the bot; not started."""
    origin = gitea.create_repo()
    bot = gitea.account(f"bot-{next(_numbers)}-{origin.slug.rpartition('-')[2]}")
    gitea.grant(origin, bot)
    return Review(root=root, gitea=gitea, origin=origin, bot=bot)

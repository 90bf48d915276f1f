"""The contract of forges on a real Gitea: what the fake in `tests/integration` is held to."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from reconciler.model.repository import CommitId
from reconciler.review import connect
from reconciler.settings import ForgeKind
from tests.forge_contract import ForgeContract
from tests.stack.checkout import git
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Account, Gitea, GiteaError, GitRemote
from tests.stack.process import wait_until

pytestmark = pytest.mark.stack
_numbers = itertools.count(1)


class GiteaSide:
    """A repository at the real forge; `bot` is who we are, the owner is everybody else."""

    def __init__(self, gitea: Gitea, folder: Path) -> None:  # noqa: F811
        self.gitea = gitea
        self.remote: GitRemote = gitea.create_repo()
        name = self.remote.slug.rpartition("-")[2]
        self.bot: Account = gitea.account(f"contract-{next(_numbers)}-{name}")
        gitea.grant(self.remote, self.bot)
        self.work = folder / "work"
        git(folder, "clone", "-q", self.remote.authenticated_url, str(self.work))
        git(self.work, "checkout", "-q", "-B", "main")
        self._commit("README.md")
        git(self.work, "push", "-q", "origin", "main")
        wait_until(lambda: self._tip("main") != "", "main is known")
        environ = {"WHARFINGER_FORGE_TOKEN": self.bot.token}
        address = (self.remote.url, "")
        self.forge = connect(ForgeKind.GITEA, address, "main", environ)

    def _commit(self, path: str) -> CommitId:
        number = next(_numbers)
        (self.work / path).write_text(f"{number}\n")
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", f"Change {number}")
        return CommitId(git(self.work, "rev-parse", "HEAD"))

    def _tip(self, branch: str) -> str:
        path = f"/repos/{self.remote.slug}"
        if self.gitea.api("GET", path)["empty"]:
            return ""
        found = self.gitea.api("GET", f"{path}/branches?limit=50")
        return next((e["commit"]["id"] for e in found if e["name"] == branch), "")

    def push(self, branch: str) -> CommitId:
        start = f"origin/{branch}" if self._tip(branch) else "origin/main"
        git(self.work, "fetch", "-q", "origin")
        git(self.work, "checkout", "-q", "-B", "theirs", start)
        head = self._commit(f"{branch.replace('/', '-')}.txt")
        git(self.work, "push", "-q", "origin", f"theirs:{branch}")
        wait_until(lambda: self._tip(branch) == head, f"{branch} is known")
        wait_until(lambda: self._follows(branch, head), "its request follows it")
        return head

    def _follows(self, branch: str, head: CommitId) -> bool:
        mine = [e["head"] for e in self.gitea.pulls(self.remote)]
        own = self.remote.slug
        return all(
            e["sha"] == head
            for e in mine
            if e["label"] == branch and (e["repo"] or {}).get("full_name") == own
        )

    def drop(self, branch: str) -> None:
        if self._tip(branch):
            git(self.work, "push", "-q", "origin", f":{branch}")
        wait_until(lambda: not self._tip(branch), f"{branch} is gone")

    def close(self, number: int) -> None:
        self.gitea.close_pull(self.remote, number)

    def merge(self, number: int) -> None:
        self.gitea.merge(self.remote, number)

    def labels(self, number: int, names: tuple[str, ...]) -> None:
        for name in names:
            label = {"name": name, "color": "#aabbcc"}
            self.gitea.api("POST", f"/repos/{self.remote.slug}/labels", label)
        path = f"/repos/{self.remote.slug}/issues/{number}/labels"
        self.gitea.api("POST", path, {"labels": list(names)})

    def open_from_fork(self, branch: str) -> None:
        eve = self.gitea.account(f"eve-{next(_numbers)}-{self.bot.user}")
        self.gitea.grant(self.remote, eve, "read")
        path = f"/repos/{self.remote.slug}/forks"
        fork = self.gitea.api("POST", path, {}, account=eve)
        url = self.remote.url.replace(self.remote.slug, fork["full_name"])
        scheme, _, rest = url.partition("://")
        target = f"{scheme}://{eve.user}:{eve.token}@{rest}"
        git(self.work, "checkout", "-q", "-B", "hers", "origin/main")
        head = self._commit("evil.txt")
        git(self.work, "push", "-q", "--force", target, f"hers:{branch}")
        where = f"/repos/{fork['full_name']}/branches?limit=50"
        wait_until(
            lambda: any(
                e["name"] == branch and e["commit"]["id"] == head
                for e in self.gitea.api("GET", where, account=eve)
            ),
            "the fork's branch is known",
        )
        body = {"head": f"{eve.user}:{branch}", "base": "main", "title": "Mine"}
        self.gitea.api("POST", f"/repos/{self.remote.slug}/pulls", body, account=eve)

    def open_into(self, branch: str, base: str) -> None:
        git(self.work, "push", "-q", "origin", f"origin/main:refs/heads/{base}")
        wait_until(lambda: self._tip(base) != "", f"{base} is known")
        body = {"head": branch, "base": base, "title": "Other"}
        self.gitea.api("POST", f"/repos/{self.remote.slug}/pulls", body)

    def hold_back(self) -> None:
        self.gitea.protect(self.remote, required_approvals=1)

    def waits_to_merge(self, number: int) -> bool:
        path = f"/repos/{self.remote.slug}/pulls/{number}/merge"
        try:  # only taking it back says whether there was one
            self.gitea.api("DELETE", path)
        except GiteaError as error:
            if error.status != 404:
                raise
            return False
        return True

    def is_merged(self, number: int) -> bool:
        return bool(self.gitea.pull(self.remote, number)["merged"])


@pytest.fixture
def side(gitea: Gitea, tmp_path: Path) -> GiteaSide:  # noqa: F811
    return GiteaSide(gitea, tmp_path)


class TestGitea(ForgeContract):
    """The contract, on the real one."""

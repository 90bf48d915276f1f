"""A real Gitea: private repositories over HTTP, pull requests, rules (does I/O).

One server per run, SQLite in a scratch folder, no SSH, nothing that phones home.
Accounts use access tokens, as automation does.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

from tests.stack import pins
from tests.stack.network import free_port
from tests.stack.process import (
    Command,
    Daemon,
    ProcessError,
    answers,
    run,
    scratch,
    wait_until,
)

ADDRESS = "127.0.0.1"
OWNER = "platform"
MESSAGE = 500
STATIC = ("templates", "options", "public")
SETTINGS = """\
APP_NAME = forge
RUN_MODE = prod
RUN_USER = {user}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {work}
[server]
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {static}
APP_DATA_PATH = {work}/data
[database]
DB_TYPE = sqlite3
PATH = {work}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {work}/repositories
DISABLE_STARS = true
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[session]
PROVIDER = memory
[log]
LEVEL = Warn
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[cron]
ENABLED = false
[api]
MAX_RESPONSE_ITEMS = 50
"""


class GiteaError(RuntimeError):
    """Gitea refused a call; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with an access token of all scopes."""

    user: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRemote:
    """A private repository: `slug` is ``owner/name``, `bare` where it lies on disk."""

    slug: str
    url: str
    account: Account
    bare: Path

    @property
    def authenticated_url(self) -> str:
        """The URL with the account's user and token in it."""
        return self.url_of(self.account)

    def url_of(self, account: Account) -> str:
        """The URL with the credentials of `account` in it."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{account.user}:{account.token}@{rest}"


class Gitea:
    """The server; a context manager. The account `owner` is its administrator."""

    def __init__(self, logs: Path) -> None:
        self._folder = scratch("gitea")
        port = free_port()
        self.url = f"http://{ADDRESS}:{port}"
        self._settings = self._write_settings(port)
        self._base = (str(pins.binary("gitea")), "--config", str(self._settings))
        self._numbers = itertools.count(1)
        self._session = requests.Session()
        self._session.trust_env = False
        command = Command(
            name="gitea",
            argv=(*self._base, "web"),
            env={"HOME": str(self._folder)},
            ready=answers(f"{self.url}/api/healthz"),
        )
        self.daemon = Daemon(command, logs)
        self.owner = Account(user=OWNER, token="")

    def _write_settings(self, port: int) -> Path:
        static = self._folder / "static"
        static.mkdir()
        for part in STATIC:
            (static / part).symlink_to(pins.asset(f"gitea-root/{part}"))
        path = self._folder / "app.ini"
        text = SETTINGS.format(
            user=run("id", "-un").strip(),
            work=self._folder,
            address=ADDRESS,
            port=port,
            url=self.url,
            static=static,
            secret=secrets.token_hex(32),
        )
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def __enter__(self) -> Self:
        self._command("migrate")
        self.owner = self._new_account(OWNER, "--admin")
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        self.daemon.stop()

    def _command(self, *arguments: str) -> str:
        home = f"HOME={self._folder}"
        return run("env", home, *self._base, *arguments).strip()

    def _new_account(self, name: str, *flags: str) -> Account:
        create = ("admin", "user", "create", "--username", name, *flags)
        create += ("--email", f"{name}@example.com", "--must-change-password=false")
        self._command(*create, "--random-password")
        return self.scoped(Account(user=name, token=""), "all")

    def scoped(self, account: Account, scopes: str) -> Account:
        """The same user with a new token of these scopes."""
        token = ("generate-access-token", "--username", account.user, "--raw")
        named = ("--token-name", secrets.token_hex(4), "--scopes", scopes)
        said = self._command("admin", "user", *token, *named)
        # It also prints warnings, before or after.
        (made,) = re.findall(r"^[0-9a-f]{40}$", said, re.MULTILINE)
        return Account(user=account.user, token=made)

    def account(self, name: str) -> Account:
        """A new account without any rights."""
        return self._new_account(name)

    def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        account: Account | None = None,
    ) -> Any:
        """One call below ``/api/v1``; the JSON answer. Raises GiteaError."""
        who = account or self.owner
        answer = self._session.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"token {who.token}"},
            timeout=30,
        )
        if not answer.ok:
            said = f"{method} {path}: {answer.text[:MESSAGE]}"
            raise GiteaError(answer.status_code, said)
        return answer.json() if answer.content else None

    def create_repo(
        self, name: str = "", *, private: bool = True, org: str = ""
    ) -> GitRemote:
        """A new empty repository, of the owner unless of `org`; a name nobody used unless given."""
        name = name or f"ingress-{next(self._numbers)}"
        body = {"name": name, "private": private, "default_branch": "main"}
        made = self.api("POST", f"/orgs/{org}/repos" if org else "/user/repos", body)
        slug = made["full_name"]
        return GitRemote(
            slug=slug,
            url=f"{self.url}/{slug}.git",
            account=self.owner,
            bare=self._folder / "repositories" / f"{slug}.git",
        )

    def grant(self, remote: GitRemote, account: Account, right: str = "write") -> None:
        """Let `account` in with `right`: read, write or admin."""
        path = f"/repos/{remote.slug}/collaborators/{account.user}"
        self.api("PUT", path, {"permission": right})

    def protect(self, remote: GitRemote, branch: str = "main", **rule: Any) -> None:
        """A branch protection; without `rule` nobody may push, merging is allowed."""
        body = {"rule_name": branch, "enable_push": False, **rule}
        self.api("POST", f"/repos/{remote.slug}/branch_protections", body)

    def unprotect(self, remote: GitRemote, branch: str = "main") -> None:
        """Remove the protection again."""
        self.api("DELETE", f"/repos/{remote.slug}/branch_protections/{branch}")

    def refuse_pushes(
        self, remote: GitRemote, message: str, branch: str = "main"
    ) -> None:
        """A server-side hook that refuses pushes to `branch` with `message`."""
        script = (
            "#!/bin/sh\n"
            "while read -r _ _ ref; do\n"
            f'  [ "$ref" = "refs/heads/{branch}" ] || continue\n'
            f"  cat >&2 <<'MESSAGE'\n{message}\nMESSAGE\n"
            "  exit 1\n"
            "done\n"
        )
        self.hook(remote, "pre-receive", script)

    def hook(self, remote: GitRemote, kind: str, script: str) -> Path:
        """Install an executable hook beside Gitea's own; remove the file to end it."""
        folder = remote.bare / "hooks" / f"{kind}.d"
        if not folder.is_dir():
            raise ProcessError(f"{remote.slug} has no hooks of kind {kind}")
        path = folder / "test"
        path.write_text(script)
        path.chmod(0o755)
        return path

    def open_pull(
        self, remote: GitRemote, head: str, title: str, body: str = ""
    ) -> int:
        """Open a pull request of branch `head` into main; its number.

        Gitea learns of a pushed branch a little after the push was answered.
        """
        wait_until(lambda: self.knows(remote, head), f"branch {head} is known")
        request = {"head": head, "base": "main", "title": title, "body": body}
        return int(self.api("POST", f"/repos/{remote.slug}/pulls", request)["number"])

    def knows(self, remote: GitRemote, branch: str) -> bool:
        """Whether Gitea has noticed that a branch was pushed."""
        # Asked for a branch of a repository that it still holds for empty, it panics.
        if self.api("GET", f"/repos/{remote.slug}")["empty"]:
            return False
        try:
            self.api("GET", f"/repos/{remote.slug}/branches/{branch}")
        except GiteaError as error:
            if error.status == 404:
                return False
            raise
        return True

    def pull(self, remote: GitRemote, number: int) -> dict[str, Any]:
        """The pull request as the API shows it."""
        found: dict[str, Any] = self.api("GET", f"/repos/{remote.slug}/pulls/{number}")
        return found

    def pulls(self, remote: GitRemote, state: str = "open") -> Sequence[dict[str, Any]]:
        """The pull requests in `state`: open, closed or all; of many the newest 50.

        While one comes or goes Gitea knows none of them.
        """
        path = f"/repos/{remote.slug}/pulls?state={state}"
        found: list[Sequence[dict[str, Any]]] = []

        def is_listed() -> bool:
            try:
                found.append(self.api("GET", path))
            except GiteaError as error:
                if error.status != 404:
                    raise
            return bool(found)

        wait_until(is_listed, f"pull requests of {remote.slug} are listed", seconds=10)
        return found[0]

    def merge(
        self, remote: GitRemote, number: int, style: str = "merge", message: str = ""
    ) -> str:
        """Merge by `style` (merge, rebase, squash); the resulting commit's id.

        Gitea finds out in the background whether a request can be merged. Until it knows it
        answers 405 and asks to try again, now and then also after it has said that it can be.
        """
        path = f"/repos/{remote.slug}/pulls/{number}"
        asked = {"Do": style, "MergeMessageField": message}

        def is_merged() -> bool:
            if not self.pull(remote, number)["mergeable"]:
                return False
            try:
                self.api("POST", f"{path}/merge", asked)
            except GiteaError as error:
                if error.status != 405 or "try again" not in str(error):
                    raise
                return False
            return True

        wait_until(is_merged, f"pull request {number} of {remote.slug} is merged")
        return str(self.pull(remote, number)["merge_commit_sha"])

    def close_pull(self, remote: GitRemote, number: int) -> None:
        """Close it without merging: a decline."""
        path = f"/repos/{remote.slug}/pulls/{number}"
        self.api("PATCH", path, {"state": "closed"})

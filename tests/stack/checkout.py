"""A person's clone of a repository, driven with the git program (does I/O).

Tests use it for what people do beside us: write files, revert, push. It never reads the
configuration of the machine's user.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.stack.process import ProcessError

PERSON = "Robin Person"
IDENTITY = {
    "GIT_AUTHOR_NAME": PERSON,
    "GIT_AUTHOR_EMAIL": "robin@example.com",
    "GIT_COMMITTER_NAME": PERSON,
    "GIT_COMMITTER_EMAIL": "robin@example.com",
}
ISOLATED = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """The stdout of one git command in `folder`; ProcessError with its output."""
    done = subprocess.run(
        ("git", *arguments),
        cwd=folder,
        env={**ISOLATED, **IDENTITY, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}".strip()
        raise ProcessError(f"git {arguments[0]} ended with {done.returncode}: {said}")
    return done.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A work tree on branch `main` whose remote is `origin`.

    `env` goes to every git command, such as GIT_SSH_COMMAND.
    """

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str, folder: Path, env: Mapping[str, str] | None = None) -> Self:
        """Clone `url` into the new `folder`; an empty repository is fine."""
        folder.mkdir(parents=True)
        made = cls(folder=folder, env=dict(env or {}))
        made.git("init", "--quiet", "--initial-branch=main")
        made.git("remote", "add", "origin", url)
        made.git("fetch", "--quiet", "origin")
        if made.git("branch", "--remotes", "--list", "origin/main"):
            made.git("reset", "--quiet", "--hard", "origin/main")
        return made

    def git(self, *arguments: str) -> str:
        """Run git here; its stdout."""
        return git(self.folder, *arguments, env=self.env)

    @property
    def head(self) -> str:
        """The full id of the commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """Write `files` (path -> text, None removes) and commit all; the commit's id."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.head

    def revert(self, commit: str) -> str:
        """`git revert` of one commit; the new commit's id."""
        self.git("revert", "--no-edit", commit)
        return self.head

    def pull(self) -> str:
        """Take over the remote's main; the commit's id."""
        self.git("fetch", "--quiet", "origin")
        self.git("reset", "--quiet", "--hard", "origin/main")
        return self.head

    def push(self, refspec: str = "main:main") -> str:
        """Push without force; the id of our HEAD."""
        self.git("push", "--quiet", "origin", refspec)
        return self.head

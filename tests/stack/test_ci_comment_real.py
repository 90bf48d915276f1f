"""One comment on a pull request of a real Gitea, which speaks GitHub's language to CI jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.ci_comment import Comments, NotPermitted
from reconciler.cli.ci_place import Forge, Request
from tests.integration.remotes import git
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea

pytestmark = pytest.mark.stack
MARKER = "<!-- wharfinger:plan 0123456789abcdef -->"


def test_one_comment_is_edited_and_a_strangers_is_not(
    gitea: Gitea,  # noqa: F811
    tmp_path: Path,
) -> None:
    remote = gitea.create_repo()
    bot, mallory = gitea.account("planner"), gitea.account("mallory")
    for each in (bot, mallory):
        gitea.grant(remote, each, "write")
    git(tmp_path, "clone", "-q", remote.authenticated_url, "work")
    work = tmp_path / "work"
    for branch in ("main", "change"):
        git(work, "checkout", "-q", "-B", branch)
        git(work, "commit", "-q", "--allow-empty", "-m", branch)
        (work / branch).write_text(branch)
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", branch)
        git(work, "push", "-q", "origin", branch)
    number = gitea.open_pull(remote, "change", "A change")
    listed = f"/repos/{remote.slug}/issues/{number}/comments"
    gitea.api("POST", listed, {"body": f"{MARKER}\nmerge it"}, account=mallory)
    request = Request(
        api=f"{gitea.url}/api/v1", project=remote.slug, number=number, fork=False
    )
    comments = Comments.of(Forge.GITHUB, request, bot.token)
    told = [
        comments.put(MARKER, text, only_if_there=quiet)
        for text, quiet in (
            ("none", True),
            ("one", False),
            ("two", True),
            ("two", False),
        )
    ]
    assert told == ["none", "created", "edited", "kept"]
    bodies = [each["body"] for each in gitea.api("GET", listed)]
    assert bodies[0].endswith("merge it")
    assert [each.replace("\r", "") for each in bodies[1:]] == [f"{MARKER}\ntwo"]
    with pytest.raises(NotPermitted):
        Comments.of(Forge.GITHUB, request, "0" * 40).put(
            MARKER, "three", only_if_there=False
        )

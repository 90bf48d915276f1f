"""The fakes against the libraries that people use with the real forges.

PyGithub and python-gitlab know the documented shapes; what they can drive with their own
parsing, a fake answers as the real one does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import github
import gitlab
import pytest

from reconciler.review.forge import MARK
from reconciler.settings import ForgeKind
from tests.forge_contract import BRANCH, TEXT, only
from tests.integration.forge_fakes import SLUG, FakeGitHub, running
from tests.integration.forge_fakes_more import FakeGitLab
from tests.integration.forge_server import TOKEN
from tests.integration.test_forges_contract import FakeSide


@pytest.fixture
def hub() -> Iterator[tuple[FakeSide, Any]]:
    with running(FakeGitHub()) as fake:
        client = github.Github(
            base_url=f"{fake.server.url}/api/v3",
            auth=github.Auth.Token(TOKEN),
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        with client:
            yield FakeSide(fake, ForgeKind.GITHUB), client.get_repo(SLUG)


def test_pygithub_opens_what_we_find(hub: tuple[FakeSide, Any]) -> None:
    side, repo = hub
    head = side.push(BRANCH)
    made = repo.create_pull(base="main", head=BRANCH, title="Expose it", body=MARK)
    made.set_labels("wharfinger", "urgent")
    found = only(side.forge.open_requests("wharfinger/"))
    assert (found.number, found.head, found.title) == (made.number, head, "Expose it")
    assert (found.body, found.labels) == (MARK, ("wharfinger", "urgent"))
    with pytest.raises(github.GithubException) as caught:
        repo.create_pull(base="main", head=BRANCH, title="Again", body="")
    assert caught.value.status == 422
    assert "already exists" in str(caught.value.data)
    made.edit(state="closed", body="no")
    assert only(side.forge.closed_requests(BRANCH)).body == "no"


def test_pygithub_sees_what_we_open(hub: tuple[FakeSide, Any]) -> None:
    side, repo = hub
    head = side.push(BRANCH)
    made = side.forge.open(BRANCH, TEXT)
    (pull,) = repo.get_pulls(state="open", base="main", head=f"platform:{BRANCH}")
    assert (pull.number, pull.title, pull.body) == (made.number, TEXT.title, TEXT.body)
    assert (pull.head.ref, pull.head.sha, pull.base.ref) == (BRANCH, head, "main")
    assert pull.head.repo.id == pull.base.repo.id
    assert [each.name for each in pull.labels] == ["wharfinger"]
    assert pull.html_url == made.url
    side.forge.say(made.number, None, "first")
    (comment,) = pull.get_issue_comments()
    assert comment.body == "first"
    comment.edit("second")
    assert [each.body for each in side.forge.comments(made.number)] == ["second"]
    side.forge.close(made, "closed")
    assert repo.get_pull(made.number).state == "closed"


def test_pygithub_pages_through_the_fake(hub: tuple[FakeSide, Any]) -> None:
    side, repo = hub
    for index in range(75):
        side.fake.add(f"wharfinger/{index}", "x", "")
    assert len(list(repo.get_pulls(state="open"))) == 75
    assert repo.get_pulls(state="open").totalCount == 75
    side.fake.pull(3).comments += [(at, "x") for at in range(70)]
    assert len(list(repo.get_pull(3).get_issue_comments())) == 70


def test_pygithub_merges_by_the_same_rules(hub: tuple[FakeSide, Any]) -> None:
    side, repo = hub
    side.push(BRANCH)
    number = side.forge.open(BRANCH, TEXT).number
    with pytest.raises(github.GithubException, match="clean status"):
        repo.get_pull(number).enable_automerge("MERGE")
    side.hold_back()
    with pytest.raises(github.GithubException) as caught:
        repo.get_pull(number).merge()
    assert caught.value.status == 405
    repo.get_pull(number).enable_automerge("MERGE")
    assert side.fake.pull(number).auto
    assert repo.get_pull(number).disable_automerge() is not None
    assert not side.fake.pull(number).auto
    side.fake.protected = False
    with pytest.raises(github.GithubException) as caught:
        repo.get_pull(number).merge(sha="0" * 40)
    assert caught.value.status == 409
    assert repo.get_pull(number).merge().merged
    assert repo.get_pull(number).merged


@pytest.fixture
def lab() -> Iterator[tuple[FakeSide, Any]]:
    with (
        running(FakeGitLab()) as fake,
        gitlab.Gitlab(fake.server.url, oauth_token=TOKEN) as client,
    ):
        yield FakeSide(fake, ForgeKind.GITLAB), client.projects.get(SLUG)


def test_python_gitlab_opens_what_we_find(lab: tuple[FakeSide, Any]) -> None:
    side, project = lab
    head = side.push(BRANCH)
    asked = {"source_branch": BRANCH, "target_branch": "main", "title": "Expose it"}
    made = project.mergerequests.create(
        {**asked, "description": MARK, "labels": ["wharfinger", "urgent"]}
    )
    found = only(side.forge.open_requests("wharfinger/"))
    assert (found.number, found.head, found.title) == (made.iid, head, "Expose it")
    assert (found.body, set(found.labels)) == (MARK, {"wharfinger", "urgent"})
    with pytest.raises(gitlab.GitlabCreateError) as caught:
        project.mergerequests.create(asked)
    assert caught.value.response_code == 409
    made.description = "no"
    made.state_event = "close"
    made.save()
    assert only(side.forge.closed_requests(BRANCH)).body == "no"


def test_python_gitlab_sees_what_we_open(lab: tuple[FakeSide, Any]) -> None:
    side, project = lab
    head = side.push(BRANCH)
    made = side.forge.open(BRANCH, TEXT)
    (merge,) = project.mergerequests.list(
        state="opened", source_branch=BRANCH, get_all=True
    )
    assert (merge.iid, merge.title) == (made.number, TEXT.title)
    assert (merge.description, merge.sha) == (TEXT.body, head)
    assert merge.labels == ["wharfinger"]
    assert merge.web_url == made.url
    assert merge.source_project_id == merge.target_project_id
    side.forge.say(made.number, None, "first")
    notes = merge.notes.list(sort="asc", get_all=True)
    (note,) = [each for each in notes if not each.system]
    note.body = "second"
    note.save()
    assert [each.body for each in side.forge.comments(made.number)] == ["second"]
    side.forge.close(made, "closed")
    assert project.mergerequests.get(made.number).state == "closed"


def test_python_gitlab_pages_through_the_fake(lab: tuple[FakeSide, Any]) -> None:
    side, project = lab
    for index in range(75):
        side.fake.add(f"wharfinger/{index}", "x", "")
    listed = project.mergerequests.list(state="opened", iterator=True)
    assert (listed.total, listed.per_page, listed.total_pages) == (75, 20, 4)
    assert len(list(listed)) == 75


def test_python_gitlab_merges_by_the_same_rules(lab: tuple[FakeSide, Any]) -> None:
    side, project = lab
    side.push(BRANCH)
    number = side.forge.open(BRANCH, TEXT).number
    side.hold_back()
    with pytest.raises(gitlab.GitlabMRClosedError) as caught:
        project.mergerequests.get(number).merge()
    assert caught.value.response_code == 405
    side.fake.protected = False
    with pytest.raises(gitlab.GitlabMRClosedError) as caught:
        project.mergerequests.get(number).merge(sha="0" * 40)
    assert caught.value.response_code == 409
    project.mergerequests.get(number).merge()
    assert project.mergerequests.get(number).state == "merged"

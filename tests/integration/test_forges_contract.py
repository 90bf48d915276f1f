"""All three forges against fakes that answer as documented, and with what is rare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from reconciler.errors import Blocked, Unauthorised, Unavailable
from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request
from reconciler.review import connect
from reconciler.review.forge import Forge
from reconciler.review.http import Clock
from reconciler.settings import ForgeKind
from tests.forge_contract import BRANCH, TEXT, ForgeContract, only
from tests.integration.forge_fakes import SLUG, Fake, FakeGitHub, running
from tests.integration.forge_fakes_more import FakeGitea, FakeGitLab
from tests.integration.forge_server import TOKEN, Asked, Reply, serving

FAKES: dict[ForgeKind, type[Fake]] = {
    ForgeKind.GITHUB: FakeGitHub,
    ForgeKind.GITLAB: FakeGitLab,
    ForgeKind.GITEA: FakeGitea,
}


class FakeSide:
    """A fake forge, its adapter, and the others there."""

    def __init__(self, fake: Fake, kind: ForgeKind) -> None:
        self.fake = fake
        self.slept: list[float] = []
        self.forge = connected(kind, fake.server.url, self.slept)
        fake.push("main")

    def push(self, branch: str) -> CommitId:
        return CommitId(self.fake.push(branch))

    def drop(self, branch: str) -> None:
        self.fake.drop(branch)

    def close(self, number: int) -> None:
        self.fake.pull(number).state = "closed"

    def merge(self, number: int) -> None:
        self.fake.merge(self.fake.pull(number))

    def labels(self, number: int, names: tuple[str, ...]) -> None:
        self.fake.pull(number).labels += names
        if isinstance(self.fake, FakeGitea):
            self.fake.known_labels += names

    def open_from_fork(self, branch: str) -> None:
        self.fake.add(branch, "Mine", "", fork="eve")

    def open_into(self, branch: str, base: str) -> None:
        self.fake.add(branch, "Other", "", base=base)

    def hold_back(self) -> None:
        self.fake.protected = True

    def waits_to_merge(self, number: int) -> bool:
        return self.fake.pull(number).auto

    def is_merged(self, number: int) -> bool:
        return self.fake.pull(number).state == "merged"


def connected(
    kind: ForgeKind, url: str, slept: list[float], token: str = TOKEN
) -> Forge:
    clock = Clock(monotonic=lambda: sum(slept), sleep=slept.append)
    environ = {"WHARFINGER_FORGE_TOKEN": token}
    return connect(kind, (f"{url}/{SLUG}.git", ""), "main", environ, clock)


@pytest.fixture(params=list(ForgeKind))
def kind(request: pytest.FixtureRequest) -> ForgeKind:
    found: ForgeKind = request.param
    return found


@pytest.fixture
def side(kind: ForgeKind) -> Iterator[FakeSide]:
    with running(FAKES[kind]()) as fake:
        yield FakeSide(fake, kind)


class TestForges(ForgeContract):
    """The contract, on each fake."""


def test_hundreds_of_open_requests_are_all_found(side: FakeSide) -> None:
    for index in range(300):
        branch = f"wharfinger/eu1/ns-{index}"
        side.push(branch)
        side.fake.add(branch, "x", "")
    found = side.forge.open_requests("wharfinger/")
    assert [each.number for each in found] == list(range(300, 0, -1))
    assert side.forge.open("wharfinger/eu1/ns-7", TEXT).number == 8


def test_hundreds_of_comments_are_all_found(side: FakeSide) -> None:
    side.push(BRANCH)
    number = side.forge.open(BRANCH, TEXT).number
    side.fake.pull(number).comments += [(at, f"n{at}") for at in range(150)]
    assert [each.id for each in side.forge.comments(number)] == list(range(150))


def test_a_deleted_fork_is_nobody(side: FakeSide) -> None:
    side.push(BRANCH)
    for state in ("open", "closed", "merged"):
        side.fake.add(BRANCH, "gone", "", fork="gone", state=state)
    assert list(side.forge.open_requests("wharfinger/")) == []
    assert list(side.forge.closed_requests(BRANCH)) == []


def test_a_closed_fork_with_our_branch_name_declines_nothing(side: FakeSide) -> None:
    side.push(BRANCH)
    side.fake.add(BRANCH, "eve's", "", fork="eve", state="closed")
    side.fake.add(BRANCH, "elsewhere", "", base="release", state="closed")
    mine = side.fake.add(BRANCH, "ours", "", state="closed")
    assert only(side.forge.closed_requests(BRANCH)).number == mine.number


def test_a_remote_in_other_letters_is_the_same_repository(
    side: FakeSide, kind: ForgeKind
) -> None:
    side.push(BRANCH)
    side.fake.add(BRANCH, "x", "")
    address = (f"{side.fake.server.url}/Platform/INGRESS.git", TOKEN)
    forge = connect(kind, address, "main", {})
    assert only(forge.open_requests("wharfinger/")).branch == BRANCH


def test_an_edit_that_changes_nothing_writes_nothing(side: FakeSide) -> None:
    side.push(BRANCH)
    made = side.forge.open(BRANCH, TEXT)
    found = only(side.forge.open_requests(BRANCH))
    before = len(side.fake.server.asked)
    side.forge.edit(found, TEXT)
    side.forge.label(found, found.labels)
    assert len(side.fake.server.asked) == before
    side.forge.say(made.number, None, "x")
    (comment,) = side.forge.comments(made.number)
    before = len(side.fake.server.asked)
    side.forge.say(made.number, comment, "x")
    assert len(side.fake.server.asked) == before


def test_a_wrong_token_is_unauthorised(side: FakeSide, kind: ForgeKind) -> None:
    forge = connected(kind, side.fake.server.url, [], token="wrong")
    with pytest.raises(Unauthorised):
        forge.open_requests("wharfinger/")


ODD = (None, {}, [], [{}], [None], [7], ["x"], "text", {"errors": [7]}, [[]])


@pytest.mark.parametrize("body", ODD, ids=str)
def test_answers_of_another_shape_are_no_crash(kind: ForgeKind, body: object) -> None:
    with serving(lambda _: Reply(body=body)) as server:
        forge = connected(kind, server.url, [])
        request = made(kind)
        for ask in (
            lambda: forge.open_requests("wharfinger/"),
            lambda: forge.closed_requests(BRANCH),
            lambda: forge.comments(1),
            lambda: forge.open(BRANCH, TEXT),
            lambda: forge.merge_when_ready(request, request.head),
            lambda: forge.edit(request, TEXT),
        ):
            with suppress(Unavailable, Blocked):
                ask()


def made(kind: ForgeKind) -> Request:
    with running(FAKES[kind]()) as fake:
        side = FakeSide(fake, kind)
        side.push(BRANCH)
        return side.forge.open(BRANCH, TEXT)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 422, 423, 451, 500])
def test_refusals_are_told_or_reported_and_never_a_crash(
    kind: ForgeKind, status: int
) -> None:
    def reply(asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply(body=[])
        return Reply(status=status, body={"message": ["no", {"x": "y"}]})

    with serving(reply) as server:
        forge = connected(kind, server.url, [])
        with pytest.raises((Unavailable, Blocked)):
            forge.open(BRANCH, TEXT)


def test_gitea_is_asked_again_until_it_knows_the_branch() -> None:
    fake = FakeGitea()
    with running(fake):
        side = FakeSide(fake, ForgeKind.GITEA)
        head = side.push(BRANCH)
        fake.busy = 5
        made = side.forge.open(BRANCH, TEXT)
        fake.busy = 5
        assert side.forge.merge_when_ready(made, head) == ""
        assert side.is_merged(made.number)
        assert side.slept == [0.5] * 10


def test_gitea_that_never_knows_the_branch_is_left_to_the_next_pass() -> None:
    fake = FakeGitea()
    with running(fake):
        side = FakeSide(fake, ForgeKind.GITEA)
        with pytest.raises(Unavailable, match=r"no pull request can be opened.*target"):
            side.forge.open(BRANCH, TEXT)
        assert sum(side.slept) < 60


def test_gitlab_says_a_missing_right_to_merge() -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(status=401, body={"message": "401 Unauthorized"})

    request = made(ForgeKind.GITLAB)
    with serving(reply) as server:
        forge = connected(ForgeKind.GITLAB, server.url, [])
        assert forge.merge_when_ready(request, request.head) == "401 Unauthorized"

"""The audit's pure parts: subjects, messages of forges, and who had a port when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.audit.forges import generations, read_message
from reconciler.audit.holders import parse_moment, quarantined_until, who_had
from reconciler.audit.rows import history_rows
from reconciler.audit.subjects import (
    GatewaySubject,
    LedgerSubject,
    UnitSubject,
    parse_ledger_subject,
    parse_subject,
)
from reconciler.errors import Usage
from reconciler.ledger_file import Entry, format_entry
from reconciler.model.repository import BlobId, CommitFact, CommitId, FileChange
from reconciler.model.trails import Landed, Trail
from reconciler.model.units import Owner, PortState
from tests.bench.bigrepo import Unit

PATH = "ports/public/20017.yaml"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
GATEWAYS = ("public", "both")
CLUSTERS = ("eu1", "both")


def owner(name: str) -> Owner:
    return Owner(
        cluster="eu1", cluster_id="id", namespace="shop", name=name, route="tcp"
    )


def entry(name: str, state: PortState = PortState.ACTIVE, to: str = "") -> bytes:
    made = Entry(gateway="public", key=20017, state=state, owner=owner(name), next=to)
    return format_entry(made)


@dataclass(slots=True)
class Story:
    """Commits of one path, a day apart, told oldest first."""

    path: str = PATH
    commits: list[Landed] = field(default_factory=list)
    blobs: dict[BlobId, bytes] = field(default_factory=dict)
    now: BlobId | None = None

    def then(
        self, data: bytes | None, *, ours: bool = True, message: str = ""
    ) -> Story:
        blob = None
        if data is not None:
            blob = BlobId(hashlib.sha1(data).hexdigest())
            self.blobs[blob] = data
        number = len(self.commits) + 1
        when = DAY + timedelta(days=number - 1)
        fact = CommitFact(
            id=CommitId(f"{number:040x}"),
            time=when,
            author="wharfinger" if ours else "Ada",
            subject=message or f"Commit {number}",
            ours=ours,
            renderer=int(ours),
            changes=(FileChange(path=self.path, old=self.now, new=blob),),
        )
        said = message or ("x\n\nWharfinger-Plan: p\n" if ours else "x")
        landed = Landed(
            commit=fact, landed=when, committer=fact.author, message=said, parents=1
        )
        self.commits.insert(0, landed)
        self.now = blob
        return self

    @property
    def trail(self) -> Trail:
        return Trail(commits=tuple(self.commits), read=self.blobs.__getitem__)

    def told(self) -> list[list[str]]:
        subject = LedgerSubject(key=20017, gateways=("public",))
        rows = history_rows(self.trail, subject, lambda _: ())
        return [[str(event.what) for event in row.events] for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20017", LedgerSubject(key=20017, gateways=GATEWAYS)),
        ("other/20017", LedgerSubject(key=20017, gateways=("other",))),
        ("gateway/20017", LedgerSubject(key=20017, gateways=("gateway",))),
        ("a.example.com", LedgerSubject(key="a.example.com", gateways=GATEWAYS)),
        (
            "public/a.example.com",
            LedgerSubject(key="a.example.com", gateways=("public",)),
        ),
        ("public", GatewaySubject(gateway="public")),
        ("gateway/both", GatewaySubject(gateway="both")),
    ],
)
def test_a_subject_is_what_its_form_says(text: str, expected: object) -> None:
    assert parse_subject(text, GATEWAYS, CLUSTERS) == expected


@pytest.mark.parametrize("text", ["eu1", "gone", "cluster/both", "eu1/shop/orders.v2"])
def test_what_is_no_port_and_no_gateway_is_a_unit(text: str) -> None:
    subject = parse_subject(text, GATEWAYS, CLUSTERS)
    assert isinstance(subject, UnitSubject)
    assert str(subject.unit) == text.removeprefix("cluster/")


@pytest.mark.parametrize(
    "text", ["both", "0", "017", "70000", "a/b", "a/b/c/d", "all", "\x1b", "x/", "²"]
)
def test_what_means_nothing_or_two_things_is_usage(text: str) -> None:
    with pytest.raises(Usage):
        parse_subject(text, GATEWAYS, CLUSTERS)


def test_only_ports_and_hosts_can_be_had() -> None:
    with pytest.raises(Usage, match="is no port"):
        parse_ledger_subject("public", GATEWAYS)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Merge pull request #12 from bo/topic\n\nTitle", "#12"),
        ("Title (#345)\n\n* one\n* two", "#345"),
        ("Merge pull request 'T' (#3) from a/b into main", "#3"),
        ("Title\n\nSee merge request group/sub/proj!7", "group/sub/proj!7"),
        ("Merged in topic (pull request #9)\n\nTitle", "#9"),
        ("T\n\nReviewed-on: https://g.example.com/a/b/pulls/31\n", "#31"),
        ("T\n\nReviewed-on: https://g.example.com/a/b/-/merge_requests/8", "!8"),
        ("Fix what (#3) broke", ""),
        ("Title\n\nlike (#4)", ""),
        ("", ""),
    ],
)
def test_the_pull_request_is_found_where_forges_write_it(
    message: str, expected: str
) -> None:
    assert read_message(message).pull_request == expected
    assert read_message(message.replace("\n", "\r\n")).pull_request == expected


def test_reviewers_are_named_once_and_without_mail_or_control_characters() -> None:
    words = read_message(
        "T\n\nReviewed-by: Bo <bo@x>\nApproved-by: Cy\x1b[0m\nreviewed-by: Bo <b@y>\n"
        "Reviewed-on: https://user:secret@g.example.com/a/b/pulls/1\n"
    )
    assert words.reviewers == ("Bo", "Cy\\x1b[0m")
    assert "secret" not in words.url


def test_generations_survive_a_squash() -> None:
    message = (
        "T (#1)\n\n* Update x\n\neu1/shop/a generation 3\n  eu1/shop/b generation 4"
    )
    assert generations(message) == {"eu1/shop/a": 3, "eu1/shop/b": 4}
    assert generations("eu1/shop/a generation x\nq eu1/a generation 1 2") == {}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T10:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
    ],
)
def test_a_date_is_its_end_and_a_time_has_a_zone(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "now", "2026-11-20T10:00", "9999-12-31", "1-1-1"])
def test_what_is_no_moment_is_usage(text: str) -> None:
    with pytest.raises(Usage, match="no date and no time"):
        parse_moment(text)


def at(story: Story, day: int) -> tuple[str, str]:
    """(state, name) of what counted on a day; 1 is the day of the first commit."""
    found = who_had(PATH, story.trail, DAY + timedelta(days=day - 1, hours=1))
    if found.entry is None:
        return "free", ""
    assert found.entry.owner is not None
    return str(found.entry.state), found.entry.owner.name


def test_a_port_goes_from_owner_to_owner() -> None:
    story = Story().then(entry("a")).then(entry("a", PortState.DRAINING))
    story.then(entry("a", PortState.RELEASED)).then(entry("b"))
    assert [at(story, day) for day in range(6)] == [
        *(("free", ""), ("active", "a"), ("draining", "a"), ("released", "a")),
        *(("active", "b"), ("active", "b")),
    ]
    drained = who_had(PATH, story.trail, DAY + timedelta(days=1, hours=1))
    assert drained.since == story.commits[-1]
    assert drained.until == story.commits[1]
    last = who_had(PATH, story.trail, DAY + timedelta(days=9))
    assert (last.since, last.until) == (story.commits[0], None)
    assert story.told() == [["allocated"], ["released"], ["draining"], ["allocated"]]


def test_a_quarantine_runs_from_the_release() -> None:
    story = Story().then(entry("a")).then(entry("a", PortState.RELEASED))
    found = who_had(PATH, story.trail, DAY + timedelta(days=5))
    assert found.owner is None
    assert quarantined_until(found, timedelta(hours=24)) == DAY + timedelta(days=2)
    live = who_had(PATH, story.trail, DAY)
    assert quarantined_until(live, timedelta(hours=24)) is None


def test_a_foreign_removal_frees_nothing_and_both_are_told() -> None:
    story = Story().then(entry("a")).then(None, ours=False)
    found = who_had(PATH, story.trail, DAY + timedelta(days=5))
    assert at(story, 5) == ("active", "a")
    assert found.file == "there was no file"
    assert not found.file_agrees
    assert found.since == story.commits[-1]


def test_a_foreign_owner_is_a_contradiction_and_the_old_one_counts() -> None:
    story = Story().then(entry("a")).then(entry("thief"), ours=False)
    found = who_had(PATH, story.trail, DAY + timedelta(days=5))
    assert at(story, 5) == ("active", "a")
    assert isinstance(found.file, Entry)
    assert "another owner" in found.contradictions[0].message


def test_a_transfer_is_told_to_both_sides() -> None:
    story = Story().then(entry("a", to="eu2/shop/b")).then(entry("b"))
    assert story.told() == [
        ["transferred"],
        ["transferred"],
        ["allocated", "transfer-announced"],
    ]


def test_someone_who_only_looks_like_us_is_told_as_such() -> None:
    story = Story().then(entry("a"), ours=False)
    story.commits[0] = Landed(
        commit=CommitFact(
            id=CommitId("1" * 40),
            time=DAY,
            author="wharfinger",
            subject="x",
            ours=False,
            renderer=0,
            changes=story.commits[0].commit.changes,
        ),
        landed=DAY,
        committer="x",
        message="x",
        parents=1,
    )
    subject = LedgerSubject(key=20017, gateways=("public",))
    (row,) = history_rows(story.trail, subject, lambda _: ())
    assert row.account.who == "wharfinger (not attributed)"


def test_the_generated_repository_has_the_ledgers_own_bytes() -> None:
    unit = Unit(17)
    made = Entry(
        gateway=unit.gateway,
        key=unit.port,
        state=PortState.ACTIVE,
        owner=Owner(
            cluster=unit.cluster,
            cluster_id=f"id-{unit.cluster}",
            namespace="shop",
            name=unit.name,
            route="tcp",
        ),
    )
    assert unit.ledger("active") == format_entry(made)

"""What every forge must do for us: one suite for fakes and for the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from reconciler.model.repository import CommitId
from reconciler.model.reviews import Request, RequestState
from reconciler.review.body import closed_body
from reconciler.review.forge import EDITED_LABEL, Forge, RequestText

BRANCH = "wharfinger/eu1/shop"
TEXT = RequestText(title="Expose it", body="One route.\n", labels=("wharfinger",))
ANYTHING = (
    "# *Ünïcode* 🚢 & <b>\"quotes\"</b> 'single' \\ `code`\n\n"
    "| a | b |\n| -- | -- |\n| %2F %s {x} ${y} | @nobody #1 !1 |\n\n<!-- hidden -->\n"
)


class Side(Protocol):
    """A forge with one repository, and what others than we do there."""

    forge: Forge

    def push(self, branch: str) -> CommitId:
        """A new commit on a branch (made from main when it is new), known to the forge."""

    def drop(self, branch: str) -> None:
        """Delete a branch."""

    def close(self, number: int) -> None:
        """A person closes a request."""

    def merge(self, number: int) -> None:
        """A person merges a request."""

    def labels(self, number: int, names: tuple[str, ...]) -> None:
        """A person adds labels."""

    def open_from_fork(self, branch: str) -> None:
        """A stranger opens a request from a fork's branch of this name into main."""

    def open_into(self, branch: str, base: str) -> None:
        """A person opens a request into another branch, which this makes."""

    def hold_back(self) -> None:
        """Merges into main need an approval from now on."""

    def waits_to_merge(self, number: int) -> bool:
        """Whether the forge is going to merge a request by itself."""

    def is_merged(self, number: int) -> bool:
        """Whether a request was merged."""


def only(found: Sequence[Request]) -> Request:
    (request,) = found
    return request


class ForgeContract:
    """Inherit with a fixture `side`."""

    def test_what_is_opened_is_found(self, side: Side) -> None:
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        found = only(side.forge.open_requests("wharfinger/"))
        assert (found.number, found.branch, found.head) == (made.number, BRANCH, head)
        assert (found.title, found.body) == (TEXT.title, TEXT.body)
        assert (found.labels, found.state) == (TEXT.labels, RequestState.OPEN)
        assert found.url == made.url
        assert str(made.number) in made.url
        assert not found.ours_closed

    def test_only_branches_of_a_prefix_are_found(self, side: Side) -> None:
        for branch in (BRANCH, "feature/x", "wharfinger-2/eu1/shop"):
            side.push(branch)
            side.forge.open(branch, TEXT)
        assert only(side.forge.open_requests("wharfinger/")).branch == BRANCH
        assert len(side.forge.open_requests("")) == 3

    def test_opening_again_finds_and_edits_what_is_open(self, side: Side) -> None:
        side.push(BRANCH)
        side.push(f"{BRANCH}-2")
        side.forge.open(f"{BRANCH}-2", TEXT)
        first = side.forge.open(BRANCH, TEXT)
        again = side.forge.open(BRANCH, replace(TEXT, title="Otherwise"))
        assert again.number == first.number
        titles = {e.number: e.title for e in side.forge.open_requests(BRANCH)}
        assert titles[first.number] == "Otherwise"
        assert len(titles) == 2

    def test_text_comes_back_as_it_was_written(self, side: Side) -> None:
        side.push(BRANCH)
        text = replace(TEXT, title='Ünïcode 🚢 & <b> "x" `y` \\', body=ANYTHING)
        made = side.forge.open(BRANCH, text)
        found = only(side.forge.open_requests(BRANCH))
        assert (found.title, found.body) == (text.title, text.body)
        side.forge.edit(made, replace(text, body=ANYTHING.replace("\n", "\r\n")))
        assert only(side.forge.open_requests(BRANCH)).body == ANYTHING

    def test_the_longest_body_fits(self, side: Side) -> None:
        side.push(BRANCH)
        long = "é" * (side.forge.longest_body - 1) + "\n"
        side.forge.open(BRANCH, replace(TEXT, body=long))
        assert only(side.forge.open_requests(BRANCH)).body == long

    def test_an_edit_keeps_labels_of_people(self, side: Side) -> None:
        side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.labels(made.number, ("urgent",))
        found = only(side.forge.open_requests(BRANCH))
        assert set(found.labels) == {"wharfinger", "urgent"}
        labels = ("wharfinger", EDITED_LABEL)
        side.forge.edit(found, RequestText(title="New", body="Text", labels=labels))
        found = only(side.forge.open_requests(BRANCH))
        assert set(found.labels) == {"wharfinger", EDITED_LABEL, "urgent"}
        assert (found.title, found.body) == ("New", "Text")
        side.forge.edit(found, replace(TEXT, labels=()))
        labels = only(side.forge.open_requests(BRANCH)).labels
        assert set(labels) == {"wharfinger", "urgent"}, "settings may name any"

    def test_labels_are_set_as_a_whole(self, side: Side) -> None:
        side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.forge.label(made, (EDITED_LABEL, "wharfinger"))
        found = only(side.forge.open_requests(BRANCH))
        assert set(found.labels) == {EDITED_LABEL, "wharfinger"}

    def test_a_request_follows_its_branch(self, side: Side) -> None:
        side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        head = side.push(BRANCH)
        found = only(side.forge.open_requests(BRANCH))
        assert (found.number, found.head) == (made.number, head)

    def test_what_we_close_says_so(self, side: Side) -> None:
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.forge.close(made, closed_body("nothing is left of it"))
        assert list(side.forge.open_requests("wharfinger/")) == []
        found = only(side.forge.closed_requests(BRANCH))
        assert (found.number, found.head) == (made.number, head)
        assert found.state is RequestState.CLOSED
        assert found.ours_closed

    def test_what_people_close_is_a_decline_and_the_newest_is_first(
        self, side: Side
    ) -> None:
        side.push(BRANCH)
        first = side.forge.open(BRANCH, TEXT)
        side.close(first.number)
        side.push(f"{BRANCH}s")
        other = side.forge.open(f"{BRANCH}s", TEXT)
        side.close(other.number)
        side.push(BRANCH)
        second = side.forge.open(BRANCH, TEXT)
        assert second.number != first.number
        side.close(second.number)
        side.forge.open_requests("wharfinger/")
        found = side.forge.closed_requests(BRANCH)
        assert [each.number for each in found] == [second.number, first.number]
        assert not any(each.ours_closed for each in found)

    def test_an_open_request_is_not_closed(self, side: Side) -> None:
        side.push(BRANCH)
        side.forge.open(BRANCH, TEXT)
        assert list(side.forge.closed_requests(BRANCH)) == []

    def test_a_merged_request_is_found_after_its_branch_is_gone(
        self, side: Side
    ) -> None:
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.merge(made.number)
        side.drop(BRANCH)
        assert list(side.forge.open_requests("wharfinger/")) == []
        found = only(side.forge.closed_requests(BRANCH))
        assert (found.branch, found.head) == (BRANCH, head)
        assert found.state is RequestState.MERGED

    def test_a_fork_with_our_branch_name_is_nobody(self, side: Side) -> None:
        side.push(BRANCH)
        side.open_from_fork(BRANCH)
        assert list(side.forge.open_requests("wharfinger/")) == []
        made = side.forge.open(BRANCH, TEXT)
        assert only(side.forge.open_requests("wharfinger/")).number == made.number

    def test_a_request_into_another_branch_is_not_ours(self, side: Side) -> None:
        side.push(BRANCH)
        side.open_into(BRANCH, "release")
        assert list(side.forge.open_requests("wharfinger/")) == []
        made = side.forge.open(BRANCH, TEXT)
        assert only(side.forge.open_requests("wharfinger/")).number == made.number

    def test_comments_are_written_once_and_edited_in_place(self, side: Side) -> None:
        side.push(BRANCH)
        number = side.forge.open(BRANCH, TEXT).number
        assert list(side.forge.comments(number)) == []
        side.forge.say(number, None, "first")
        side.forge.say(number, None, ANYTHING)
        first, second = side.forge.comments(number)
        assert (first.body, second.body) == ("first", ANYTHING)
        side.forge.say(number, first, "changed")
        found = side.forge.comments(number)
        assert [each.id for each in found] == [first.id, second.id]
        assert [each.body for each in found] == ["changed", ANYTHING]

    def test_what_may_be_merged_is_merged(self, side: Side) -> None:
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        assert side.forge.merge_when_ready(made, head) == ""
        assert side.is_merged(made.number)

    def test_what_must_wait_is_no_failure(self, side: Side) -> None:
        side.hold_back()
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        assert side.forge.merge_when_ready(made, head) == ""
        assert side.forge.merge_when_ready(made, head) == "", "asked in each pass"
        assert not side.is_merged(made.number)

    def test_a_merge_that_was_asked_for_is_taken_back(self, side: Side) -> None:
        side.hold_back()
        head = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.forge.take_merge_back(made)
        assert side.forge.merge_when_ready(made, head) == ""
        side.forge.take_merge_back(made)
        assert not side.waits_to_merge(made.number)
        assert not side.is_merged(made.number)

    @pytest.mark.parametrize("held", [True, False])
    def test_a_branch_that_moved_is_not_merged(self, side: Side, held: bool) -> None:
        if held:
            side.hold_back()
        old = side.push(BRANCH)
        made = side.forge.open(BRANCH, TEXT)
        side.push(BRANCH)
        assert side.forge.merge_when_ready(made, old) != ""
        assert not side.is_merged(made.number)

    def test_a_branch_is_protected_when_it_has_rules(self, side: Side) -> None:
        side.push(BRANCH)
        assert not side.forge.is_protected("main")
        side.hold_back()
        assert side.forge.is_protected("main")
        assert not side.forge.is_protected(BRANCH)

    def test_commits_of_a_request_have_a_ref(self, side: Side) -> None:
        (ref,) = side.forge.head_refs(12)
        assert ref.startswith("refs/")
        assert "/12/" in ref

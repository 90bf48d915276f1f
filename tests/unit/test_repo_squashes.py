"""Messages as real forges make them of ours when they squash, rebase and merge."""

from __future__ import annotations

import pytest

from reconciler.model.repository import CommitDraft
from reconciler.repo.trailers import (
    DIGEST,
    RENDERER,
    SIGNATURE,
    compose,
    diff_digest,
    parse_trailers,
)

LINE = (b"ports/public/20010.yaml", "-", "1" * 40)
DRAFT = CommitDraft(
    subject="Expose eu1/shop/orders at tcp.example.com:20010",
    body="create tcp.example.com:20010 route tcp: newly exposed (WHF501)",
    units=(),
    writes=(),
)
MESSAGE = compose(DRAFT, diff_digest([LINE]), [(RENDERER, "3")])
OURS = MESSAGE.with_signature("c2ln" * 20)
SUBJECT, _, REST = OURS.partition("\n")
BODY = REST.strip("\n")
BLOCK = OURS.strip("\n").split("\n\n")[-1]
DESCRIPTION = f"## One route\n\n| route | port |\n|---|---|\n| tcp | 20010 |\n\n{BLOCK}"

KEPT = {
    "github: one commit": f"{SUBJECT} (#12)\n\n{BODY}\n",
    "github: one commit, edited in the browser": f"{SUBJECT} (#12)\r\n\r\n"
    + BODY.replace("\n", "\r\n"),
    "github: with a co-author": f"{SUBJECT} (#12)\n\n{BODY}\n\n---------\n\n"
    "Co-authored-by: Ada Person <ada@example.com>\n",
    "github: a list, main merged into the branch": f"Expose orders (#12)\n\n* {SUBJECT}\n\n"
    f"{BODY}\n\n* Merge branch 'main' into wharfinger/eu1\n\n---------\n\n"
    "Co-authored-by: Ada Person <ada@example.com>",
    "github: the request's body": f"Expose orders (#12)\n\n{DESCRIPTION}\n",
    "a request's body that fences the block": f"Expose orders (#12)\n\nWhat it does\n\n"
    f"```\n{BLOCK}\n```\n\nCloses #4\n",
    "a request's body that hides the block": f"Expose orders\n\nWhat\n\n<!--\n{BLOCK}\n-->\n",
    "gitea: one commit": f"{SUBJECT} (#12)\n\n{BODY}\n\n"
    "Reviewed-on: https://git.example.com/platform/ingress/pulls/12\n",
    "gitea: reviewed": f"{SUBJECT} (#12)\n\n{DESCRIPTION}\n\n"
    "Reviewed-on: https://git.example.com/platform/ingress/pulls/12\n"
    "Reviewed-by: Grace <grace@example.com>\n"
    "Co-authored-by: wharfinger <wharfinger@localhost>\n"
    "Co-committed-by: wharfinger <wharfinger@localhost>\n",
    "gitlab: the first commit's message": f"{SUBJECT}\n\n{BODY}\n\n"
    "See merge request platform/ingress!12\n",
    "gitlab: approvals": f"{SUBJECT}\n\n{BODY}\n\nApproved-by: Grace\nMerged-by: Ada\n"
    "Changelog: added\nSee merge request platform/ingress!12",
    "gitlab: merge": f"Merge branch 'wharfinger/eu1' into 'main'\n\n{SUBJECT}\n\n{BODY}\n\n"
    "Closes #4\n\nSee merge request platform/ingress!12",
    "azure": f"Merged PR 12: {SUBJECT}\n\n{BODY}\n\nRelated work items: #4",
    "bitbucket": f"Merged in wharfinger/eu1 (pull request #12)\n\n{SUBJECT}\n\n{BODY}\n\n"
    "Approved-by: Grace Hopper",
    "a person signs it off": f"{OURS}Signed-off-by: Ada Person <ada@example.com>\n",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_forges_make_of_our_message_is_still_ours(name: str) -> None:
    found = parse_trailers(KEPT[name])
    assert found is not None
    assert found.digest == diff_digest([LINE])
    assert found.renderer == 3
    assert found.signed == MESSAGE.signed
    assert found.signature == "c2ln" * 20


LOST = {
    "a blank message": "Merge request (#12)\n",
    "only the subject": f"{SUBJECT} (#12)\n",
    "two of our commits in one": f"Both (#12)\n\n* {SUBJECT}\n\n{BODY}\n\n* {SUBJECT}\n\n{BODY}",
    "a second digest of a stranger": f"{SUBJECT}\n\n{BODY}\n\n{DIGEST}: sha256:{'0' * 64}\n",
    "a second signature": f"{OURS}{SIGNATURE}: {'c2ln' * 20}\n",
    "another renderer's version after it": f"{OURS}\n{RENDERER}: 9\n",
    "words after it": f"{OURS}\nBut I changed the port by hand.\n",
    "a cherry-pick that says so": f"{OURS}(cherry picked from commit 1234567)\n",
    "a quoted block": OURS.replace("Wharfinger-", "> Wharfinger-"),
    "an indented block": OURS.replace("Wharfinger-", "    Wharfinger-"),
    "the signature in a paragraph of its own": OURS.replace(
        f"\n{SIGNATURE}", f"\n\n{SIGNATURE}"
    ),
    "words between our lines": OURS.replace(f"\n{RENDERER}", f"\nand\n{RENDERER}"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_does_not_carry_our_one_block_is_not_ours(name: str) -> None:
    assert parse_trailers(LOST[name]) is None


def test_nothing_that_is_appended_adds_a_released_unit_to_a_signature() -> None:
    found = parse_trailers(f"{OURS}Wharfinger-Released: eu1/shop/orders\n")
    assert found is not None
    assert found.signed != MESSAGE.signed

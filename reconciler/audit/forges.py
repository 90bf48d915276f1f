"""What forges and people write into commit messages: pull request, reviewers; pure.

A message is text of strangers: anybody who may push can claim a review in it. What is found is
therefore made harmless, shortened, and told as what the commit says, never as a proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.printable import one_line, without_secrets

_REQUEST = (
    re.compile(r"Merge pull request (#[0-9]{1,9}) from ", re.MULTILINE),
    re.compile(r"^See merge request (\S{0,200}![0-9]{1,9})\s*$", re.MULTILINE),
    re.compile(
        r"\A[^\n]{0,500}\((#[0-9]{1,9})\)(?: from \S+ into \S+)?\s*$", re.MULTILINE
    ),
    re.compile(r"\A[^\n]{0,500}\((![0-9]{1,9})\)\s*$", re.MULTILINE),
    re.compile(r"\A[^\n]{0,500}\(pull request (#[0-9]{1,9})\)", re.MULTILINE),
)
_URL = re.compile(r"^Reviewed-on: (https?://\S{1,300})\s*$", re.MULTILINE)
_URL_NUMBER = re.compile(r"/(?:pulls?|pull-requests)/([0-9]{1,9})\Z")
_URL_MERGE = re.compile(r"/merge_requests/([0-9]{1,9})\Z")
_REVIEWER = re.compile(
    r"^(?:Reviewed|Approved|Acked)-by: ([^\n]{1,200})$", re.MULTILINE | re.IGNORECASE
)
_MAIL = re.compile(r"\s*<[^<>]*>\s*\Z")
_GENERATION = re.compile(
    r"^[*\s]{0,4}(\S{1,600}) generation ([0-9]{1,18})$", re.MULTILINE
)
_PLAN = re.compile(r"^Wharfinger-Plan: \S", re.MULTILINE)
_REVIEWERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one message says. `pull_request` is `#12`, `!7` or `group/project!7`, or empty.

    `planned` is true for messages of a pass, unlike those of a person's own command.
    """

    pull_request: str
    url: str
    reviewers: tuple[str, ...]
    planned: bool


def read_message(message: str) -> Words:
    """The pull request and the reviewers that a message names."""
    text = message.replace("\r\n", "\n")
    url = _URL.search(text)
    reviewers = (
        one_line(_MAIL.sub("", each.strip()), 80) for each in _REVIEWER.findall(text)
    )
    return Words(
        pull_request=_request(text, url[1] if url else ""),
        url=without_secrets(one_line(url[1])) if url else "",
        reviewers=tuple(dict.fromkeys(reviewers))[:_REVIEWERS],
        planned=_PLAN.search(text) is not None,
    )


def _request(text: str, url: str) -> str:
    for pattern in _REQUEST:
        found = pattern.search(text)
        if found is not None:
            return one_line(found[1], 120)
    for pattern, mark in ((_URL_NUMBER, "#"), (_URL_MERGE, "!")):
        found = pattern.search(url)
        if found is not None:
            return f"{mark}{found[1]}"
    return ""


def generations(message: str) -> dict[str, int]:
    """The generation of each object that a message of ours was made for, by unit."""
    return {unit: int(number) for unit, number in _GENERATION.findall(message)}

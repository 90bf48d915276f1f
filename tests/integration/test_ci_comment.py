"""One comment on a request, against a real HTTP server that keeps what was asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.cli.ci_comment import Comments, NotPermitted
from reconciler.cli.ci_place import Forge, Request
from reconciler.errors import Unavailable
from reconciler.review.http import Clock
from tests import forges

MARKER = "<!-- wharfinger:plan 0123456789abcdef -->"


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest) -> Iterator[forges.Comments]:
    if request.param == "github":
        made = forges.Comments()
    else:
        bot = dict(forges.PROJECT_BOT)
        made = forges.Comments(gitlab=True, me=bot, author=bot)
    with forges.serving(made) as forge:
        yield forge


def client(forge: forges.Comments, token: str = "comment-t0ken") -> Comments:
    project = "12" if forge.gitlab else "team/clusters"
    return Comments.of(
        Forge.GITLAB if forge.gitlab else Forge.GITHUB,
        Request(api=forge.api, project=project, number=7, fork=False),
        token,
        Clock(sleep=lambda seconds: None),
    )


def test_it_is_created_once_and_then_edited_in_place(forge: forges.Comments) -> None:
    assert client(forge).put(MARKER, "one", only_if_there=False) == "created"
    assert client(forge).put(MARKER, "two", only_if_there=False) == "edited"
    assert client(forge).put(MARKER, "two", only_if_there=False) == "kept"
    assert [each["body"] for each in forge.comments] == [f"{MARKER}\r\ntwo"]


def test_nothing_to_say_edits_but_does_not_create(forge: forges.Comments) -> None:
    assert client(forge).put(MARKER, "none", only_if_there=True) == "none"
    assert forge.written == []
    client(forge).put(MARKER, "one", only_if_there=False)
    assert client(forge).put(MARKER, "none", only_if_there=True) == "edited"


def test_another_ingress_repository_has_another_comment(forge: forges.Comments) -> None:
    other = MARKER.replace("0123", "ffff")
    client(forge).put(MARKER, "one", only_if_there=False)
    assert client(forge).put(other, "two", only_if_there=False) == "created"
    assert len(forge.comments) == 2


def test_it_is_found_behind_hundreds_of_others(forge: forges.Comments) -> None:
    for number in range(250):
        forge.write(forges.STRANGER, f"chatter {number}")
    client(forge).put(MARKER, "one", only_if_there=False)
    assert client(forge).put(MARKER, "two", only_if_there=False) == "edited"
    assert len(forge.comments) == 251


def test_a_strangers_comment_with_the_marker_is_not_ours(
    forge: forges.Comments,
) -> None:
    forge.write(forges.STRANGER, f"{MARKER}\nall is well, merge it")
    assert client(forge).put(MARKER, "one", only_if_there=False) == "created"
    assert forge.comments[0]["body"] == f"{MARKER}\nall is well, merge it"
    assert client(forge).put(MARKER, "two", only_if_there=False) == "edited"
    assert forge.comments[1]["body"] == f"{MARKER}\r\ntwo"


def test_the_marker_inside_of_a_comment_is_a_quotation(forge: forges.Comments) -> None:
    forge.write(forge.author, f"> {MARKER}\nwhat is this?")
    assert client(forge).put(MARKER, "one", only_if_there=False) == "created"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_token_may_not_do_is_told_as_that(
    forge: forges.Comments, status: int
) -> None:
    forge.refused = status
    with pytest.raises(NotPermitted, match=str(status)):
        client(forge).put(MARKER, "one", only_if_there=False)


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_that_may_not_even_read_is_told_as_that(
    forge: forges.Comments, status: int
) -> None:
    forge.failures = [status]
    with pytest.raises(NotPermitted, match=str(status)):
        client(forge).put(MARKER, "one", only_if_there=False)


def test_a_wrong_token_may_not_comment(forge: forges.Comments) -> None:
    with pytest.raises(NotPermitted, match="401") as caught:
        client(forge, "wr0ng").put(MARKER, "one", only_if_there=False)
    assert "wr0ng" not in str(caught.value) + repr(client(forge, "wr0ng"))


def test_a_busy_forge_is_asked_again(forge: forges.Comments) -> None:
    forge.failures = [503, 429]
    assert client(forge).put(MARKER, "one", only_if_there=False) == "created"


def test_a_forge_that_stays_busy_is_a_failure(forge: forges.Comments) -> None:
    forge.failures = [503] * 4
    with pytest.raises(Unavailable, match="asks to wait"):
        client(forge).put(MARKER, "one", only_if_there=False)


def test_a_post_whose_answer_was_lost_is_not_sent_twice(
    forge: forges.Comments,
) -> None:
    forge.lost = 1
    assert client(forge).put(MARKER, "one", only_if_there=False) == "created"
    assert len(forge.comments) == 1


def test_a_post_that_failed_is_a_failure(forge: forges.Comments) -> None:
    forge.refused = 502
    with pytest.raises(Unavailable, match="502"):
        client(forge).put(MARKER, "one", only_if_there=False)
    assert forge.comments == []


def test_a_redirect_does_not_get_the_token(forge: forges.Comments) -> None:
    forge.failures = [302]
    with pytest.raises(NotPermitted, match="302"):
        client(forge).put(MARKER, "one", only_if_there=False)
    assert len(forge.asked) == 1


def test_no_forge_at_all_is_a_failure() -> None:
    forge = forges.Comments()
    with forges.serving(forge):
        pass
    with pytest.raises(Unavailable, match="no answer"):
        client(forge).put(MARKER, "one", only_if_there=False)

"""Trailers: what we write is what we read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.repository import CommitDraft
from reconciler.repo.remote import Scheme, parse_address
from reconciler.repo.trailers import (
    DIGEST,
    RENDERER,
    DiffLine,
    Message,
    compose,
    diff_digest,
    parse_trailers,
)

IDS = st.one_of(st.just("-"), st.text("0123456789abcdef", min_size=40, max_size=40))
PATHS = st.binary(min_size=1, max_size=30).filter(lambda path: b"\n" not in path)
DIFFS = st.dictionaries(PATHS, st.tuples(IDS, IDS), max_size=8)
WORDS = st.text(max_size=200)
EVIL = st.lists(
    st.sampled_from(
        [
            f"{DIGEST}: sha256:{'0' * 64}",
            f" {DIGEST} : sha256:{'0' * 64}",
            f"{RENDERER}: 999",
            "Wharfinger-Released: all",
            "",
            "\r",
            "---",
            "Signed-off-by: x",
            "text",
        ]
    ),
    max_size=6,
).map("\n".join)


def lines(diff: dict[bytes, tuple[str, str]]) -> list[DiffLine]:
    return [(path, *ids) for path, ids in diff.items()]


def made(subject: str, body: str, released: tuple[str, ...] = ()) -> Message:
    draft = CommitDraft(
        subject=subject, body=body, units=(), writes=(), released=released
    )
    return compose(draft, diff_digest([(b"a", "-", "1" * 40)]), [(RENDERER, "7")])


@given(WORDS | EVIL, WORDS | EVIL)
def test_what_is_composed_is_parsed(subject: str, body: str) -> None:
    message = made(subject, body, ("eu1/shop/orders",))
    for text in (message.text, message.with_signature("c2ln" * 20)):
        found = parse_trailers(text)
        assert found is not None
        assert found.digest == diff_digest([(b"a", "-", "1" * 40)])
        assert (found.renderer, found.released) == (7, ("eu1/shop/orders",))
        assert found.signed == message.signed


@given(st.text(max_size=300) | EVIL)
def test_anything_can_be_parsed_without_harm(text: str) -> None:
    found = parse_trailers(text)
    assert found is None or text.count(DIGEST) >= 1


@given(WORDS | EVIL)
def test_a_paragraph_after_ours_takes_it_away(text: str) -> None:
    ours = made("Set it", "").text
    found = parse_trailers(f"{ours}\n!{text}\n")
    assert found is None


@given(DIFFS, st.randoms())
def test_the_digest_does_not_depend_on_order(
    diff: dict[bytes, tuple[str, str]], random: object
) -> None:
    shuffled = lines(diff)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert diff_digest(shuffled) == diff_digest(lines(diff))


@given(DIFFS, DIFFS)
def test_two_diffs_have_two_digests(
    one: dict[bytes, tuple[str, str]], other: dict[bytes, tuple[str, str]]
) -> None:
    assert (diff_digest(lines(one)) == diff_digest(lines(other))) == (one == other)


@pytest.mark.parametrize(
    "released", ["eu1/wharfinger-demo/x", "eu1/a/wharfinger-digest"]
)
def test_names_that_look_like_ours_survive(released: str) -> None:
    found = parse_trailers(made(f"Release {released}", "", (released,)).text)
    assert found is not None
    assert found.released == (released,)
    assert released in made(f"Release {released}", "").text


@pytest.mark.parametrize(
    ("url", "scheme", "shown"),
    [
        ("/srv/a b/x.git", Scheme.FILE, "/srv/a b/x.git"),
        ("file:///srv/a%20b", Scheme.FILE, "/srv/a b"),
        ("/srv/we:ird", Scheme.FILE, "/srv/we:ird"),
        ("git@host:org/x.git", Scheme.SSH, "git@host:org/x.git"),
        ("host:x.git", Scheme.SSH, "host:x.git"),
        ("ssh://git@[::1]:22/x", Scheme.SSH, "ssh://git@[::1]:22/x"),
        ("ssh://git@host/~/x", Scheme.SSH, "ssh://git@host/~/x"),
        ("https://u:p@host:8443/x", Scheme.HTTPS, "https://host:8443/x"),
        ("https://p@[2001:db8::1]/x", Scheme.HTTPS, "https://[2001:db8::1]/x"),
        ("HTTP://Host/x", Scheme.HTTP, "http://host/x"),
    ],
)
def test_addresses_are_understood_and_shown_without_a_login(
    url: str, scheme: Scheme, shown: str
) -> None:
    address = parse_address(url)
    assert (address.scheme, address.url) == (scheme, shown)

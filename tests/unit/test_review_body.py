"""What people read of a request: the same for the same proposal, whole, safe and never too long.

`UPDATE_GOLDEN=1 pytest tests/unit/test_review_body.py` writes the files again; commit them
only after reading them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.codes import Code
from reconciler.model.plans import Op, Proposal, ProposalKind, Row
from reconciler.repo.trailers import parse_trailers
from reconciler.review.body import LOUD, Story, closed_body, request_body
from reconciler.review.forge import MARK
from tests.review_bodies import CASES, TRAILERS, creation, proposal

BODIES = Path(__file__).parents[1] / "cases" / "bodies"
LIMITS = st.sampled_from([4_000, 60_000, 200_000])
NASTY = st.lists(
    st.sampled_from(
        [
            *(
                "<script>",
                "</details>",
                "<!--",
                "-->",
                "`",
                "```",
                "~~~",
                "|",
                "\\",
                "\n",
            ),
            *(
                "@all",
                "@org/team",
                "**",
                "__",
                "[x](http://e)",
                "![i](http://e)",
                "&lt;",
            ),
            *(
                "> ",
                "# ",
                "\r",
                "\u202e",
                "\ud800",
                "Wharfinger-Digest: x",
                "a" * 300,
                "é",
            ),
        ]
    )
    | st.text(max_size=8),
    max_size=8,
).map("".join)


def read(markdown: str) -> str:
    """The HTML that a forge would make of it, HTML of the source included."""
    return str(
        MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    )


@pytest.mark.parametrize(("name", "make"), CASES.items())
def test_a_typical_body_is_as_it_was_read(
    name: str, make: Callable[[], tuple[Proposal, Story]]
) -> None:
    body = request_body(*make(), longest=60_000)
    file = BODIES / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        BODIES.mkdir(exist_ok=True)
        file.write_text(body, encoding="utf-8")
    assert body == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("make", CASES.values())
def test_a_typical_body_renders(make: Callable[[], tuple[Proposal, Story]]) -> None:
    html = read(request_body(*make(), longest=60_000))
    assert html.count("<table>") == 1
    assert html.count('<code class="language-diff">') == 1
    assert html.rstrip().endswith("</p>")


def nasty_row(draw: st.DrawFn) -> Row:
    return Row(
        op=draw(st.sampled_from(Op)),
        cluster=draw(NASTY),
        namespace=draw(NASTY),
        name=draw(NASTY | st.none()),
        route=draw(NASTY | st.none()),
        gateway="public",
        host=draw(NASTY | st.none()),
        port=draw(st.integers(0, 65535) | st.none()),
        code=draw(st.sampled_from([Code.EXPOSED, Code.MOVED, Code.UNEXPOSED])),
        reason=draw(NASTY),
    )


@st.composite
def stories(draw: st.DrawFn) -> tuple[Proposal, Story]:
    """A proposal of up to some 5,000 rows and a diff of up to 20,000 lines."""
    rows = [nasty_row(draw) for _ in range(draw(st.integers(0, 4)))]
    rows *= draw(st.sampled_from([1, 1, 30, 1250]))
    kind = draw(st.sampled_from(ProposalKind))
    diff = draw(st.lists(NASTY.map(lambda each: f"+ {each[:150]}"), max_size=4))
    lines = [line.replace("\n", " ").replace("\r", " ") for line in diff]
    lines *= draw(st.sampled_from([1, 40, 5000]))
    wanted = proposal(tuple(rows), {"ports/public/1.yaml": b"x"}, kind)
    told = Story(
        diff=tuple(lines),
        trailers=TRAILERS,
        merges=draw(st.booleans()),
        quarantine="24 h",
        engine="Flux applies",
    )
    return wanted, told


def headline(body: str) -> str:
    return next(line for line in body.split("\n") if line.startswith("**"))


@settings(max_examples=80, deadline=None)
@given(stories(), LIMITS)
def test_a_body_fits_and_what_matters_is_whole(
    made: tuple[Proposal, Story], longest: int
) -> None:
    wanted, story = made
    body = request_body(wanted, story, longest)
    assert len(body) <= longest
    assert body.startswith(f"{MARK}\n\n")
    assert re.search(r"[0-9] files?$", headline(body))
    assert body.endswith(f"\n\n{TRAILERS}\n")
    loud = [r for r in wanted.rows if r.op in LOUD or r.code is Code.MOVED]
    careful = bool(loud) and wanted.kind is not ProposalKind.REWRITES
    assert ("> [!CAUTION]" in body) == careful
    if careful:
        (block,) = [each for each in body.split("\n\n") if "[!CAUTION]" in each]
        named = block.count("\n> - **")
        more = re.search(r"> - and ([0-9]+) more", block)
        assert named + (int(more[1]) if more else 0) == len(loud)
    if wanted.rows:
        shown = body.count("\n| ") - 2
        hidden = re.search(r"^([0-9]+) (?:more )?rows? not shown", body, re.MULTILINE)
        assert max(0, shown) + (int(hidden[1]) if hidden else 0) == len(wanted.rows)


@settings(max_examples=80, deadline=None)
@given(stories(), LIMITS)
def test_a_squash_that_takes_the_body_keeps_the_commit_ours(
    made: tuple[Proposal, Story], longest: int
) -> None:
    body = request_body(*made, longest)
    wanted = parse_trailers(f"Title\n\n{TRAILERS}\n")
    assert wanted is not None
    for text in (
        f"Title (#12)\n\n{body}",
        f"Title\n\n{body}".replace("\n", "\r\n"),
        f"Title\n\n{body}\nCo-authored-by: Ada <ada@example.com>\n",
        f"Title\n\n{body}\n---------\n\nCo-authored-by: Ada <ada@example.com>\n",
        f"Title\n\n{body}\nSigned-off-by: Ada <ada@example.com>\n",
        f"Title (#12)\n\n{body}\nReviewed-on: http://forge/a/b/pulls/12\n",
    ):
        assert parse_trailers(text) == wanted, text[-400:]


@settings(max_examples=80, deadline=None)
@given(stories(), LIMITS)
def test_strangers_write_no_markup_no_mention_and_no_html(
    made: tuple[Proposal, Story], longest: int
) -> None:
    body = request_body(*made, longest)
    html = read(body)
    told = re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL)
    assert "<script" not in told
    assert "<a " not in told
    assert "<img" not in told
    assert re.search(r"@\w", told.replace("@\u200b", "")) is None
    assert set(re.findall(r"<(\w+)", told)) <= {
        *("p", "strong", "blockquote", "ul", "li", "table", "thead", "tbody"),
        *("tr", "th", "td", "details", "summary", "pre", "br"),
    }
    assert html.count("<details>") == html.count("</details>") == body.count("```diff")
    assert body.count("```") == 2 * body.count("```diff")
    assert html.rstrip().endswith("</p>")


def test_trailers_that_do_not_fit_are_left_out_whole() -> None:
    wanted, story = creation()
    many = "\n".join(f"Wharfinger-Released: eu1/shop/n{n}" for n in range(1000))
    body = request_body(wanted, replace(story, trailers=f"{TRAILERS}\n{many}"), 4_000)
    assert len(body) <= 4_000
    assert "Wharfinger-" not in body
    assert "> [!CAUTION]" not in body
    assert "**1 new** — 1 workload, 1 file" in body.replace("3 files", "1 file")


def test_a_rewrite_is_no_removal() -> None:
    wanted, story = CASES["withheld"]()
    body = request_body(replace(wanted, kind=ProposalKind.REWRITES), story, 60_000)
    assert "CAUTION" not in body
    assert "- remove" not in body
    assert "3 to be rendered anew" in body


def test_a_request_of_no_rows_says_what_it_is() -> None:
    _, story = creation()
    files = {"manifests/public/gateway.yaml": b"x"}
    bare = request_body(proposal((), files), story, 60_000)
    assert "**preparation of the gateway** — 1 file\n" in bare
    follow = request_body(proposal((), files, ProposalKind.FOLLOW), story, 60_000)
    assert "**present addresses** — 1 file\n" in follow
    assert "decline" not in follow


def test_what_we_close_declines_nothing() -> None:
    assert "declines nothing" in closed_body("it is merged elsewhere")


def test_held_neighbours_are_told_with_who_and_why() -> None:
    wanted, told = creation()
    row = replace(
        wanted.rows[0],
        op=Op.HOLD,
        name="stock",
        reason="held by Ada in 1a2b3c4d5e (Revert stock)",
    )
    body = request_body(wanted, replace(told, held=(row, row)), 60_000)
    assert body.count("held by Ada in 1a2b3c4d5e") == 1
    assert "Held, not part of this request" in body
    assert body.rstrip().endswith(told.trailers.rstrip())
    assert "Held, not" not in request_body(wanted, told, 60_000)

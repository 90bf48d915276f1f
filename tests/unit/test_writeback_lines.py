"""Annotations changed line by line: every other byte stays, and odd styles are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import yamlio
from reconciler.writeback.lines import annotate_lines

STATE, PORT = "wharfinger.dev/state", "wharfinger.dev/port"

COMMENTED = """\
# the head
metadata:
  name: orders
  # why it is exposed
  annotations:  # all of them
    owner: shop
    wharfinger.dev/expose: tcp  # since May

    # a note about the team
    team: "a # b"
  namespace: shop   # odd   spaces
# the spec
spec:
  tcp:
  - route:
    - destination: {host: "db",   port: {number: 05432}}
"""


def changed(text: str, **change: str | None) -> str:
    keys = {f"wharfinger.dev/{key}": value for key, value in change.items()}
    made = annotate_lines(text, (), keys)
    assert made is not None
    return made


def test_new_annotations_stand_after_ours_and_nothing_else_moves() -> None:
    made = changed(COMMENTED, state="Ready", port="20017")
    expose = "    wharfinger.dev/expose: tcp  # since May\n"
    ours = '    wharfinger.dev/state: Ready\n    wharfinger.dev/port: "20017"\n'
    assert made == COMMENTED.replace(expose, expose + ours)


def test_a_changed_value_keeps_its_comment() -> None:
    made = changed(COMMENTED, expose="tls")
    assert made == COMMENTED.replace("expose: tcp  #", "expose: tls  #")


def test_set_and_removed_again_is_the_same_text() -> None:
    made = changed(COMMENTED, state="Ready", port="20017")
    assert changed(made, state=None, port=None) == COMMENTED


def test_setting_and_removing_at_once_is_one_change() -> None:
    made = changed(COMMENTED, state="Ready")
    assert changed(made, state=None, port="1") == changed(COMMENTED, port="1")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_are_those_of_the_file(end: str) -> None:
    text = COMMENTED.replace("\n", end)
    made = changed(text, state="Ready")
    assert made == changed(COMMENTED, state="Ready").replace("\n", end)


def test_a_last_line_without_an_end_gets_one() -> None:
    text = "metadata:\n  annotations:\n    wharfinger.dev/expose: tcp"
    assert changed(text, state="Ready") == f"{text}\n    {STATE}: Ready\n"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", 'a: ""'),
        ("Pending", "a: Pending"),
        ("'it''s'", "a: \"'it''s'\""),
        ("x: y # z", 'a: "x: y # z"'),
        ("yes", 'a: "yes"'),
    ],
)
def test_values_are_spelled_so_that_every_parser_reads_text(
    value: str, line: str
) -> None:
    text = "metadata:\n  annotations:\n    a: old\n"
    made = annotate_lines(text, (), {"a": value})
    assert made == f"metadata:\n  annotations:\n    {line}\n"


@pytest.mark.parametrize(
    "old", ['"x"', "'it''s # no'", '"a \\" b"', "plain text", "20017", '"" # c']
)
def test_every_spelling_of_an_old_value_is_replaced(old: str) -> None:
    text = f"metadata:\n  annotations:\n    a: {old}\n    b: c\n"
    made = annotate_lines(text, (), {"a": "new"})
    assert made is not None
    data = yamlio.load(made.encode())
    assert data == {"metadata": {"annotations": {"a": "new", "b": "c"}}}


def test_an_object_inside_of_a_list_is_found() -> None:
    one = "  - metadata:\n      annotations:\n        wharfinger.dev/expose: tcp\n"
    made = annotate_lines(f"items:\n{one}{one}", ("items", 1), {STATE: "Ready"})
    assert made == f"items:\n{one}{one}        {STATE}: Ready\n"


@pytest.mark.parametrize(
    "text",
    [
        "metadata:\n  name: x\n",
        "metadata:\n  annotations:\n",
        "metadata:\n  annotations: {}\n",
        "metadata:\n  annotations: {wharfinger.dev/expose: tcp}\n",
        "metadata:\n  annotations: {\n    wharfinger.dev/expose: tcp, b: c}\n",
        '{"metadata": {"annotations": {"wharfinger.dev/expose": "tcp"}}}\n',
        "- a\n",
    ],
)
def test_other_styles_are_left_to_the_library(text: str) -> None:
    made = annotate_lines(text, (), {STATE: "Ready"})
    if made is not None:  # the caller would see that it means something else
        assert yamlio.load(made.encode()) != yamlio.load(text.encode())
        pytest.fail(made)


def test_a_value_of_several_lines_is_left_to_the_library() -> None:
    text = f"metadata:\n  annotations:\n    {STATE}: |\n      x\n    b: c\n"
    assert annotate_lines(text, (), {STATE: "Ready"}) is None
    assert annotate_lines(text, (), {STATE: None}) is None


def test_an_annotation_without_a_value_gets_one() -> None:
    text = f"metadata:\n  annotations:\n    {STATE}:\n    b: c\n"
    assert changed(text, state="Ready") == text.replace("state:", "state: Ready")


def test_removing_all_annotations_is_left_to_the_library() -> None:
    text = f"metadata:\n  annotations:\n    {STATE}: Ready\n"
    assert annotate_lines(text, (), {STATE: None}) is None


KEYS = st.sampled_from([STATE, PORT, "wharfinger.dev/expose", "owner", "z/z"])
VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20
)


@given(
    st.dictionaries(KEYS, VALUES, min_size=1),
    st.dictionaries(KEYS, st.none() | VALUES, min_size=1),
)
def test_the_result_means_what_was_wanted(
    before: dict[str, str], change: dict[str, str | None]
) -> None:
    text = yamlio.dump({"metadata": {"annotations": before}, "spec": {"a": 1}})
    made = annotate_lines(text, (), change)
    after = {**before, **change}
    wanted = {key: value for key, value in after.items() if value is not None}
    if not wanted:
        assert made is None
        return
    assert made is not None
    assert yamlio.load(made.encode()) == {
        "metadata": {"annotations": wanted},
        "spec": {"a": 1},
    }

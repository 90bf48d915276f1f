"""The YAML of this project: strict reading, and one spelling that every parser reads alike."""

from __future__ import annotations

import io

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler import yamlio

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = ("y", "No", "on", "OFF", "null", "1e3", "0x1F", "0o7", "1_000", "12:30:45")
SIGNS = ("~", " ", "-", "- a", "a: b", "a #b", "#a", "<<", "=", "!x", "&x", "*x", "%x")
ODD = ("@x", "`x", "|", ">", "\t", "\u2028", "\x85", "\x7f", "'", '"', "\\", "\ufeff")
NUMBERS = ("NaN", "Infinity", ".inf", "-.INF", ".nan", "010", "1.", "+1", "2026-01-01")
MAGIC = st.sampled_from([*WORDS, *SIGNS, *ODD, *NUMBERS, "", "---", "..."])
SCALARS = st.one_of(
    TEXT, MAGIC, st.integers(-(10**20), 10**20), st.booleans(), st.none()
)
KEYS = st.one_of(TEXT, MAGIC).filter(lambda key: len(key) < 100)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert yamlio.load(yamlio.dump(value).encode()) == value


@given(VALUES)
def test_pyyaml_reads_what_is_written_alike(value: object) -> None:
    assert yaml.safe_load(yamlio.dump(value)) == value


@given(VALUES)
def test_ruamel_reads_what_is_written_alike(value: object) -> None:
    assert YAML(typ="safe", pure=True).load(io.StringIO(yamlio.dump(value))) == value


@given(st.lists(st.dictionaries(KEYS, SCALARS, min_size=1, max_size=3), max_size=4))
def test_several_documents_are_read_back(values: list[object]) -> None:
    read = yamlio.load_all(yamlio.dump_all(values).encode())
    wanted = values or []
    assert [each.data for each in read] == wanted


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.integers(0, 3))
def test_what_is_fixed_is_written_as_anything_else(
    value: dict[str, object], depth: int
) -> None:
    fixed: object = yamlio.Fixed(value)
    plain: object = value
    for _ in range(depth):
        fixed, plain = {"a": fixed, "b": [fixed]}, {"a": plain, "b": [plain]}
    assert yamlio.dump(fixed) == yamlio.dump(plain)
    assert yamlio.dump(fixed) == yamlio.dump(plain)  # from what was kept


@given(VALUES)
def test_writing_is_stable(value: object) -> None:
    text = yamlio.dump(value)
    assert yamlio.dump(yamlio.load(text.encode())) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: *x\n", "anchors"),
        ("a: &x 1\n", "anchors"),
        ("&x a: 1\n", "plain text"),
        ("a: !!python/object:os.system x\n", "tags"),
        ("a: !x {b: 1}\n", "tags"),
        ("!!binary a\n", "tags"),
        ("a: 1\na: 2\n", "twice"),
        ("a: {b: 1, b: 1}\n", "twice"),
        ("? [a]\n: 1\n", "plain text"),
        ("<<: {a: 1}\n", "merge"),
        ("[" * 100 + "]" * 100, "deep"),
        ("a: [1\n", "line 2"),
        ("\tx: 1\n", "line 1"),
        ("a: b: c\n", "line 1"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(
    text: str, said: str
) -> None:
    with pytest.raises(yamlio.Unreadable, match=said):
        yamlio.load_all(text.encode())


def test_a_refusal_names_its_place() -> None:
    with pytest.raises(yamlio.Unreadable) as caught:
        yamlio.load(b"a: 1\nb:\n  c: 1\n  c: 2\n")
    assert (caught.value.line, caught.value.column) == (4, 3)


def test_bytes_that_are_no_utf8_are_refused_with_their_line() -> None:
    with pytest.raises(yamlio.Unreadable) as caught:
        yamlio.load(b"a: 1\nb: \xff\n")
    assert caught.value.line == 2


def test_deep_nesting_ends_without_a_crash() -> None:
    with pytest.raises(yamlio.Unreadable):
        yamlio.load(b"[" * 200_000)


def test_more_than_the_limit_is_not_parsed() -> None:
    with pytest.raises(yamlio.Unreadable, match="bytes"):
        yamlio.load(b"#" * (yamlio.MAX_BYTES + 1))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        yamlio.load_all(data, positions=True)
    except yamlio.Unreadable as exc:
        place = (exc.line, exc.column)
    else:
        place = (1, 1)
    assert min(place) >= 1


def test_positions_are_those_of_values_and_keys() -> None:
    (document,) = yamlio.load_all(b"a:\n  - b: 1\n    c: x\n", positions=True)
    assert document.position(("a", 0, "c")) == (3, 8)
    assert document.position(("a", 0, "c", "?")) == (3, 5)
    assert document.position(("a", 0, "nowhere")) == (2, 5)


def test_words_of_yaml_1_1_are_text() -> None:
    assert yamlio.load(b"[yes, no, on, off, 010, 1_0, 2026-01-01]") == [
        *("yes", "no", "on", "off"),
        *(10, "1_0", "2026-01-01"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# top\na:\n- b: 1 # beside\n- c\n# end\n",
        "a:\n  - b: 1\n    d: 2\n  - c\n",
        "a:\n    - b\n    - c\n",
        "a: \"quoted\"\nb: 'single'\nc: |\n  block\n  text\n",
        "a: [1, 2]\nb: {c: d}\n",
        "a: 1\n---\nb: 2\n",
        f"a: {'long ' * 100}end\n",
    ],
)
def test_editing_without_a_change_keeps_every_byte(text: str) -> None:
    data = text.encode()
    assert yamlio.edited(yamlio.edit(data), data).decode() == text

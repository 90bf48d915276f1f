"""Text of strangers in terminals, logs and comments."""

from __future__ import annotations

import pytest

from reconciler.markdown import cell, table
from reconciler.printable import one_line, printable, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ümläut 港", "plain ümläut 港"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bell\x07 tab\t cr\r", "bell\\x07 tab\\t cr\\r"),
        ("\u202egnp.exe\u200b", "\\u202egnp.exe\\u200b"),
        ("\ud800", "\\ud800"),
        ("\u2028\x85", "\\u2028\\x85"),
    ],
)
def test_control_characters_are_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_one_line_of_limited_length() -> None:
    assert one_line("a\nb") == "a b"
    assert one_line("abcdefgh", limit=6) == "abc..."
    assert one_line("abcdef", limit=6) == "abcdef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x", "https://***@h/x"),
        ("https://token@h/x and ssh://git@h", "https://***@h/x and ssh://***@h"),
        ("https://h/x@y", "https://h/x@y"),
        ("ada@example.com", "ada@example.com"),
    ],
)
def test_user_information_of_urls_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<img src=x>", "&lt;img src=x>"),
        ("@team", "@\u200bteam"),
        ("[a](http://b)", "\\[a](http://b)"),
        ("`x` **y** \\|", "\\`x\\` \\*\\*y\\*\\* \\\\\\|"),
        ("a\n## b", "a ## b"),
    ],
)
def test_cells_hold_no_markup(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_a_table_has_a_line_a_row() -> None:
    assert table(("A", "B"), [("1", "x|y")]) == "| A | B |\n| -- | -- |\n| 1 | x\\|y |"

"""Reason codes and their pages: one page a code, one code a page, none without advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.cli.explain import page
from reconciler.codes import Code

PAGES = Path(__file__).parents[2] / "docs" / "errors"
# Kept for what a plan does not say as a row of its own today; codes are never used again.
SILENT = {Code.PORT_RELEASED, Code.CLUSTER_ADDED, Code.RELEASED_BY_PERSON}


def test_each_code_has_a_page_and_each_page_a_code() -> None:
    assert {each.name for each in PAGES.iterdir()} == {f"{code}.md" for code in Code}


def test_codes_are_grouped_and_stable_in_form() -> None:
    assert all(re.fullmatch(r"WHF[1-6][0-9]{2}", code) for code in Code)
    assert list(Code) == sorted(Code)


@pytest.mark.parametrize("code", Code)
def test_a_page_says_what_it_means_how_it_looks_and_what_to_do(code: Code) -> None:
    text = page(code)
    assert text.startswith(f"# {code}: ")
    head, _, advice = text.partition("\n## What to do\n")
    assert len(advice.strip()) > 10
    assert text.endswith("\n")
    meaning, _, example = head.partition("\n## Example\n")
    assert len(meaning.splitlines()[2]) > 10
    if code in SILENT:
        assert example == ""
    else:
        assert code in example

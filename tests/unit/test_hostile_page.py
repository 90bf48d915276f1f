"""docs/hostile.md says of each behaviour what its test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.plan import standing
from tests.hostile.evils import Evil, evils
from tests.hostile.watch_evils import watch_evils

PAGE = Path("docs/hostile.md").read_text(encoding="utf-8")
EVILS = {**evils(1, "uid-eu1"), **watch_evils(1)}


def row(name: str, evil: Evil) -> str:
    """The line of a behaviour in the table."""
    if evil.why is None:
        follows = "known; each object is judged by itself"
        if evil.watches:
            follows = "known; it costs the others nothing"
        code = "-"
    else:
        follows = "unknown at its deadline" if evil.waits else "unknown at once"
        if evil.much and not evil.waits:
            follows = "unknown, at the latest at its deadline"
        if evil.harms:
            follows = "unknown at once, and so is the neighbour"
        found = standing._CODES[evil.why].value
        code = f"[{found}](errors/{found}.md)"
    return f"| `{name}` | {evil.does} | {follows} | {code} |"


@pytest.mark.parametrize(("name", "evil"), EVILS.items())
def test_the_page_has_the_behaviour(name: str, evil: Evil) -> None:
    assert row(name, evil) in PAGE.splitlines()


def test_the_page_has_no_other_behaviour() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(EVILS)

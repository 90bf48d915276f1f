"""A plan as text, JSON and Markdown, against files that people can read.

`UPDATE_GOLDEN=1 pytest tests/unit/test_cli_plan_output.py` writes the files again; commit
that only when every changed line is understood.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli.plan_output import has_changes, to_json, to_markdown, to_text
from reconciler.codes import Code
from reconciler.model.plans import Op, Plan, Row
from reconciler.model.repository import CommitId

CASES = Path(__file__).parents[1] / "cases" / "plan_output"
HOST = "tcp.ingress.example.com"


def row(op: Op, unit: str, code: Code, reason: str, port: int | None = 20017) -> Row:
    cluster, *rest = unit.split("/")
    namespace, name = rest or (None, None)
    return Row(
        op=op,
        cluster=cluster,
        namespace=namespace,
        name=name,
        route="tcp" if name else None,
        gateway="public",
        host=HOST if port else None,
        port=port,
        code=code,
        reason=reason,
    )


def plan(*rows: Row, withheld: str = "") -> Plan:
    return Plan(
        base=CommitId("3f2c1ab" + "0" * 33),
        digest="9d0c41e" + "0" * 57,
        rows=rows,
        drafts=(),
        states=(),
        withheld=withheld,
        exits=(),
    )


FULL = plan(
    row(Op.CREATE, "eu1/payments/ledger-api", Code.EXPOSED, "newly exposed", 31007),
    row(Op.UPDATE, "eu1/search/indexer", Code.WISH_CHANGED, "wish changed"),
    row(Op.DELETE, "eu1/infra/legacy", Code.GONE, "gone from two complete lists", 20018),
    row(Op.RELEASE, "eu1/infra/legacy", Code.PORT_RELEASED, "free in 24h", 20018),
    row(Op.HOLD, "eu1/shop/orders", Code.HELD_BY_COMMIT, "reverted by Ada in 1a2b3c4"),
    row(Op.WITHHOLD, "us1/web/a", Code.DELETIONS_WITHHELD, "5 deletions, budget 3"),
    row(Op.REJECT, "us1/web/b", Code.PORT_TAKEN, "port 20017 is eu1/search/indexer's", None),
    row(Op.SKIP, "us2", Code.CLUSTER_UNREACHABLE, "no answer within 10 s", None),
    withheld="77aa88bb",
)  # fmt: skip
HOSTILE = plan(
    row(
        Op.REJECT,
        "eu1/shop/evil",
        Code.INVALID_ANNOTATION,
        "value '\x1b[2J|</td>@all [x](http://y)\n## `h`\u202e' is no port",
        None,
    )
)
EMPTY = plan()
REWRITES = plan(
    row(Op.WITHHOLD, "eu1/a/b", Code.REWRITES_WITHHELD, "900 of 1000 files"),
    withheld="00ff00ff",
)
PLANS = {"full": FULL, "hostile": HOSTILE, "empty": EMPTY, "rewrites": REWRITES}
FORMATS: dict[str, Callable[[Plan], str]] = {
    "txt": to_text,
    "md": to_markdown,
    "json": lambda each: json.dumps(to_json(each, commit=None), indent=2),
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", PLANS)
def test_plans_read_as_they_should(name: str, suffix: str) -> None:
    shown = FORMATS[suffix](PLANS[name]) + "\n"
    file = CASES / f"{name}.{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_json_has_the_keys_of_the_contract_and_counts_all_eight() -> None:
    body = to_json(FULL)
    assert list(body) == [
        *("apiVersion", "kind", "digest", "base", "changes", "withheld", "summary"),
    ]
    assert body["apiVersion"] == "wharfinger.dev/v1alpha1"
    assert body["summary"] == {str(op): 1 for op in Op}
    assert to_json(EMPTY)["summary"] == {str(op): 0 for op in Op}
    for change in body["changes"]:
        assert list(change) == [
            *("op", "cluster", "namespace", "name", "route", "gateway"),
            *("host", "port", "code", "reason"),
        ]
    assert body["changes"][-1]["name"] is None  # a whole cluster


def test_json_keeps_hostile_text_as_data_in_ascii() -> None:
    text = FORMATS["json"](HOSTILE)
    assert text.isascii()
    assert json.loads(text)["changes"][0]["reason"] == HOSTILE.rows[0].reason


@pytest.mark.parametrize("suffix", ["txt", "md"])
def test_what_people_read_has_no_control_characters(suffix: str) -> None:
    for line in FORMATS[suffix](HOSTILE).splitlines():
        assert line.replace("\u200b", "").isprintable()


def test_caution_comes_first_and_is_bounded() -> None:
    deletes = [
        row(Op.DELETE, f"eu1/a/b{number}", Code.GONE, "gone") for number in range(80)
    ]
    text = to_markdown(plan(*deletes))
    assert text.startswith("> [!CAUTION]\n")
    assert "> - and 30 more" in text
    assert "[!CAUTION]" not in to_markdown(replace(FULL, rows=FULL.rows[:2]))


def test_only_what_is_written_counts_as_a_change() -> None:
    assert not has_changes(plan(*FULL.rows[4:]))
    assert all(has_changes(plan(each)) for each in FULL.rows[:4])

"""Findings as text, JSON, Markdown, SARIF, GitHub annotations or GitLab Code Quality (I/O)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import click

from reconciler.check import Finding
from reconciler.check.findings import HELP
from reconciler.cli.output import print_json, print_list, print_table
from reconciler.codes import Code
from reconciler.printable import one_line, printable

Findings = Sequence[Finding]
Json = dict[str, Any]

PAGES = "https://wharfinger.dev/errors"
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def show(findings: Findings, output: str, folder: str = ".") -> None:
    """Print findings; forges get paths from the repository's root, others as they are."""
    _FORMATS[output](findings, "" if folder == "." else f"{folder.strip('/')}/")


def _rooted(folder: str, path: str) -> str:
    return path[1:] if path.startswith("/") else folder + path


def _text(findings: Findings, folder: str) -> None:
    seen: set[str] = set()
    for each in findings:
        click.echo(printable(one_line(str(each))))
        if each.help and each.help not in seen:
            click.echo(f"  {printable(one_line(each.help))}")
        seen.add(each.help)
    click.echo(f"{len(findings)} findings" if findings else "No findings.")


def _json(findings: Findings, folder: str) -> None:
    print_list("Findings", [asdict(each) for each in findings])


def _markdown(findings: Findings, folder: str) -> None:
    rows = [
        (each.path, each.line, each.code, each.message, each.help) for each in findings
    ]
    print_table(("FILE", "LINE", "RULE", "FINDING", "WHAT TO DO"), rows, "markdown")


def _sarif(findings: Findings, folder: str) -> None:
    print_json(sarif(findings, folder))


def _github(findings: Findings, folder: str) -> None:
    for each in findings:
        click.echo(workflow_command(each, folder))


def _gitlab(findings: Findings, folder: str) -> None:
    click.echo(json.dumps(code_quality(findings, folder), indent=2, ensure_ascii=True))


def sarif(findings: Findings, folder: str = "") -> Json:
    """One SARIF 2.1.0 log. Rules are those that were broken, in order of their codes."""
    rules = sorted({each.code for each in findings})
    index = {code: number for number, code in enumerate(rules)}
    driver = {
        "name": "wharfinger check",
        "informationUri": "https://wharfinger.dev",
        "version": version("wharfinger"),
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(each, index[each.code], identity, folder)
            for each, identity in _identified(findings)
        ],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> Json:
    known = code in set(Code)
    title = _title(code)
    return {
        "id": code,
        "name": "".join(word.title() for word in title.split()),
        "shortDescription": {"text": title},
        "help": {"text": HELP.get(Code(code), title) if known else title},
        "defaultConfiguration": {"level": "error"},
        **({"helpUri": f"{PAGES}/{code}"} if known else {}),
    }


def _title(code: str) -> str:
    """`Owner changed` for WHF623; the rule of another room is called as it calls itself."""
    if code not in set(Code):
        return one_line(code, 80)
    return Code(code).name.replace("_", " ").capitalize()


def _result(each: Finding, index: int, identity: str, folder: str) -> Json:
    text = one_line(f"{each.message}; {each.help}" if each.help else each.message)
    return {
        "ruleId": each.code,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(_rooted(folder, each.path))},
                    "region": {"startLine": each.line, "startColumn": each.column},
                }
            }
        ],
        "partialFingerprints": {"wharfinger/v1": identity},
    }


def _uri(path: str) -> str:
    """A relative URI; what is not plain is percent-encoded."""
    plain = frozenset(
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    )
    data = path.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data)


def workflow_command(each: Finding, folder: str = "") -> str:
    """`::error file=...::...` with values escaped, so that none of them starts another."""
    properties = {
        "file": _rooted(folder, each.path),
        "line": str(each.line),
        "col": str(each.column),
        "title": f"{each.code} {_title(each.code)}",
    }
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    text = f"{each.message}; {each.help}" if each.help else each.message
    return f"::error {shown}::{_data(text)}"


def _data(text: str) -> str:
    """As GitHub's own toolkit escapes a message, after making it printable."""
    escaped = printable(text).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def code_quality(findings: Findings, folder: str = "") -> list[Json]:
    """GitLab's Code Quality report: one object a finding, each with a fingerprint of its own."""
    return [
        {
            "description": one_line(f"{each.message}; {each.help}"),
            "check_name": each.code,
            "fingerprint": identity,
            "severity": "blocker",
            "location": {
                "path": printable(_rooted(folder, each.path)),
                "lines": {"begin": each.line},
            },
        }
        for each, identity in _identified(findings)
    ]


def _identified(findings: Iterable[Finding]) -> Iterable[tuple[Finding, str]]:
    """Each finding with an identity that survives moved lines; alike ones are counted."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for each in findings:
        key = (each.code, each.path, each.message)
        seen[key] += 1
        text = "\0".join((*key, str(seen[key])))
        data = text.encode("utf-8", "surrogatepass")
        yield each, hashlib.sha256(data).hexdigest()[:32]


_FORMATS: Mapping[str, Callable[[Findings, str], None]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "sarif": _sarif,
    "github": _github,
    "gitlab": _gitlab,
}

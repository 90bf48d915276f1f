"""What reaches a log: JSON lines for programs, and never a secret or a control character."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from reconciler import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""  # results only
    return captured.err.splitlines()


def test_programs_get_one_json_object_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure()
    log.log.info("commit pushed", commit="3f2c1ab", changes=2, cluster=None)
    (line,) = lines(capsys)
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "commit pushed",
        "level": "info",
        "commit": "3f2c1ab",
        "changes": 2,
        "cluster": None,
    }


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_and_control_characters_never_reach_a_log(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    log.configure(json_lines=as_json)
    log.log.warning(
        "push refused\nERROR forged",
        url="https://bot:hunter2@git.example.com/x",
        git_token="hunter2",
        answer="\x1b[31mred\u202e",
        more={"Authorization": "hunter2", "urls": ["ssh://a:hunter2@b/c"]},
    )
    text = "\n".join(lines(capsys))
    assert "hunter2" not in text
    assert "***@git.example.com" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 1


def test_debug_lines_come_only_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure()
    log.log.debug("decided")
    assert lines(capsys) == []
    log.configure(verbose=True)
    log.log.debug("decided")
    assert len(lines(capsys)) == 1

"""JSON of strangers is read strictly, and faults never show its text."""

from __future__ import annotations

import pytest

from reconciler import jsonio


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -2.5, true, null, "x"]}', {"a": [1, -2.5, True, None, "x"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b'"\\ud83d\\udea2"', "\U0001f6a2"),
        (b'"\\\\ud800"', "\\ud800"),
        (b"[" * 60 + b"]" * 60, None),
    ],
)
def test_json_is_read(data: bytes, value: object) -> None:
    found = jsonio.loads(data)
    assert value is None or found == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1"),
        (b'{"a": 1', "line 1"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b"-Infinity", "-Infinity is no JSON value"),
        (b"1e999", "out of range"),
        (b"1" * 1_000_000, "out of range"),
        (b'{"a": 1, "b": 2, "a": 3}', "a key is there twice"),
        (b'{"x": {"a": 1, "a": 1}}', "twice"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'\n"\xff"', "line 2: not UTF-8"),
        (b"[" * 100 + b"]" * 100, "nested more than 64 deep"),
        (b"[" * 100_000, "nested more than 64 deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than 64 deep"),
        (b"{} {}", "Extra data"),
    ],
)
def test_what_is_no_strict_json_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(jsonio.InvalidJson) as error:
        jsonio.loads(data)
    assert words in str(error.value)
    assert len(str(error.value)) < 200


def test_a_fault_does_not_show_the_text() -> None:
    with pytest.raises(jsonio.InvalidJson) as error:
        jsonio.loads(b'{"token": "s3cr3t", }')
    assert "s3cr3t" not in str(error.value)

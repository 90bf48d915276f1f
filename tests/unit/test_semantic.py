"""What a change means: golden lines, and that nothing that changed goes unsaid."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.semantic import semantic_diff
from tests.review_bodies import FOLDER, addresses, port, wish

WISH = f"{FOLDER}/vs-orders.yaml"
LEDGER = "ports/public/20017.yaml"
YAML = st.sampled_from(
    [
        *(
            b"",
            b"---\n",
            b"a: 1\n",
            b"a: 2\n",
            b"a: '1'\n",
            b"# a\na: 1\n",
            b"a: .nan\n",
        ),
        *(b"[", b"a: [1, 2]\n", b"a: []\n", b"\xff\xfe", b"\x00", b"a: {b: {}}\n"),
        *(wish(20017, 90), wish(20017, 50), addresses(), port(20017, "active")),
        *(port(20017, "released"), b"state: [1]\n", b"owner: x\nstate: y\n", b"- 1\n"),
        *(
            b"a: *x\n",
            b"? [1]\n: 2\n",
            b"listeners:\n- name: x\n- name: x\n",
            b"1: 2\n",
        ),
    ]
) | st.binary(max_size=20)
PATHS = st.sampled_from(
    [WISH, f"{FOLDER}/vs-orders.endpoints.yaml", LEDGER, "README.md"]
)
FILES = st.dictionaries(PATHS, st.none() | YAML, max_size=4)


@given(FILES)
def test_the_same_is_no_line(files: dict[str, bytes | None]) -> None:
    assert semantic_diff(files, files) == ()


@settings(max_examples=300)
@given(FILES, FILES)
def test_every_changed_file_is_told(
    after: dict[str, bytes | None], before: dict[str, bytes | None]
) -> None:
    lines = semantic_diff(after, before)
    for path, data in after.items():
        told = [line for line in lines if path in line]
        assert bool(told) == (data != before.get(path)), path
    assert all(line[0] in "+-~@" for line in lines)
    assert all(line.isprintable() and len(line) <= 200 for line in lines)
    assert semantic_diff(dict(reversed(after.items())), before) == lines


def test_wishes_come_before_addresses_and_these_before_the_ledger() -> None:
    after = {
        LEDGER: port(20017, "active"),
        WISH: wish(20017, 90),
        "wharfinger.yaml": b"a: 1",
    }
    after[f"{FOLDER}/vs-orders.endpoints.yaml"] = addresses()
    lines = semantic_diff(after, {})
    places = [line for line in lines if line.startswith("@") or LEDGER in line]
    assert places == [
        f"@ {WISH}",
        f"@ {FOLDER}/vs-orders.endpoints.yaml",
        f"+ {LEDGER}: active for eu1 shop/orders route tcp",
        "@ wharfinger.yaml",
    ]


def test_a_ledger_file_is_one_line() -> None:
    before = {LEDGER: port(20017, "active")}
    released = semantic_diff({LEDGER: port(20017, "released")}, before)
    assert released == (
        f"~ {LEDGER}: active -> released for eu1 shop/orders route tcp",
    )
    handed = semantic_diff({LEDGER: port(20017, "active", "carts")}, before)
    assert handed == (
        f"~ {LEDGER}: active for eu1 shop/orders route tcp "
        "-> active for eu1 shop/carts route tcp",
    )
    gone = semantic_diff({LEDGER: None}, before)
    assert gone == (f"- {LEDGER}: active for eu1 shop/orders route tcp",)


ENVOY = b"""\
# eu1 shop/orders -> tcp.example.com:20017 wish 1
listeners:
  - name: tcp-20017
    port: 20017
clusters:
  - name: blue
    type: EDS
"""


def test_objects_of_an_envoy_file_have_names() -> None:
    made = semantic_diff({WISH: ENVOY}, {})
    assert made[-2:] == ("+ listener tcp-20017", "+ cluster blue")
    changed = ENVOY.replace(b"EDS", b"STATIC").replace(b"tcp-20017", b"tcp-20018")
    assert semantic_diff({WISH: changed}, {WISH: ENVOY}) == (
        f"@ {WISH}",
        "- listener tcp-20017",
        "~ cluster blue: type: EDS -> STATIC",
        "+ listener tcp-20018",
    )


def test_objects_of_one_name_do_not_hide_each_other() -> None:
    one = b"kind: A\nmetadata:\n  name: x\nspec: 1\n"
    two = one + b"---\nkind: A\nmetadata:\n  name: x\nspec: 2\n"
    assert semantic_diff({WISH: two}, {WISH: one}) == (f"@ {WISH}", "+ A x (2)")


def test_bytes_that_mean_the_same_are_told_too() -> None:
    lines = semantic_diff({WISH: b"a: 1\n\n"}, {WISH: b"a: 1\n"})
    assert lines == (f"@ {WISH}", "~ bytes, but no meaning")


def test_what_cannot_be_read_is_a_text() -> None:
    lines = semantic_diff({WISH: b"a: [\n"}, {WISH: b"a: 1\n"})
    assert lines == (f"@ {WISH}", "- document", "+ unreadable text")


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b"a: " + b"x" * 5_000_000,
        b"# x\n" * 300_000,
        b"".join(b"k%d: 1\n" % n for n in range(20_000)),
    ],
    ids=["deep", "long", "comments", "wide"],
)
def test_a_huge_file_takes_little_time(data: bytes) -> None:
    began = time.monotonic()
    assert semantic_diff({WISH: data}, {WISH: wish(20017, 90)})
    assert time.monotonic() - began < 60


def test_thousands_of_files_end_with_a_count() -> None:
    after = {
        f"{FOLDER}/vs-n{n}.yaml": wish(20000 + n, 90, f"n{n}") for n in range(3000)
    }
    lines = semantic_diff(after, {})
    assert 4_000 <= len(lines) < 4_100
    told = sum(line.startswith("@ manifests/") for line in lines)
    assert lines[-1] == f"@ and {3000 - told} more files"

"""Rendered = fresh render: what is believed, what is made again, and that no byte slips through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.check import Review, check
from reconciler.check.file_rules import collisions
from reconciler.check.fresh import rendered
from reconciler.check.manifest_rules import read_units
from reconciler.check.subject import Subject
from reconciler.headers import parse_addresses
from reconciler.model.changes import Change
from reconciler.model.repository import (
    BlobId,
    CommitFact,
    CommitId,
    File,
    FileChange,
    History,
)
from reconciler.names import endpoints_path, wish_path
from reconciler.render import render, render_addresses
from reconciler.run import RENDERING
from reconciler.settings import Renderer
from reconciler.settings_file import parse
from tests.planning import Bench, claims, wanted, wish
from tests.rendering import CASES, RENDERERS, settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WISH = "manifests/public/eu1/shop/vs-orders.yaml"
SETTINGS = b"""\
apiVersion: wharfinger.dev/v1alpha1
kind: Settings
domain: ingress.example.com
gateways:
  - name: public
    renderer: istio
    namespace: ingress
    ports: {range: 20000-29999}
inventories:
  - name: lab
    directory: {path: clusters}
tenants:
  - clusters: ["*"]
    gateways: [public]
"""
Files = Mapping[str, File]


def file(data: bytes) -> File:
    return File(blob=BlobId(hashlib.sha1(data).hexdigest()), data=data)


def world() -> dict[str, File]:
    """What a pass wrote: two exposures, one of them with weights."""
    bench = Bench(render=RENDERING, settings=parse(SETTINGS))
    split = wish("billing", routes={"tcp": (("blue", 90), ("green", 10))})
    bench.run(claims(wanted(wish("orders")), wanted(split)))
    found = {path: file(data) for path, data in bench.files.items()}
    return {**found, "wharfinger.yaml": file(SETTINGS)}


WORLD = world()
OURS = sorted(path for path in WORLD if path.startswith(("ports/", "manifests/public/eu1/")))  # fmt: skip


def wrote(path: str, data: bytes, *, ours: bool = True) -> CommitFact:
    """A commit that wrote a file."""
    change = FileChange(path=path, old=None, new=file(data).blob)
    return CommitFact(
        id=CommitId("c" * 40),
        time=NOW,
        author="somebody",
        subject="Write it",
        ours=ours,
        renderer=1,
        changes=(change,),
    )


def history(*commits: CommitFact) -> History:
    return History(commits=commits, read=lambda blob: b"")


def review(files: Files, base: History, *, signed: bool = False) -> Review:
    """A change that touched nothing else."""
    change = Change(
        base=CommitId("b" * 40),
        head=CommitId("c" * 40),
        folder="",
        before=files,
        after=files,
        paths=(),
        names=tuple(files),
    )
    made = parse(SETTINGS)
    return Review(change=change, settings=made, history=base, signed=signed, now=NOW)


def codes(
    files: Files, past: History | None = None, judged: Review | None = None
) -> list[str]:
    return [each.code for each in check(files, past or history(), judged)]


def test_what_a_pass_wrote_is_fresh() -> None:
    assert codes(WORLD) == []


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("name", CASES)
def test_every_rendering_is_a_fresh_one(renderer: Renderer, name: str) -> None:
    case = CASES[name]
    made = settings(renderer=renderer)
    gateway = made.gateways[0]
    if not case.works_on(gateway):
        return
    unit = case.placement.wish.unit
    both = render(case.placement, case.addresses, gateway, made)
    files = {
        wish_path("public", unit): file(both.wish),
        endpoints_path("public", unit): file(both.endpoints),
    }
    units = read_units(files)
    assert len(units) == 1
    subject = Subject(files=files, settings=made)
    assert rendered(subject, units.values()) == ([], frozenset(files))


OLD = WORLD[WISH].data.replace(b"# tcp on gateway public\n", b"", 1)


def test_what_an_older_version_rendered_is_believed_where_it_wrote_it() -> None:
    files = {**WORLD, WISH: file(OLD)}
    assert codes(files) == ["WHF619"]
    assert codes(files, history(wrote(WISH, OLD))) == []
    assert codes(files, history(wrote(WISH, OLD, ours=False))) == ["WHF619"]
    other = WISH.replace("orders", "billing")
    assert codes(files, history(wrote(other, OLD))) == ["WHF619"]


def test_a_change_that_only_claims_to_be_ours_is_not_believed() -> None:
    files = {**WORLD, WISH: file(OLD)}
    claimed, nothing = history(wrote(WISH, OLD)), history()
    assert codes(files, claimed, review(files, nothing)) == ["WHF619"]
    assert codes(files, claimed, review(files, nothing, signed=True)) == []
    assert codes(files, claimed, review(files, claimed)) == []


def test_a_finding_names_the_line_and_what_it_should_be() -> None:
    data = WORLD[WISH].data.replace(b"weight: 1", b"weight: 2")
    (found,) = check({**WORLD, WISH: file(data)})
    line = data.split(b"\n")[found.line - 1]
    assert line.strip() == b"weight: 2"
    assert "weight: 1'" in found.message


@hypothesis_settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much]
)
@given(data=st.data())
def test_no_byte_of_a_unit_or_the_ledger_changes_unnoticed(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(OURS))
    old = WORLD[path].data
    at = data.draw(st.integers(0, len(old)))
    cut = data.draw(st.integers(0, 30))
    new = old[:at] + data.draw(_pieces(old)) + old[at + cut :]
    assume(new != old)
    found = check({**WORLD, path: file(new)})
    assert found, new


def _pieces(old: bytes) -> st.SearchStrategy[bytes]:
    """What somebody may put in: bytes, or lines of the file itself."""
    return st.one_of(
        st.binary(max_size=4),
        st.sampled_from([b"", b"0", b" ", b"\n", b"#", b"# ", b": ", b"- ", b"\xff"]),
        st.sampled_from([line + b"\n" for line in old.split(b"\n")]),
    )


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(OURS), unique=True, max_size=4), st.binary(max_size=60))
def test_nothing_makes_the_gate_fall_over(paths: list[str], data: bytes) -> None:
    heads = [WORLD[path].data.split(b"\n")[:6] for path in paths]
    made = {
        path: file(b"\n".join(reversed(head)) + data)
        for path, head in zip(paths, heads, strict=True)
    }
    assert bool(check({**WORLD, **made})) == bool(paths)


HEADS = st.sampled_from(["tcp", ".", "-", "a.b"])
KEYS = st.sampled_from(["shop/db:5432", "/:0", "a/:1", "a/b:99999", "x/y:1@v1"])
WEIGHTS = st.sampled_from([0, 1, 1_000_000, 9_999_999])
PLACES = st.lists(
    st.sampled_from(
        [
            "10.0.0.1:1",
            "lb.example.com:9",
            "[fd00::1]:5",
            "[::]:1",
            "[fd00::1%eth0]:1",
            "255.255.255.255:65535",
            f"10.0.0.1:{'9' * 5000}",
        ]
    ),
    max_size=3,
)


@pytest.mark.parametrize("renderer", RENDERERS)
@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["none", "any"]),
    st.lists(st.tuples(HEADS, KEYS, WEIGHTS, PLACES), max_size=4),
)
def test_every_head_of_addresses_that_can_be_read_can_be_rendered(
    renderer: Renderer,
    failover: str,
    lines: list[tuple[str, str, int, list[str]]],
) -> None:
    text = f"# eu1 shop/orders addresses failover {failover}\n"
    for route, key, weight, places in lines:
        found = "".join(f" {each}" for each in places)
        text += f"# {route} {key} pod weight {weight} ->{found}\n"
    addresses = parse_addresses(text.encode())
    made = settings(renderer=renderer)
    if addresses is not None:
        assert render_addresses(addresses, made.gateways[0], made)


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a/b", "a/c"], []),
        (["a/B", "a/b"], [("a/b", "a/B")]),
        (["A/x/1", "a/y/2"], [("a/y/2", "A")]),
        (["m/P/x/1", "m/p/y/2", "m/p/y/3"], [("m/p/y/2", "m/P"), ("m/p/y/3", "m/P")]),
        (["caf\u00e9", "cafe\u0301"], [("caf\u00e9", "cafe\u0301")]),
        (["a", "a-b", "a/b"], []),
    ],
)
def test_names_collide_as_a_careless_file_system_sees_them(
    paths: Iterable[str], found: list[tuple[str, str]]
) -> None:
    assert list(collisions(paths)) == found


@pytest.mark.parametrize("text", [b"\x80", b"A", b"9" * 5000])
@pytest.mark.parametrize("key", [b"name: ", b"route: ", b"port: ", b"state: "])
def test_a_ledger_file_of_any_bytes_is_a_finding(key: bytes, text: bytes) -> None:
    path = OURS[-1]
    data = WORLD[path].data.replace(key, key + text)
    assert data != WORLD[path].data
    assert codes({**WORLD, path: file(data)})


def test_weights_beyond_the_contract_are_not_rendered() -> None:
    path = WISH.replace(".yaml", ".endpoints.yaml")
    data = WORLD[path].data.replace(b"weight 1 ->", b"weight 9999999 ->")
    assert codes({**WORLD, path: file(data)}) == ["WHF619"]

"""The surgical revert on worlds in memory, each followed by the plan of the next pass."""

from __future__ import annotations

import pytest

from reconciler.audit.undoing import Ground, Undone, needed, undo, wish_changes
from reconciler.errors import Blocked
from reconciler.ledger_file import parse_entry
from reconciler.model.repository import CommitFact, File
from reconciler.model.trails import Landed, Trail
from tests.planning import Bench, _blob, claims, ops, wanted, wish

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
ENDPOINTS = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
UNIT = "eu1/shop/orders"
GONE = claims(unexposed=(wish().unit,))
PROVEN = frozenset({(wish().unit, "public")})


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.run(claims(wanted()))
    return made


def weights(blue: int, green: int) -> object:
    return wanted(wish(routes={"tcp": (("blue", blue), ("green", green))}))


def newest(bench: Bench) -> CommitFact:
    """The newest commit that changed the unit's wish."""
    return next(
        each
        for each in reversed(bench.commits)
        if UNIT in wish_changes(each, bench.blobs.__getitem__)
    )


def undone(bench: Bench, commit: CommitFact | None = None) -> Undone:
    """Undo a commit (the newest of the wish) for the unit, without committing it."""
    commit = commit or newest(bench)
    read = bench.blobs.__getitem__
    paths = set(needed(commit, read))
    trail = Trail(
        commits=tuple(
            Landed(commit=each, landed=each.time, committer="", message="", parents=1)
            for each in reversed(bench.commits)
            if paths & {change.path for change in each.changes}
        ),
        read=read,
    )
    files = {
        path: File(blob=_blob(data), data=data) for path, data in bench.files.items()
    }
    return undo(commit, UNIT, Ground(files=files, trail=trail))


def revert(bench: Bench, commit: CommitFact | None = None) -> Undone:
    """Undo as a person."""
    made = undone(bench, commit)
    bench.person({write.path: write.data for write in made.writes})
    return made


def ports(bench: Bench) -> dict[int, str]:
    found = {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert isinstance(entry.key, int)
            found[entry.key] = str(entry.state)
    return found


def test_a_creation_goes_and_its_port_stays_its_own(bench: Bench) -> None:
    (port,) = ports(bench)
    made = revert(bench)
    ledger = f"ports/public/{port}.yaml"
    assert {write.path for write in made.writes} == {WISH, ENDPOINTS, ledger}
    assert {write.data for write in made.writes} == {None}
    rival = wanted(wish("rival"), port=port)
    bench.wait(days=9)
    made_of = ops(bench.plan(claims(wanted(), rival)))
    assert ("hold", "orders", "WHF208") in made_of
    assert ("reject", "rival", "WHF123") in made_of


def test_a_restored_route_that_goes_again_leaves_the_tombstone(bench: Bench) -> None:
    (port,) = ports(bench)
    bench.run(GONE)
    revert(bench)
    revert(bench)
    assert bench.plan(GONE).rows == ()
    rival = wanted(wish("rival"), port=port)
    asked = claims(rival, unexposed=(wish().unit,))
    assert ("reject", "rival", "WHF123") in ops(bench.plan(asked)), "quarantine"
    bench.wait(days=2)
    assert ("create", "rival", "WHF501") in ops(bench.plan(asked))


def test_a_change_goes_back_and_is_held(bench: Bench) -> None:
    before = bench.files[WISH]
    bench.run(claims(weights(90, 10)))
    revert(bench)
    assert bench.files[WISH] == before
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]
    assert undone(bench, bench.commits[-2]).writes == ()


def test_a_removal_is_restored_and_held_with_its_port(bench: Bench) -> None:
    before = dict(bench.files)
    bench.run(GONE)
    revert(bench)
    assert bench.files == before
    assert ops(bench.plan(GONE)) == [("hold", "orders", "WHF208")]


def test_a_restored_route_keeps_its_port_from_rivals_after_the_quarantine(
    bench: Bench,
) -> None:
    (port,) = ports(bench)
    bench.run(GONE)
    revert(bench)
    bench.wait(days=9)
    rival = wanted(wish("rival"), port=port)
    made = bench.plan(claims(rival, unexposed=(wish().unit,)))
    assert ("reject", "rival", "WHF123") in ops(made)


@pytest.mark.parametrize("left", [False, True])
def test_a_port_of_another_owner_is_refused(bench: Bench, left: bool) -> None:
    (port,) = ports(bench)
    bench.run(GONE)
    bench.wait(days=2)
    rival = wish("rival")
    bench.run(claims(wanted(rival, port=port), unexposed=(wish().unit,)))
    if left:
        bench.run(claims(unexposed=(wish().unit, rival.unit)))
    given = bench.commits[-1].id[:10]
    with pytest.raises(Blocked) as caught:
        undone(bench)
    assert "eu1/shop/rival" in caught.value.what
    assert given in caught.value.what
    assert f"port {port}" in caught.value.what


def test_a_reserved_port_is_refused(bench: Bench) -> None:
    (path,) = (each for each in bench.files if each.startswith("ports/"))
    bench.run(GONE)
    reserved = bench.files[path].split(b"owner:")[0].replace(b"released", b"reserved")
    bench.person({path: reserved})
    with pytest.raises(Blocked, match="reserved by people"):
        undone(bench)


def test_a_move_goes_back_while_the_old_port_drains(bench: Bench) -> None:
    (old,) = ports(bench)
    moved = claims(wanted(port=20077))
    bench.run(moved)
    assert ports(bench) == {old: "draining", 20077: "active"}
    revert(bench)
    assert ports(bench) == {old: "active"}
    bench.wait(days=9)
    rivals = [wanted(wish(f"r{port}"), port=port) for port in (old, 20077)]
    made = ops(bench.plan(claims(wanted(port=20077), *rivals), proven=PROVEN))
    assert ("hold", "orders", "WHF208") in made
    assert [op for op, name, _ in made if name != "orders"] == ["reject", "reject"]


def test_a_move_whose_old_port_is_released_takes_it_back_draining(bench: Bench) -> None:
    (old,) = ports(bench)
    moved = claims(wanted(port=20077))
    bench.run(moved)
    bench.wait(minutes=11)
    bench.run(moved, proven=PROVEN)
    assert ports(bench) == {old: "released", 20077: "active"}
    revert(bench)
    assert ports(bench) == {old: "draining"}
    for _ in range(2):
        made = bench.run(moved, proven=PROVEN)
        assert {op for op, _, _ in ops(made)} == {"hold"}
        assert made.exits == ()
        bench.wait(days=3)
    rival = wanted(wish("rival"), port=old)
    assert ("reject", "rival", "WHF123") in ops(
        bench.plan(claims(wanted(port=20077), rival), proven=PROVEN)
    )


def test_a_hand_edit_goes_back_to_ours_and_nothing_is_held(bench: Bench) -> None:
    before = bench.files[WISH]
    bench.person({WISH: before.replace(b"weight: 1", b"weight: 7")})
    revert(bench)
    assert bench.files[WISH] == before
    assert bench.plan(claims(wanted())).rows == ()


def test_a_comment_and_new_rendering_are_no_change_of_a_wish(bench: Bench) -> None:
    creation = newest(bench)
    bench.person({WISH: bench.files[WISH] + b"# looks fine\n"})
    assert newest(bench) == creation
    assert {WISH, ENDPOINTS} <= {write.path for write in undone(bench).writes}


def test_what_changed_again_since_is_refused(bench: Bench) -> None:
    bench.run(claims(weights(90, 10)))
    old = newest(bench)
    bench.run(claims(weights(80, 20)))
    with pytest.raises(Blocked, match="changed again since") as caught:
        undone(bench, old)
    assert bench.commits[-1].id[:10] in caught.value.what
    assert caught.value.where == UNIT


def test_addresses_stay_where_the_destinations_are_the_same(bench: Bench) -> None:
    edited = bench.files[WISH].replace(b"weight: 1", b"weight: 7")
    bench.person({WISH: edited})
    bench.run(claims(wanted(), follow=(wanted(hosts=("10.0.0.9",)).addresses,)))
    assert b"10.0.0.9" in bench.files[ENDPOINTS]
    revert(bench)
    assert b"10.0.0.9" in bench.files[ENDPOINTS]


def test_a_former_file_without_our_header_is_refused(bench: Bench) -> None:
    bench.person({WISH: b"kind: Mine\n"})
    bench.person({WISH: None})
    with pytest.raises(Blocked, match="first line is not ours"):
        undone(bench)


def test_a_foreign_removal_of_the_ledger_file_is_made_good(bench: Bench) -> None:
    (path,) = (each for each in bench.files if each.startswith("ports/"))
    bench.run(claims(weights(90, 10)))
    bench.person({path: None})
    revert(bench)
    assert path in bench.files, "it comes back with the wish that needs it"
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]


def test_only_wishes_are_changes_of_wishes(bench: Bench) -> None:
    changes = wish_changes(bench.commits[-1], bench.blobs.__getitem__)
    assert {unit: [each.path for each in found] for unit, found in changes.items()} == {
        UNIT: [WISH]
    }
    bench.person({"manifests/public/gateway.yaml": b"a: 1\n", "README.md": b"x"})
    assert wish_changes(bench.commits[-1], bench.blobs.__getitem__) == {}
    assert undone(bench, bench.commits[-1]).writes == ()

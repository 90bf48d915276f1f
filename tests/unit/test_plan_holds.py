"""`git revert` is a hold: wishes are compared, never bytes; addresses go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.units import Policy
from tests.planning import Bench, claims, ops, settings, summary, wanted, wish

WISH = "manifests/public/eu1/shop/vs-orders.yaml"
ENDPOINTS = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"


def weights(blue: int, green: int) -> object:
    return wanted(wish(routes={"tcp": (("blue", blue), ("green", green))}))


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.run(claims(wanted()))
    return made


def test_a_reverted_creation_is_held_and_keeps_its_port(bench: Bench) -> None:
    port = next(path for path in bench.files if path.startswith("ports/"))
    commit = bench.revert()
    made = bench.plan(claims(wanted()))
    assert ops(made) == [("hold", "orders", "WHF208")]
    assert "Ada Lovelace" in made.rows[0].reason
    assert commit[:7] in made.rows[0].reason
    assert made.drafts == ()
    assert made.exits == ()
    rival = wanted(wish("rival"), port=int(port.split("/")[-1].removesuffix(".yaml")))
    assert ("reject", "rival", "WHF123") in ops(bench.plan(claims(wanted(), rival)))


def test_a_reverted_change_is_held_until_the_wish_changes(bench: Bench) -> None:
    bench.run(claims(weights(90, 10)))
    bench.revert()
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]
    assert ops(bench.plan(claims(weights(80, 20)))) == [("update", "orders", "WHF502")]


def test_reverting_the_revert_ends_the_hold(bench: Bench) -> None:
    bench.run(claims(weights(90, 10)))
    bench.revert()
    bench.revert()
    assert bench.plan(claims(weights(90, 10))).rows == ()


def test_an_old_rejection_is_spent_once_something_newer_was_written(
    bench: Bench,
) -> None:
    bench.run(claims(weights(90, 10)))
    bench.revert()
    bench.run(claims(weights(50, 50)))
    assert ops(bench.plan(claims(weights(90, 10)))) == [("update", "orders", "WHF502")]


def test_a_hand_edit_of_the_wish_is_held(bench: Bench) -> None:
    edited = bench.files[WISH].replace(b"weight: 1", b"weight: 7")
    bench.person({WISH: edited})
    assert ops(bench.plan(claims(wanted()))) == [("hold", "orders", "WHF208")]


def test_a_comment_is_no_decision(bench: Bench) -> None:
    bench.person({WISH: bench.files[WISH] + b"# looks fine\n"})
    made = bench.plan(claims(wanted()))
    assert [row.op for row in made.rows] == ["update"]


def test_a_deleted_wish_file_is_held(bench: Bench) -> None:
    bench.person({WISH: None})
    assert ops(bench.plan(claims(wanted()))) == [("hold", "orders", "WHF208")]


def test_a_restored_route_is_held_against_our_deletion(bench: Bench) -> None:
    gone = claims(unexposed=(wish().unit,))
    bench.run(gone)
    bench.revert()
    made = bench.plan(gone)
    assert ops(made) == [("hold", "orders", "WHF208")]
    assert WISH in bench.files


def test_a_foreign_change_of_addresses_alone_holds_nothing(bench: Bench) -> None:
    bench.person({ENDPOINTS: bench.files[ENDPOINTS].replace(b"10.0.0.1", b"10.9.9.9")})
    made = bench.run(claims(wanted()))
    assert ops(made) == [("update", "orders", "WHF503")]
    assert b"10.0.0.1" in bench.files[ENDPOINTS]


def test_unrelated_commits_of_people_do_not_end_a_hold(bench: Bench) -> None:
    bench.revert()
    bench.person({"README.md": b"hello"})
    bench.run(claims(wanted(), wanted(wish("other"))))
    assert ("hold", "orders", "WHF208") in ops(
        bench.plan(claims(wanted(), wanted(wish("other"))))
    )


def test_addresses_of_a_held_unit_follow_the_cluster(bench: Bench) -> None:
    bench.run(claims(weights(90, 10)))
    bench.revert()
    follow = wanted(hosts=("10.0.0.9",)).addresses
    made = bench.run(claims(weights(90, 10), follow=(follow,)))
    assert ("hold", "orders", "WHF208") in ops(made)
    assert b"10.0.0.9" in bench.files[ENDPOINTS]
    again = bench.plan(claims(weights(90, 10), follow=(follow,)))
    assert ops(again) == [("hold", "orders", "WHF208")], (
        "nodes that come do not end a hold"
    )
    assert again.drafts == ()


def test_a_hold_file_holds_whatever_happens_until_its_date(bench: Bench) -> None:
    bench.person(
        {"holds/eu1/shop.yaml": b"reason: freeze\nby: ada\nuntil: 2026-01-02\n"}
    )
    made = bench.plan(claims(weights(90, 10)))
    assert ops(made) == [("hold", "orders", "WHF209")]
    assert "ada" in made.rows[0].reason
    bench.wait(days=2)
    assert ops(bench.plan(claims(weights(90, 10)))) == [("update", "orders", "WHF502")]


def test_a_hold_file_that_cannot_be_read_holds_too(bench: Bench) -> None:
    bench.person({"holds/all.yaml": b"reason: [oops"})
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF209")]


def test_frozen_addresses_stay(bench: Bench) -> None:
    bench.person({"holds/eu1.yaml": b"reason: x\naddresses: frozen\n"})
    follow = wanted(hosts=("10.0.0.9",)).addresses
    assert bench.plan(claims(wanted(), follow=(follow,))).drafts == ()


def test_a_hold_keeps_a_unit_from_being_removed(bench: Bench) -> None:
    bench.person({"holds/eu1/shop/orders.yaml": b"reason: x\n"})
    assert ops(bench.plan(claims())) == [("hold", "orders", "WHF209")]


def test_a_renderer_upgrade_ends_no_hold(bench: Bench) -> None:
    bench.run(claims(weights(90, 10)))
    bench.revert()
    old = bench.render

    def newer(*args: object) -> object:
        files = old.unit(*args)  # type: ignore[arg-type]
        return replace(files, wish=files.wish + b"- {added: by-an-upgrade}\n")

    bench.render = replace(old, version=2, unit=newer)  # type: ignore[arg-type]
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]


def test_a_person_ends_a_hold_by_releasing_it(bench: Bench) -> None:
    bench.revert()
    unit = wish().unit
    made = bench.run(claims(wanted()), released=frozenset({unit}))
    assert ops(made) == [("create", "orders", "WHF501")]
    assert bench.plan(claims(wanted())).rows == ()


def test_a_reverted_move_is_held(bench: Bench) -> None:
    (port,) = [path for path in bench.files if path.startswith("ports/")]
    bench.run(claims(wanted(port=20077)))
    bench.revert()
    made = bench.plan(claims(wanted(port=20077)))
    assert ops(made)[0] == ("hold", "orders", "WHF208")
    assert port in bench.files


def test_reverting_the_release_of_a_drained_port_is_held(bench: Bench) -> None:
    bench.run(claims(wanted(port=20077)))
    bench.wait(minutes=11)
    proven = frozenset({(wish().unit, "public")})
    bench.run(claims(wanted(port=20077)), proven=proven)
    bench.revert()
    assert bench.plan(claims(wanted(port=20077)), proven=proven).rows == ()
    bench.wait(minutes=11)
    made = bench.plan(claims(wanted(port=20077)), proven=proven)
    assert ops(made)[0] == ("hold", "orders", "WHF208")


def test_a_policy_is_part_of_the_wish(bench: Bench) -> None:
    stricter = wish(policy=Policy(max_connections=5))
    bench.run(claims(wanted(stricter)))
    bench.revert()
    assert ops(bench.plan(claims(wanted(stricter)))) == [("hold", "orders", "WHF208")]


def upgraded(bench: Bench) -> None:
    """Another version of us renders the same wishes with other bytes."""
    old = bench.render

    def newer(*args: object) -> object:
        files = old.unit(*args)  # type: ignore[arg-type]
        return replace(files, wish=files.wish + b"- {added: by-an-upgrade}\n")

    bench.render = replace(old, version=2, unit=newer)  # type: ignore[arg-type]


def test_a_comment_is_no_decision_after_an_upgrade_either(bench: Bench) -> None:
    bench.person({WISH: bench.files[WISH] + b"# looks fine\n"})
    upgraded(bench)
    made = bench.plan(claims(wanted()))
    assert [row.op for row in made.rows] == ["update"]


def test_an_upgrade_ends_no_hold_on_what_a_forge_squashed_without_our_words(
    bench: Bench,
) -> None:
    bench.run(claims(weights(90, 10)))
    made = bench.commits.pop()
    bench.commits.append(replace(made, ours=False, renderer=0, author="Forge"))
    bench.revert()
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]
    upgraded(bench)
    assert ops(bench.plan(claims(weights(90, 10)))) == [("hold", "orders", "WHF208")]


def test_a_restored_route_follows_its_cluster_although_nobody_wants_it() -> None:
    bench = Bench(settings=settings(apis={"mode": "off"}))
    bench.run(claims(wanted()))
    bench.run(claims())
    bench.revert()
    follow = (wanted(hosts=("10.0.0.9",)).addresses,)
    made = bench.run(claims(follow=follow))
    assert summary(made) == ["hold", "update"]
    path = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
    assert b"10.0.0.9" in bench.files[path]
    assert summary(bench.plan(claims(follow=follow))) == ["hold"]

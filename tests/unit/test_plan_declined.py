"""What people declined is not proposed again: in parts, joined, or without a wish."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.plans import Plan, Proposal
from reconciler.model.reviews import Declined
from tests.planning import Bench, claims, settings, wanted, wish
from tests.transferring import OLD, eu1, eu2, give, live, there

REVIEW = {"mode": "pull-request", "forge": "gitea"}


def under_review(**overrides: object) -> Bench:
    return Bench(settings=settings(review=REVIEW, apis={"mode": "off"}, **overrides))


def merge(bench: Bench, made: Plan) -> None:
    """As a forge merges: attributed to us."""
    bench.apply(made)
    for each in made.proposals:
        draft = each.draft
        bench.commit(
            draft.writes, author="wharfinger", ours=True, subject=draft.subject
        )


def closed(proposal: Proposal) -> tuple[Declined, ...]:
    """What a pass reads of a request that people closed."""
    return tuple(Declined(pair=pair, about="#7") for pair in proposal.pairs)


def test_a_release_without_a_manifest_can_be_declined() -> None:
    bench = under_review()
    merge(bench, bench.plan(claims(wanted(), wanted(wish("stock")))))
    gone = [
        path
        for path in bench.files
        if path.startswith("manifests/public/eu1/shop/vs-orders")
    ]
    bench.person(dict.fromkeys(gone))
    (only,) = bench.plan(claims(wanted(wish("stock")))).proposals
    assert all(not pair.wish for pair in only.pairs)
    made = bench.plan(claims(wanted(wish("stock"))), declined=closed(only))
    assert made.proposals == ()


def test_half_of_a_transfer_is_never_proposed() -> None:
    bench = under_review()
    merge(bench, bench.plan(eu1(wanted()), eu2()))
    (port,) = live(bench)
    give(bench, port, "eu2/shop/orders")
    (only,) = bench.plan(eu1(wanted()), eu2(there())).proposals
    other = replace(there(), wish=wish(cluster="eu2", routes={"tcp": (("spare", 1),)}))
    made = bench.plan(eu1(wanted()), eu2(other), declined=closed(only))
    for each in made.proposals:
        assert OLD in {write.path for write in each.draft.writes}
    merge(bench, made)
    live(bench)


def test_a_unit_with_two_writes_is_declined_by_what_both_decide() -> None:
    both = [
        {"name": name, "renderer": "envoy", "namespace": name, "ports": {"range": span}}
        for name, span in (("public", "20000-20099"), ("inner", "21000-21099"))
    ]
    tenant = {"clusters": ["*"], "hosts": []}
    bench = under_review(
        gateways=both, tenants=[{**tenant, "gateways": ["public", "inner"]}]
    )
    merge(bench, bench.plan(claims(wanted(gateway="public"), wanted(wish("stock")))))
    bench.settings = under_review(
        gateways=both, tenants=[{**tenant, "gateways": ["inner"]}]
    ).settings
    moved = claims(wanted(gateway="inner"))
    made = bench.plan(moved)
    (only,) = made.proposals
    assert bench.plan(moved, declined=closed(only)).proposals == ()

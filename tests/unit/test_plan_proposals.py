"""What is proposed under review, what goes straight to the branch, and what is never lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.model.plans import Op, Plan, Proposal, ProposalKind, State
from reconciler.model.reviews import Declined
from reconciler.model.units import UnitId, Wish
from reconciler.plan.proposals import pairs_of, reservations
from tests.planning import Bench, claims, settings, summary, wanted, wish

REVIEW = {"mode": "pull-request", "forge": "gitea"}
ORDERS = UnitId(cluster="eu1", namespace="shop", name="orders")


def under_review(**overrides: Any) -> Bench:
    return Bench(settings=settings(review=REVIEW, apis={"mode": "off"}, **overrides))


def merge(bench: Bench, proposal: Proposal) -> None:
    """As a forge merges: attributed to us."""
    draft = proposal.draft
    bench.commit(draft.writes, author="wharfinger", ours=True, subject=draft.subject)


def adopted(bench: Bench, *observed: Any) -> Plan:
    """Everything observed is merged."""
    made = bench.run(*observed)
    for each in made.proposals:
        merge(bench, each)
    return made


def in_space(space: str, name: str) -> Wish:
    made = wish(name)
    return replace(made, unit=replace(made.unit, namespace=space))


def test_the_first_adoption_is_one_request() -> None:
    bench = under_review()
    made = bench.plan(
        claims(wanted(in_space("shop", "a")), wanted(in_space("pay", "b"))),
        claims(wanted(wish("c", cluster="eu2")), cluster="eu2", cluster_id="id-eu2"),
    )
    (only,) = made.proposals
    assert (only.group, only.kind) == ("first.adoption", ProposalKind.ADOPTION)
    assert len(only.pairs) == 3
    assert [each.subject for each in made.drafts] == [
        "Note what is known of cluster eu1",
        "Note what is known of cluster eu2",
    ]


def test_later_on_a_request_is_a_cluster_and_namespace() -> None:
    bench = under_review()
    adopted(bench, claims(wanted()))
    made = bench.plan(
        claims(
            wanted(), wanted(in_space("shop", "a")), wanted(in_space("pay", "b")),
            wanted(in_space("pay", "c")),
        )
    )  # fmt: skip
    assert [each.group for each in made.proposals] == ["eu1/pay", "eu1/shop"]
    assert made.proposals[0].draft.subject == "Change 2 exposures of eu1/pay"
    assert made.proposals[1].draft.subject.startswith("Expose eu1/shop/a at ")
    assert made.drafts == ()


def test_a_wish_that_waits_is_pending_and_its_addresses_follow_meanwhile() -> None:
    bench = under_review()
    adopted(bench, claims(wanted()))
    other = wish(routes={"tcp": (("db", 1), ("spare", 1))})
    follow = replace(wanted(hosts=("10.0.0.9",)).addresses)
    made = bench.plan(claims(wanted(other), follow=(follow,)))
    (only,) = made.proposals
    assert only.group == "eu1/shop"
    assert [each.state for each in made.states] == [State.PENDING]
    (draft,) = made.drafts
    assert draft.subject == "Follow the addresses of cluster eu1"
    assert b"10.0.0.9" in (draft.writes[0].data or b"")


def test_addresses_alone_are_proposed_to_nobody() -> None:
    bench = under_review()
    adopted(bench, claims(wanted()))
    made = bench.plan(claims(wanted(hosts=("10.0.0.9",))))
    assert made.proposals == ()
    assert len(made.drafts) == 1
    assert [each.state for each in made.states] == [State.ALLOCATED]


def test_withheld_deletions_are_a_request_of_their_own() -> None:
    bench = under_review()
    units = [wanted(wish(f"a{index}")) for index in range(6)]
    adopted(bench, claims(*units))
    made = bench.plan(claims(units[0]))
    (only,) = made.proposals
    assert (only.group, only.kind) == (
        "eu1/withheld.deletions",
        ProposalKind.DELETIONS,
    )
    assert all(pair.wish == ("public:-",) for pair in only.pairs)
    assert summary(made) == ["withhold"] * 5
    merge(bench, only)
    again = bench.plan(claims(units[0]))
    assert again.proposals == ()
    assert again.rows == ()


def test_declined_deletions_stay_withheld_and_are_not_asked_for_again() -> None:
    bench = under_review()
    units = [wanted(wish(f"a{index}")) for index in range(6)]
    adopted(bench, claims(*units))
    (only,) = bench.plan(claims(units[0])).proposals
    no = tuple(Declined(pair=pair, about="#7") for pair in only.pairs)
    made = bench.plan(claims(units[0]), declined=no)
    assert made.proposals == ()
    assert summary(made) == ["withhold"] * 5
    assert made.withheld
    passed = bench.plan(claims(units[0]), declined=no, accept_deletions=made.withheld)
    assert summary(passed) == ["hold"] * 5


def test_what_was_declined_is_held_and_another_wish_is_not() -> None:
    bench = under_review()
    (only,) = bench.plan(claims(wanted())).proposals
    no = Declined(pair=only.pairs[0], about="https://forge/pulls/1")
    made = bench.plan(claims(wanted()), declined=(no,))
    assert made.proposals == ()
    assert summary(made) == ["hold"]
    (state,) = made.states
    assert (state.state, "declined in https://forge/pulls/1" in state.message) == (
        State.PENDING,
        True,
    )
    other = wish(routes={"tcp": (("spare", 1),)})
    assert len(bench.plan(claims(wanted(other)), declined=(no,)).proposals) == 1
    released = bench.plan(
        claims(wanted()), declined=(no,), released=frozenset({ORDERS})
    )
    assert len(released.proposals) == 1


def test_a_declined_removal_stays_and_a_declined_port_is_another_wish() -> None:
    bench = under_review()
    adopted(bench, claims(wanted(), wanted(wish("stock"))))
    (only,) = bench.plan(claims(wanted(wish("stock")))).proposals
    no = Declined(pair=only.pairs[0], about="#2")
    made = bench.plan(claims(wanted(wish("stock"))), declined=(no,))
    assert (made.proposals, summary(made)) == ((), ["hold"])
    back = bench.plan(claims(wanted(), wanted(wish("stock"))), declined=(no,))
    assert back.rows == ()


def taken(made: Plan) -> dict[str, int]:
    """Ports by workload."""
    return {
        str(row.name): int(row.port or 0) for row in made.rows if row.op is Op.CREATE
    }


names = st.lists(
    st.sampled_from(["a", "b", "c", "d", "e"]), unique=True, min_size=1, max_size=5
)


@given(names, names)
@hypothesis_settings(max_examples=60, deadline=None)
def test_open_requests_keep_their_ports_whatever_comes_beside_them(
    first: list[str], second: list[str]
) -> None:
    bench = under_review(
        gateways=[
            {
                "name": "public",
                "renderer": "envoy",
                "namespace": "ingress",
                "ports": {"range": "20000-20011"},
            }
        ]
    )
    adopted(bench, claims(wanted()))
    one = [wanted(in_space("one", name)) for name in first]
    made = bench.plan(claims(wanted(), *one))
    (only,) = made.proposals
    files = {each.path: each.data for each in only.draft.writes}
    kept = reservations(files, only.group)
    two = [wanted(in_space("two", name)) for name in second]
    again = bench.plan(claims(wanted(), *one, *two), reserved=kept)
    proposals = {each.group: each for each in again.proposals}
    assert proposals["eu1/one"].pairs == only.pairs
    ports = [
        row.port
        for each in again.proposals
        for row in each.rows
        if row.port is not None
    ]
    assert len(ports) == len(set(ports))
    alone = bench.plan(claims(wanted(), *two), reserved=kept)
    assert not set(taken(alone).values()) & {each.key for each in kept}


@given(names, st.permutations(list(range(6))), st.integers(0, 5))
@hypothesis_settings(max_examples=60, deadline=None)
def test_merging_in_any_order_ends_where_direct_commits_end(
    which: list[str], order: list[int], spaces: int
) -> None:
    observed = claims(
        *[wanted(in_space(f"s{index % (spaces + 1)}", name)) for index, name in enumerate(which)]
    )  # fmt: skip
    direct = Bench(settings=settings(apis={"mode": "off"}))
    direct.run(observed)
    bench = under_review()
    for _ in range(2):
        made = bench.run(observed)
        proposals = sorted(
            made.proposals, key=lambda each: order[hash(each.group) % len(order)]
        )
        for each in proposals:
            merge(bench, each)
    assert bench.plan(observed).proposals == ()
    assert bench.plan(observed).drafts == ()
    assert bench.files == direct.files


def test_pairs_are_the_same_from_a_plan_and_from_its_files() -> None:
    bench = under_review()
    (only,) = bench.plan(claims(wanted())).proposals
    files = {each.path: each.data for each in only.draft.writes}
    assert pairs_of(files, lambda path: None) == only.pairs
    ((unit, digests, ports),) = [(p.unit, p.wish, p.ports) for p in only.pairs]
    assert unit == ORDERS
    assert len(digests) == len(ports) == 1


def test_a_hostile_branch_makes_no_pairs_and_no_reservations() -> None:
    files: dict[str, bytes | None] = {
        "ports/public/20001.yaml": b"[",
        "ports/public/1/2/3.yaml": b"x",
        "manifests/public/eu1/shop/vs-x.yaml": b"\xff\xfe",
        "manifests/x": b"# eu1 shop/orders -> tcp.example.com:20017 wish 3f9a6c2e\n",
        "hosts/public/UPPER.yaml": b"{}",
    }
    assert pairs_of(files, lambda path: None) == ()
    assert reservations(files, "eu1/shop") == ()

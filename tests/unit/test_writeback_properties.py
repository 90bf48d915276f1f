"""Whatever an object says and whatever was proven: writing once is enough, and only our keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.claims import Source
from reconciler.model.plans import State, UnitState
from reconciler.model.proofs import Proof, ServedEndpoint, Stage
from reconciler.model.repository import CommitId
from reconciler.model.units import UnitId
from reconciler.writeback import no_annotations, wanted_annotations
from reconciler.writeback.annotations import (
    ENDPOINTS,
    HOST,
    KEYS,
    MESSAGE,
    PORT,
    SERVED,
    STATE,
)

UNIT = UnitId(cluster="eu1", namespace="shop", name="orders")
PLANNED = (State.PENDING, State.ALLOCATED, State.HELD, State.REJECTED)
ENDPOINT = st.builds(
    ServedEndpoint,
    route=st.sampled_from(["tcp", "5672", "15672"]),
    host=st.sampled_from(["tcp.example.com", "a.example.com"]),
    port=st.integers(1, 65535),
)
STATES = st.builds(
    UnitState,
    unit=st.just(UNIT),
    state=st.sampled_from(PLANNED),
    message=st.text(max_size=600),
    degraded=st.sampled_from(["", "no address left"]),
)
PROOFS = st.none() | st.builds(
    Proof,
    unit=st.just(UNIT),
    gateway=st.just("public"),
    stage=st.sampled_from(Stage),
    message=st.text(max_size=20),
    serves=st.lists(ENDPOINT, min_size=1, max_size=3).map(tuple),
    commit=st.sampled_from([CommitId("c0ffee"), CommitId("bead")]),
)
SOURCES = st.dictionaries(
    st.sampled_from([*KEYS, "owner", "wharfinger.dev/expose"]), st.text(max_size=30)
).map(
    lambda annotations: Source(
        unit=UNIT,
        uid="u",
        resource_version="1",
        generation=3,
        annotations=annotations,
    )
)


def written(source: Source, change: Mapping[str, str | None]) -> Source:
    after = {**source.annotations, **change}
    kept = {key: value for key, value in after.items() if value is not None}
    return replace(source, annotations=kept)


@given(SOURCES, STATES, PROOFS, st.booleans())
def test_what_was_written_is_not_written_again(
    source: Source, state: UnitState, proof: Proof | None, gone: bool
) -> None:
    change = wanted_annotations(source, state, proof, gone)
    now = written(source, change)
    # Once the route was taken back, "was proven" is over.
    again = wanted_annotations(now, state, proof, gone)
    settled = written(now, again)
    assert wanted_annotations(settled, state, proof, gone) == {}
    assert again == {} or (gone and set(again) <= {STATE})


@given(SOURCES, STATES, PROOFS, st.booleans())
def test_only_our_keys_are_written(
    source: Source, state: UnitState, proof: Proof | None, gone: bool
) -> None:
    assert set(wanted_annotations(source, state, proof, gone)) <= set(KEYS)
    assert set(no_annotations(source, gone)) <= set(KEYS)


@given(SOURCES, STATES, PROOFS, st.booleans())
def test_host_and_port_come_from_a_proof_and_go_with_the_route(
    source: Source, state: UnitState, proof: Proof | None, gone: bool
) -> None:
    now = written(source, wanted_annotations(source, state, proof, gone)).annotations
    if proof is not None and proof.stage is Stage.SERVING:
        assert (HOST in now) == (PORT in now) == (ENDPOINTS not in now)
        if ENDPOINTS in now:
            listed = json.loads(now[ENDPOINTS])
            assert len(listed) == len(proof.serves) > 1
            assert now[ENDPOINTS] == json.dumps(listed, separators=(",", ":"))
    elif gone:
        assert not set(SERVED) & set(now)
    else:
        before = {key: source.annotations.get(key) for key in SERVED}
        assert {key: now.get(key) for key in SERVED} == before


@given(SOURCES, STATES, PROOFS)
def test_ready_needs_a_connection_and_allocated_a_place_in_git(
    source: Source, state: UnitState, proof: Proof | None
) -> None:
    now = written(source, wanted_annotations(source, state, proof, False)).annotations
    stage = proof.stage if proof is not None else Stage.UNSEEN
    if now[STATE] == State.READY:
        assert (stage, state.state) == (Stage.SERVING, State.ALLOCATED)
    if stage is Stage.UNSEEN:
        assert now[STATE] == state.state
    assert now[MESSAGE].isprintable()
    assert len(now[MESSAGE]) <= 512


@given(SOURCES, STATES, PROOFS, st.booleans())
def test_what_a_tenant_writes_into_our_keys_changes_nothing_but_was_proven(
    source: Source, state: UnitState, proof: Proof | None, gone: bool
) -> None:
    served = {key: "x" for key in (HOST, ENDPOINTS) if key in source.annotations}
    clean = replace(source, annotations=served)

    def said(about: Source) -> dict[str, str | None]:
        change = wanted_annotations(about, state, proof, gone)
        after = {**about.annotations, **change}
        return {key: after.get(key) for key in KEYS if key not in SERVED}

    assert said(source) == said(clean)


@given(SOURCES)
def test_an_object_that_is_not_exposed_any_more_ends_clean(source: Source) -> None:
    kept = written(source, no_annotations(source, gone=False))
    assert set(KEYS) & set(kept.annotations) <= set(SERVED)
    clean = written(kept, no_annotations(kept, gone=True))
    assert not set(KEYS) & set(clean.annotations)
    assert no_annotations(clean, gone=True) == {}

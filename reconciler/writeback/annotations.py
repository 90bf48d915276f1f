"""What VirtualServices shall say of their exposure; pure.

`state` and `message` speak of the newest wish; host, port and commit of the last proof. They
stay while a newer wish is on its way and leave only when a revision without the route is
reported applied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from reconciler.model.claims import Source
from reconciler.model.plans import State, UnitState
from reconciler.model.proofs import Proof, Stage

PREFIX = "wharfinger.dev/"
STATE, MESSAGE = PREFIX + "state", PREFIX + "message"
HOST, PORT, ENDPOINTS = PREFIX + "host", PREFIX + "port", PREFIX + "endpoints"
COMMIT, GENERATION = PREFIX + "commit", PREFIX + "observed-generation"
KEYS = (STATE, MESSAGE, HOST, PORT, ENDPOINTS, COMMIT, GENERATION)
SERVED = (HOST, PORT, ENDPOINTS, COMMIT)

MESSAGE_LENGTH = 512

Change = Mapping[str, str | None]


def wanted_annotations(
    source: Source, state: UnitState, proof: Proof | None, gone: bool
) -> Change:
    """Keys to set, or to remove (`None`), so that the object says what is; differences only.

    `gone`: a revision without the route is reported applied, so nothing serves it any more.
    """
    wanted: dict[str, str | None] = {
        STATE: _state(source, state, proof).value,
        MESSAGE: _message(state, proof),
        GENERATION: str(source.generation),
    }
    if proof is not None and proof.stage is Stage.SERVING:
        wanted.update(_served(proof))
    elif gone:
        wanted.update(dict.fromkeys(SERVED))
    return _differences(source, wanted)


def no_annotations(source: Source, gone: bool) -> Change:
    """For an object that is not exposed any more: nothing of ours stays once it is gone.

    Until then host and port are still true, the state speaks of a wish that is no more.
    """
    keys = KEYS if gone else (STATE, MESSAGE, GENERATION)
    return _differences(source, dict.fromkeys(keys))


def _differences(source: Source, wanted: Mapping[str, str | None]) -> Change:
    return {
        key: value
        for key, value in wanted.items()
        if source.annotations.get(key) != value
    }


def _state(source: Source, state: UnitState, proof: Proof | None) -> State:
    if state.state is not State.ALLOCATED:
        return state.state
    if proof is None or proof.stage is Stage.UNSEEN:
        return State.ALLOCATED
    # Whoever writes our keys can at most call the own route Degraded instead of less.
    was_proven = HOST in source.annotations or ENDPOINTS in source.annotations
    fails = bool(state.degraded) or proof.stage is Stage.FAILING
    if fails and was_proven:
        return State.DEGRADED
    match proof.stage:
        case Stage.WAITING:
            return State.ALLOCATED
        case Stage.SERVING if not state.degraded:
            return State.READY
        case _:
            return State.DEGRADED if state.degraded else State.APPLIED


def _message(state: UnitState, proof: Proof | None) -> str:
    said = state.message
    if state.state is State.ALLOCATED and not state.degraded and proof is not None:
        said = proof.message or said
    printable = (each if each.isprintable() else " " for each in said)
    return " ".join("".join(printable).split())[:MESSAGE_LENGTH].rstrip()


def _served(proof: Proof) -> dict[str, str | None]:
    commit = proof.commit or ""
    if len(proof.serves) == 1:
        only = proof.serves[0]
        return {HOST: only.host, PORT: str(only.port), ENDPOINTS: None, COMMIT: commit}
    endpoints = [
        {"name": each.route, "host": each.host, "port": each.port}
        for each in sorted(
            proof.serves, key=lambda each: (each.route, each.host, each.port)
        )
    ]
    text = json.dumps(endpoints, separators=(",", ":"))
    return {HOST: None, PORT: None, ENDPOINTS: text, COMMIT: commit}

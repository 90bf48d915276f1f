"""Two clusters and a port that people give from one to the other; for planner tests."""

from __future__ import annotations

from dataclasses import replace

from reconciler.headers import parse_wish_header
from reconciler.ledger_file import format_entry, parse_entry
from reconciler.model.claims import ClusterClaims, Rejection, Wanted
from reconciler.model.clusters import Unknown, Why
from reconciler.model.plans import Plan, State
from reconciler.model.units import UnitId
from tests.planning import Bench, claims, wanted, wish

OLD = "manifests/public/eu1/shop/vs-orders.yaml"
NEW = "manifests/public/eu2/shop/vs-orders.yaml"
U1, U2 = wish().unit, wish(cluster="eu2").unit
NOWHERE: tuple[str, ...] = ()


def eu1(*outcomes: Wanted, **rest: object) -> ClusterClaims:
    """What eu1 asks for."""
    return claims(*outcomes, **rest)  # type: ignore[arg-type]


def eu2(
    *outcomes: Wanted | tuple[UnitId, Rejection], cluster: str = "eu2"
) -> ClusterClaims:
    """What eu2 (or another cluster of `cluster`) asks for."""
    return claims(*outcomes, cluster=cluster, cluster_id=f"id-{cluster}")


def there(**rest: object) -> Wanted:
    """shop/orders in eu2."""
    return wanted(wish(cluster="eu2"), **rest)  # type: ignore[arg-type]


def unseen(cluster: str = "eu1") -> ClusterClaims:
    """A cluster that cannot be reached."""
    made = claims(cluster=cluster, cluster_id=f"id-{cluster}")
    why = Unknown(why=Why.UNREACHABLE, message="no route to host")
    return replace(made, view=replace(made.view, objects=why))


def live(bench: Bench) -> dict[int, str]:
    """port -> `state unit/route -> next`; checks that ledger and manifests agree."""
    found, owners = {}, {}
    for path, data in bench.files.items():
        if path.startswith("ports/"):
            entry = parse_entry(path, data)
            assert entry.owner is not None
            found[int(entry.key)] = (
                f"{entry.state} {entry.owner.unit}/{entry.owner.route}"
                + (f" -> {entry.next}" if entry.next else "")
            )
            if entry.live:
                owners[int(entry.key)] = entry.owner.unit
    served: dict[int, UnitId] = {}
    for path, data in bench.files.items():
        if path.startswith("manifests/") and not path.endswith(".endpoints.yaml"):
            header = parse_wish_header(data)
            assert header is not None
            for each in header.served:
                assert each.port not in served
                served[each.port] = header.unit
    assert served == owners
    return found


def give(bench: Bench, port: int, to: str, *, gateway: str = "public") -> None:
    """What `wharfinger transfer` commits."""
    path = f"ports/{gateway}/{port}.yaml"
    entry = replace(parse_entry(path, bench.files[path]), next=to)
    bench.person({path: format_entry(entry)}, subject=f"Transfer to {to}")


def said(made: Plan, unit: UnitId) -> tuple[State, str]:
    """What the unit is told."""
    (state,) = [each for each in made.states if each.unit == unit]
    return state.state, state.message


def quiet(bench: Bench, *observed: ClusterClaims) -> None:
    """Another pass makes no commit."""
    assert bench.plan(*observed).drafts == ()


def started() -> Bench:
    """eu1/shop/orders has 20042; eu2 is known and asks for nothing."""
    made = Bench()
    made.run(eu1(wanted(port=20042)), eu2())
    return made


BOTH = (eu1(wanted(port=20042)), eu2(there()))

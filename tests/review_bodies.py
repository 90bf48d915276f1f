"""Proposals as passes make them, for tests of what people read of a request."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.codes import Code
from reconciler.model.plans import Op, Pair, Proposal, ProposalKind, Row
from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.model.units import UnitId
from reconciler.review.body import Story
from reconciler.semantic import semantic_diff

TRAILERS = (
    f"Wharfinger-Digest: sha256:{'4a252d70' * 8}\n"
    "Wharfinger-Renderer: 1\n"
    f"Wharfinger-Plan: {'0cc3312d' * 8}"
)
FOLDER = "manifests/public/eu1/shop"
Files = Mapping[str, bytes | None]


def row(
    op: Op, reason: str, code: Code, name: str = "orders", port: int = 20017
) -> Row:
    return Row(
        op=op,
        cluster="eu1",
        namespace="shop",
        name=name,
        route="tcp",
        gateway="public",
        host="tcp.example.com",
        port=port,
        code=code,
        reason=reason,
    )


def wish(port: int, blue: int, name: str = "orders") -> bytes:
    return (
        f"# eu1 shop/{name} -> tcp.example.com:{port} wish {port:04x}{blue:04x}\n"
        f"# tcp on gateway public\n# route tcp on {port}\n"
        f"#   to shop/blue:5432 weight {blue}\n#   to shop/green:5432 weight {100 - blue}\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\n"
        f"metadata:\n  name: w-eu1-shop-{name}\nspec:\n  parentRefs:\n"
        f"    - sectionName: tcp-{port}\n  rules:\n    - backendRefs:\n"
        f"        - name: blue\n          weight: {blue}\n"
        f"        - name: green\n          weight: {100 - blue}\n"
    ).encode()


def addresses(name: str = "orders") -> bytes:
    return (
        f"# eu1 shop/{name} addresses failover none\n"
        f"# tcp shop/blue:5432 node-port weight 100 -> 10.20.0.1:31000\n"
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\n"
        f"metadata:\n  name: w-eu1-shop-{name}-blue\nspec:\n  endpoints: []\n"
    ).encode()


def port(number: int, state: str, name: str = "orders") -> bytes:
    return (
        f"gateway: public\nport: {number}\nstate: {state}\n"
        f"owner: {{cluster: eu1, clusterId: id-eu1, namespace: shop, name: {name}, "
        f"route: tcp}}\n"
    ).encode()


def proposal(
    rows: tuple[Row, ...], files: Files, kind: ProposalKind = ProposalKind.WISHES
) -> Proposal:
    names = sorted({each.name or "" for each in rows})
    units = [UnitId(cluster="eu1", namespace="shop", name=name) for name in names]
    return Proposal(
        group="eu1/shop",
        kind=kind,
        draft=CommitDraft(
            subject="Change it",
            body="",
            units=tuple(map(str, units)),
            writes=tuple(FileWrite(path=p, data=d) for p, d in files.items()),
        ),
        pairs=tuple(Pair(unit=unit, wish=("public:1",)) for unit in units),
        rows=rows,
    )


def story(after: Files, before: Files, merges: bool = False) -> Story:
    return Story(
        diff=semantic_diff(after, before),
        trailers=TRAILERS,
        merges=merges,
        quarantine="24 h",
        engine="Argo CD applies",
    )


def creation() -> tuple[Proposal, Story]:
    after: Files = {
        f"{FOLDER}/vs-orders.endpoints.yaml": addresses(),
        f"{FOLDER}/vs-orders.yaml": wish(20017, 90),
        "ports/public/20017.yaml": port(20017, "active"),
    }
    rows = (row(Op.CREATE, "newly exposed", Code.EXPOSED),)
    return proposal(rows, after), story(after, {})


def weights() -> tuple[Proposal, Story]:
    path = f"{FOLDER}/vs-orders.yaml"
    after: Files = {path: wish(20017, 50)}
    rows = (row(Op.UPDATE, "weights 90/10 -> 50/50", Code.WISH_CHANGED),)
    return proposal(rows, after), story(after, {path: wish(20017, 90)}, merges=True)


def move() -> tuple[Proposal, Story]:
    path = f"{FOLDER}/vs-orders.yaml"
    before: Files = {
        path: wish(20017, 90),
        "ports/public/20017.yaml": port(20017, "active"),
    }
    after: Files = {
        path: wish(20100, 90),
        "ports/public/20017.yaml": port(20017, "released"),
        "ports/public/20100.yaml": port(20100, "active"),
    }
    rows = (row(Op.UPDATE, "moves from 20017 to 20100", Code.MOVED, port=20100),)
    return proposal(rows, after), story(after, before)


def gone(*names: str) -> tuple[Files, Files]:
    before: dict[str, bytes | None] = {}
    after: dict[str, bytes | None] = {}
    for number, name in enumerate(names, 20017):
        paths = [f"{FOLDER}/vs-{name}.yaml", f"{FOLDER}/vs-{name}.endpoints.yaml"]
        before |= {paths[0]: wish(number, 90, name), paths[1]: addresses(name)}
        after |= dict.fromkeys(paths)
        ledger = f"ports/public/{number}.yaml"
        before[ledger] = port(number, "active", name)
        after[ledger] = port(number, "released", name)
    return after, before


def removal() -> tuple[Proposal, Story]:
    after, before = gone("orders")
    rows = (row(Op.DELETE, "no longer exposed", Code.UNEXPOSED),)
    return proposal(rows, after), story(after, before)


def withheld() -> tuple[Proposal, Story]:
    names = ("orders", "carts", "users")
    after, before = gone(*names)
    reason = "no longer exposed; above the budget of 2 removals"
    rows = tuple(
        row(Op.WITHHOLD, reason, Code.DELETIONS_WITHHELD, name, number)
        for number, name in enumerate(names, 20017)
    )
    return proposal(rows, after, ProposalKind.DELETIONS), story(after, before)


CASES = {
    "creation": creation,
    "weights": weights,
    "move": move,
    "removal": removal,
    "withheld": withheld,
}

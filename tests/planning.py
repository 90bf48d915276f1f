"""An ingress repository in memory for planner tests: apply plans, commit as a person, plan again.

`tests/integration/test_run_*` holds the same histories against real Git.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.headers import addresses_header, wish_header
from reconciler.model.claims import Claim, ClusterClaims, Rejection, Source, Wanted
from reconciler.model.clusters import ClusterEntry, ClusterObjects, ClusterView
from reconciler.model.plans import Plan
from reconciler.model.repository import (
    BlobId,
    CommitFact,
    CommitId,
    File,
    FileChange,
    FileWrite,
    Head,
    History,
)
from reconciler.model.units import (
    Address,
    Backend,
    Destination,
    Located,
    LocatedRoute,
    Placement,
    Policy,
    RouteWish,
    UnitAddresses,
    UnitFiles,
    UnitId,
    UnitKind,
    Wish,
)
from reconciler.plan import Inputs, Rendering, plan
from reconciler.settings import Gateway, Settings

START = datetime(2026, 1, 1, tzinfo=UTC)


def settings(**overrides: object) -> Settings:
    """Settings with one gateway of ports 20000-20099 and one tenant for all clusters."""
    base: dict[str, object] = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Settings",
        "domain": "ingress.example.com",
        "gateways": [
            {
                "name": "public",
                "renderer": "envoy",
                "namespace": "ingress",
                "ports": {"range": "20000-20099"},
            }
        ],
        "inventories": [{"name": "lab", "directory": {"path": "/clusters"}}],
        "tenants": [
            {"clusters": ["*"], "gateways": ["public"], "hosts": [".apps.example.com"]}
        ],
    }
    return Settings.model_validate({**base, **overrides})


def wish(
    name: str = "orders",
    *,
    cluster: str = "eu1",
    routes: Mapping[str, tuple[tuple[str, int], ...]] | None = None,
    policy: Policy | None = None,
) -> Wish:
    """A TCP wish; `routes` maps route names to (service, weight) pairs."""
    return Wish(
        unit=UnitId(cluster=cluster, namespace="shop", name=name),
        kind=UnitKind.TCP,
        routes=tuple(
            RouteWish(
                name=route,
                destinations=tuple(
                    Destination(
                        namespace="shop",
                        service=service,
                        port=5432,
                        backend=Backend.NODE_PORT,
                        weight=weight,
                    )
                    for service, weight in destinations
                ),
            )
            for route, destinations in (routes or {"tcp": (("db", 1),)}).items()
        ),
        policy=policy or Policy(),
    )


def wanted(
    what: Wish | None = None,
    *,
    port: Mapping[str, int] | int | None = None,
    gateway: str = "",
    hosts: Iterable[str] = ("10.0.0.1",),
) -> Wanted:
    """A granted wish whose destinations all have the same node addresses."""
    what = what or wish()
    found = tuple(Address(host=host, port=31000) for host in sorted(hosts))
    requests = {"tcp": port} if isinstance(port, int) else dict(port or {})
    return Wanted(
        wish=what,
        gateway=gateway,
        requests=tuple(sorted(requests.items())),
        missing=()
        if found
        else tuple(each.key for route in what.routes for each in route.destinations),
        addresses=UnitAddresses(
            unit=what.unit,
            failover=what.policy.failover,
            routes=tuple(
                LocatedRoute(
                    name=route.name,
                    located=tuple(
                        Located(destination=each, addresses=found)
                        for each in route.destinations
                    ),
                )
                for route in what.routes
            ),
        ),
    )


def claim(unit: UnitId, outcome: Wanted | Rejection) -> Claim:
    """A claim with a source that says nothing."""
    source = Source(
        unit=unit, uid="u", resource_version="1", generation=1, annotations={}
    )
    return Claim(unit=unit, source=source, outcome=outcome)


def claims(
    *outcomes: Wanted | tuple[UnitId, Rejection],
    cluster: str = "eu1",
    cluster_id: str = "id-eu1",
    one_look: bool = True,
    unexposed: tuple[UnitId, ...] = (),
    follow: tuple[UnitAddresses, ...] = (),
) -> ClusterClaims:
    """All claims of one cluster."""
    made = [
        claim(each.wish.unit, each) if isinstance(each, Wanted) else claim(*each)
        for each in outcomes
    ]
    return ClusterClaims(
        view=ClusterView(
            entry=ClusterEntry(name=cluster, inventory="lab", cluster_id=cluster_id),
            objects=ClusterObjects(one_look_is_proof=one_look),
        ),
        claims=tuple(sorted(made, key=lambda each: each.unit)),
        unexposed=unexposed,
        follow=follow,
    )


def _render(
    placement: Placement,
    addresses: UnitAddresses,
    gateway: Gateway,
    settings: Settings,
) -> UnitFiles:
    header = wish_header(placement, settings.host(gateway), gateway.tls_port)
    weights = "".join(
        f"- {{route: {route.wish.name}, destination: '{each.key}', weight: {each.weight}}}\n"
        for route in placement.routes
        for each in route.wish.destinations
    )
    return UnitFiles(
        wish=f"{header}\n{weights}".encode(),
        endpoints=addresses_header(addresses).encode(),
    )


RENDER = Rendering(
    version=1,
    unit=_render,
    addresses=lambda addresses, gateway, settings: addresses_header(addresses).encode(),
    gateway_files=lambda gateway, settings, ports, current: (),
    unsupported=lambda wish, gateway: None,
)


def _blob(data: bytes) -> BlobId:
    return BlobId(hashlib.sha1(data).hexdigest())


@dataclass(slots=True)
class Bench:
    """A repository in memory with a clock."""

    settings: Settings = field(default_factory=settings)
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[CommitFact] = field(default_factory=list)
    blobs: dict[BlobId, bytes] = field(default_factory=dict)
    now: datetime = START
    render: Rendering = RENDER

    def plan(self, *observed: ClusterClaims, **inputs: object) -> Plan:
        """Plan against the present HEAD."""
        head = Head(
            commit=CommitId(str(len(self.commits))),
            files={
                path: File(blob=_blob(data), data=data)
                for path, data in self.files.items()
            },
        )
        base = Inputs(
            settings=self.settings,
            head=head,
            history=History(
                commits=tuple(reversed(self.commits)), read=self.blobs.__getitem__
            ),
            claims=observed,
            now=self.now,
        )
        return plan(replace(base, **inputs), self.render)  # type: ignore[arg-type]

    def apply(self, made: Plan) -> Plan:
        """Commit a plan as ours."""
        for draft in made.drafts:
            self.commit(
                draft.writes, author="wharfinger", ours=True, subject=draft.subject
            )
        return made

    def run(self, *observed: ClusterClaims, **inputs: object) -> Plan:
        """Plan and commit."""
        return self.apply(self.plan(*observed, **inputs))

    def person(
        self, changes: Mapping[str, bytes | None], subject: str = "By hand"
    ) -> str:
        """Commit as a person; returns the commit id."""
        writes = [FileWrite(path=path, data=data) for path, data in changes.items()]
        return self.commit(writes, author="Ada Lovelace", ours=False, subject=subject)

    def revert(self, back: int = 1, *, keep: Iterable[str] = ()) -> str:
        """Take back the last commits as one person's commit, but for the paths in `keep`."""
        changes: dict[str, bytes | None] = {}
        for commit in reversed(self.commits[-back:]):
            for change in commit.changes:
                if change.path not in set(keep):
                    changes[change.path] = (
                        self.blobs[change.old] if change.old else None
                    )
        return self.person(changes, subject="Take it back")

    def commit(
        self, writes: Iterable[FileWrite], *, author: str, ours: bool, subject: str
    ) -> str:
        """Commit anything; returns the commit id."""
        changes = []
        for write in writes:
            old = self.files.get(write.path)
            if old == write.data:
                continue
            changes.append(
                FileChange(
                    path=write.path,
                    old=_blob(old) if old is not None else None,
                    new=_blob(write.data) if write.data is not None else None,
                )
            )
            if write.data is None:
                del self.files[write.path]
            else:
                self.files[write.path] = write.data
                self.blobs[_blob(write.data)] = write.data
        made = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits.append(
            CommitFact(
                id=CommitId(made),
                time=self.now,
                author=author,
                subject=subject,
                ours=ours,
                renderer=1 if ours else 0,
                changes=tuple(changes),
            )
        )
        return made

    def wait(self, **how_long: float) -> None:
        """Let time pass."""
        self.now += timedelta(**how_long)


def ops(made: Plan) -> list[tuple[str, str | None, str | None]]:
    """(op, name, code) of every row."""
    return [(str(row.op), row.name, str(row.code)) for row in made.rows]


def summary(made: Plan) -> list[str]:
    """The ops of all rows, sorted."""
    return sorted(str(row.op) for row in made.rows)

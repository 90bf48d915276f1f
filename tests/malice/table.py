"""Malicious changes of an ingress repository: the table, and what they are made of.

Each entry is a real change that a person commits; the code is the rule that must find it.
The modules of this folder enter theirs when they are imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.codes import Code
from reconciler.model.units import UnitId
from tests.changes import TOMBSTONE, Branch

LEDGER = "ports/public/20010.yaml"
BILLING = "manifests/public/eu1/shop/vs-billing.yaml"
MQ = "manifests/public/eu1/shop/vs-mq.yaml"
GONE = f"ports/public/{TOMBSTONE}.yaml"
CLUSTER = "clusters/eu1.yaml"
MINE = UnitId(cluster="eu1", namespace="shop", name="mine")
ROLE = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: mine
  namespace: ingress
"""

Change = Callable[[Branch], object]
CHANGES: dict[str, tuple[Code, Change]] = {}


def change(code: Code) -> Callable[[Change], Change]:
    """Put a change into the table, under its own name."""

    def enter(made: Change) -> Change:
        name = made.__name__.replace("_", " ")
        assert name not in CHANGES
        CHANGES[name] = (code, made)
        return made

    return enter


def touch_ours(branch: Branch) -> None:
    """The harmless part of a change: a unit's bytes stay, a record gets an `accept`."""
    branch.write(CLUSTER, branch.read(CLUSTER) + "accept:\n  - id-new\n")


def take(branch: Branch, port: int) -> None:
    """A ledger file for `mine`, spelled as we would."""
    text = branch.read(LEDGER).replace("20010", str(port))
    branch.write(
        f"ports/public/{port}.yaml", text.replace("name: orders", "name: mine")
    )


def serve(branch: Branch, port: int, unit: UnitId = MINE, gateway: str = "") -> None:
    """A whole unit on a port, as our renderer writes it."""
    placement = branch.placement()
    wish = replace(placement.wish, unit=unit)
    (route,) = placement.routes
    branch.render(
        replace(
            placement,
            gateway=gateway or placement.gateway,
            wish=wish,
            routes=(replace(route, ports=(port,)),),
        )
    )

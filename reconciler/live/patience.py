"""What time alone may change after a pass (decides alone, does nothing).

Objects say by themselves that they changed, and so does the branch. A port leaves its
quarantine, a budget has room again, a drain or a hold ends without anybody's doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from reconciler.codes import Code
from reconciler.holds import parse_hold
from reconciler.model.clusters import ClusterView, Unknown
from reconciler.model.plans import Op, Row
from reconciler.model.repository import File
from reconciler.passes import PassResult
from reconciler.settings import under_review

# Said of a cluster as a whole where they name no unit: all of it waits for somebody else.
OF_CLUSTERS = frozenset({Code.DUPLICATE_CLUSTER, Code.LEDGER_CONTRADICTION})
# Refused or kept until a quarantine or an hour is over, or somebody else has left.
_PASSING = frozenset(
    {
        Code.PORT_TAKEN,
        Code.HOST_TAKEN,
        Code.QUOTA_EXCEEDED,
        Code.GATEWAY_FULL,
        Code.FLAPPING,
        Code.REWRITES_WITHHELD,
        Code.DELETIONS_WITHHELD,
        Code.TRANSFER_REFUSED,
        *OF_CLUSTERS,
    }
)


def waits(row: Row) -> bool:
    """Whether the next pass may say something else of this row although nothing changed.

    A missing object has an appointment of its own: the next look.
    """
    if row.code is Code.ABSENCE_UNCONFIRMED:
        return False
    return row.op is Op.WITHHOLD or row.code in _PASSING


def is_unannounced(result: PassResult) -> bool:
    """Whether something may change the next pass over everything that nobody announces.

    A request that people close is no commit, and a forge that failed does not call back.
    """
    reviewed = result.settings is not None and under_review(result.settings)
    return reviewed or bool(result.reviewed.failures)


def hold_ends(files: Mapping[str, File]) -> Iterator[tuple[str, datetime]]:
    """When holds in files end, with their cluster (or `all`)."""
    for path, file in files.items():
        if path.startswith("holds/"):
            until = parse_hold(path, file.data).until
            if until is not None:
                yield path.split("/")[1].removesuffix(".yaml"), until


def graces(
    views: Iterable[ClusterView], grace: timedelta, now: datetime
) -> Iterator[tuple[str, datetime]]:
    """When nodes of which cluster will have been unready for the grace: addresses leave them."""
    nodes = (
        (view.entry.name, node)
        for view in views
        if not isinstance(view.objects, Unknown)
        for node in view.objects.nodes
    )
    for cluster, node in nodes:
        if not node.ready and node.ready_since is not None:
            at = node.ready_since + grace
            if at > now:
                yield cluster, at

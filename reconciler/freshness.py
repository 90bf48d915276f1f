"""Which clusters another process may know better than we do; pure.

What is on the branch was decided by somebody who looked at clusters. Whoever plans with an older
look would undo it: a route that was made meanwhile is missing in what we saw. So before planning
on commits that another reconciler made since our look, its clusters are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from reconciler.model.repository import CommitFact, CommitId


def clusters_of_others(
    commits: Iterable[CommitFact], seen: CommitId, gateways: frozenset[str] | None
) -> frozenset[str]:
    """Clusters that attributed commits after `seen` speak of; `commits` are newest first.

    `gateways` limits it to what is served there, `None` means all. A commit of a person says
    nothing of what a cluster has.
    """
    newer = takewhile(lambda commit: commit.id != seen, commits)
    places = (
        change.path.split("/")
        for commit in newer
        if commit.ours
        for change in commit.changes
        if change.path.startswith("manifests/") and change.path.count("/") > 2
    )
    return frozenset(
        cluster
        for _, gateway, cluster, *_ in places
        if gateways is None or gateway in gateways
    )

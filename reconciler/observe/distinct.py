"""Inventory entries that claim one name or one id: nobody is believed; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from reconciler.model.clusters import ClusterView, Unknown, Why


def distinct(views: Sequence[ClusterView]) -> list[ClusterView]:
    """One view a name. Names or ids that are claimed twice are unknown for all who claim them.

    Who was there first is not known here but in Git, so nobody's objects are believed: what is
    served stays as it is for all of them until the inventories agree again.
    """
    names = Counter(view.entry.name for view in views)
    ids = Counter(view.entry.cluster_id for view in views if view.entry.cluster_id)
    found: dict[str, ClusterView] = {}
    for view in views:
        entry = view.entry
        if names[entry.name] > 1:
            message = f"several inventory entries are called {entry.name}"
            view = replace(view, objects=Unknown(why=Why.DUPLICATE, message=message))
        elif ids[entry.cluster_id] > 1:
            message = f"several clusters have the id {entry.cluster_id}"
            view = replace(view, objects=Unknown(why=Why.DUPLICATE, message=message))
        found[entry.name] = view
    return list(found.values())

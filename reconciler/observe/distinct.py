"""Inventory entries that claim one name or one id: whom Git knows is believed; pure.

    entries of one name                             | believed
    ------------------------------------------------+--------------------------------------------
    people accepted some by an id                   | these; the others are told of
    Git knows the name, some agree with that        | these; the others are told of
    Git knows the name, no UID is read              | the first, who is then unsure
    Git does not know it, some are not listed yet   | nobody yet
    none is Git's, different UIDs                   | nobody
    none is Git's, one UID is read                  | those that have it
    Git does not know it, no UID is read            | nobody, unless their API servers are the same
    of those believed one says deleted, one is alive| nobody: nothing is removed

    names of one id                                 | believed
    ------------------------------------------------+--------------------------------------------
    Git knows the id by one of the names            | that name; the others are unknown
    Git does not know the id by any of them         | nobody

What is believed of several is the entry of the inventory that Git knows the cluster from, else of
the first one in the order of the settings: it gives the API servers, also while only another one
can read the objects. An entry that cannot be compared with Git never gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.model.clusters import (
    ClusterEntry,
    ClusterState,
    ClusterView,
    Unknown,
    Why,
)
from reconciler.model.pins import NO_PINS, Pin, Pins
from reconciler.observe.inventories.found import Member

_NOTHING = Unknown(why=Why.DUPLICATE, message="")


def distinct(views: Sequence[ClusterView], pins: Pins = NO_PINS) -> list[ClusterView]:
    """One view a name, none of which has the id of another. `views` are in the order of inventories."""
    names: dict[str, list[ClusterView]] = {}
    for view in views:
        names.setdefault(view.entry.name, []).append(view)
    found = {
        name: each[0] if len(each) == 1 else _one(name, each, pins.get(name))
        for name, each in names.items()
    }
    ids: dict[str, list[str]] = {}
    for view in found.values():
        ids.setdefault(view.entry.cluster_id, []).append(view.entry.name)
    owners = {
        cluster_id: _owner(cluster_id, claiming, pins)
        for cluster_id, claiming in ids.items()
        if cluster_id and len(claiming) > 1
    }
    return [
        _impostor(view, owners[view.entry.cluster_id], pins.get(name))
        if owners.get(view.entry.cluster_id, name) != name
        else view
        for name, view in found.items()
    ]


def _owner(cluster_id: str, names: Iterable[str], pins: Pins) -> str:
    """The name by which Git knows an id; empty for none, or several."""
    known = [
        name
        for name in names
        if (pin := pins.get(name)) is not None
        and cluster_id in (pin.cluster_id, pin.uid)
    ]
    return known[0] if len(known) == 1 else ""


def _impostor(view: ClusterView, owner: str, pin: Pin | None) -> ClusterView:
    entry = view.entry
    if not owner:
        return _nobody(view, f"several clusters have the id {entry.cluster_id}")
    taken = (
        f"its id {entry.cluster_id} is the id of cluster {owner}, which is still there"
    )
    if pin is not None and pin.cluster_id:
        return _nobody(view, f"{taken}: its address was swapped, or its id stolen")
    return _nobody(
        view,
        f"{taken}: when both are one cluster, map it with `names: {{{entry.name}: {owner}}}` of "
        f"inventory {entry.inventory}; otherwise one of the two is an impostor",
    )


def _one(name: str, views: Sequence[ClusterView], pin: Pin | None) -> ClusterView:
    """What is believed of a name that several entries have."""
    if pin is None:
        waiting = (each for each in views if _is_unknown(each, Why.NOT_YET))
        for view in waiting:
            return view
    believed = _believed(views, pin)
    if not believed:
        who = _list(dict.fromkeys(view.entry.inventory for view in views))
        return _nobody(views[0], f"several inventory entries are called {name} ({who})")
    gone = [view for view in believed if _is_gone(view)]
    alive = [view for view in believed if not _is_gone(view)]
    if gone and alive:
        one, other = (_list(v.entry.inventory for v in each) for each in (gone, alive))
        message = (
            f"inventory {one} says that it was deleted, inventory {other} that it is there: "
            "nothing is removed until they agree"
        )
        return _unknown(alive[0], Why.DISAGREE, message)
    others = [view for view in views if _contradicts(view, pin, believed)]
    lead = _lead(believed, pin)
    also = (view.entry.inventory for view in views if view not in (lead, *others))
    entry = replace(
        lead.entry,
        also=tuple(dict.fromkeys(also)),
        against=(*lead.entry.against, *map(_told, others)),
    )
    return _joined(entry, (lead, *believed))


def _lead(believed: Sequence[ClusterView], pin: Pin | None) -> ClusterView:
    """Whose entry counts: the same one as long as it can, so that nothing goes back and forth."""
    where = pin.inventory if pin is not None else ""
    known = (view for view in believed if view.entry.inventory == where)
    return next(known, believed[0])


def _believed(views: Sequence[ClusterView], pin: Pin | None) -> list[ClusterView]:
    """Those of one name that may be one cluster; none where nobody can say which."""
    gone = [view for view in views if _is_gone(view) and not view.entry.cluster_id]
    if pin is not None:
        accepted = [view for view in views if _is_accepted(view.entry, pin)]
        agreeing = accepted or [view for view in views if _agrees(view.entry, pin)]
        if agreeing:
            gone = [each for each in gone if not _is_of_old(each.entry, pin)]
            return [view for view in views if view in (*agreeing, *gone)]
    ids = {view.entry.cluster_id for view in views if view.entry.cluster_id}
    if len(ids) > 1:
        return []
    if ids:
        return [view for view in views if view.entry.cluster_id or view in gone]
    if (pin is not None and pin.cluster_id) or _is_one(views):
        return list(views)
    return []


def _agrees(entry: ClusterEntry, pin: Pin) -> bool:
    """Whether an entry is of the cluster that Git knows."""
    if entry.cluster_id:
        if entry.cluster_id in (pin.cluster_id, pin.uid):
            return bool(pin.cluster_id)
        return not pin.uid and _is_of_inventory(entry, pin)
    return _is_of_inventory(entry, pin)


def _is_of_inventory(entry: ClusterEntry, pin: Pin) -> bool:
    is_same = (
        entry.inventory == pin.inventory and entry.inventory_id == pin.inventory_id
    )
    return bool(entry.inventory_id) and is_same


def _is_accepted(entry: ClusterEntry, pin: Pin) -> bool:
    return any(each in (entry.cluster_id, entry.inventory_id) for each in pin.accept)


def _is_one(views: Sequence[ClusterView]) -> bool:
    """Whether entries without ids to compare are of one cluster: by their API servers."""
    if all(view.entry.state is ClusterState.PROVISIONING for view in views):
        return True
    first = set(views[0].entry.api_servers)
    return all(first.intersection(view.entry.api_servers) for view in views)


def _is_of_old(entry: ClusterEntry, pin: Pin) -> bool:
    """Whether the inventory that Git knows a cluster from speaks of another one of its name."""
    both = entry.inventory_id and pin.inventory_id and entry.inventory == pin.inventory
    return bool(both) and entry.inventory_id != pin.inventory_id


def _is_gone(view: ClusterView) -> bool:
    return view.entry.state is ClusterState.DELETED


def _is_unknown(view: ClusterView, why: Why) -> bool:
    return isinstance(view.objects, Unknown) and view.objects.why is why


def _contradicts(
    view: ClusterView, pin: Pin | None, believed: Sequence[ClusterView]
) -> bool:
    """Whether a view is of another cluster than those believed, and not only silent."""
    if view in believed:
        return False
    if _is_unknown(view, Why.OTHER_CA) or _is_unknown(view, Why.DUPLICATE):
        return True
    ids = {each.entry.cluster_id for each in believed}
    ids |= {pin.cluster_id, pin.uid} if pin is not None else set()
    return bool(view.entry.cluster_id) and view.entry.cluster_id not in ids


def _joined(entry: ClusterEntry, believed: Sequence[ClusterView]) -> ClusterView:
    """An entry with the objects of the first that could read them."""
    readable = (each for each in believed if not isinstance(each.objects, Unknown))
    seen = next(readable, believed[0])
    names = entry.certificate_names
    return replace(
        seen,
        entry=replace(
            entry,
            cluster_id=entry.cluster_id or seen.entry.cluster_id,
            certificate_names=names or seen.entry.certificate_names,
        ),
    )


def _nobody(view: ClusterView, message: str) -> ClusterView:
    return _unknown(view, Why.DUPLICATE, message)


def _unknown(view: ClusterView, why: Why, message: str) -> ClusterView:
    return replace(view, objects=Unknown(why=why, message=message))


def _told(view: ClusterView) -> str:
    entry, unknown = view.entry, view.objects
    where = f"inventory {entry.inventory}{f', {entry.origin}' if entry.origin else ''}"
    what = f"its id is {entry.cluster_id}"
    if isinstance(unknown, Unknown) and not entry.cluster_id:
        what = unknown.message
    return f"another entry of its name is not believed ({where}): {what}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def settled(members: Sequence[Member], pins: Pins) -> list[Member]:
    """One member a name of those that one inventory found, before any of them is asked anything.

    Of several that have one name the one that Git knows by its inventory's id is believed, and
    nothing is sent to the others; when Git knows none, nobody is.
    """
    names: dict[str, list[Member]] = {}
    for each in members:
        names.setdefault(each.entry.name, []).append(each)
    return [
        each[0] if len(each) == 1 else _chosen(name, each, pins.get(name))
        for name, each in names.items()
    ]


def _chosen(name: str, members: Sequence[Member], pin: Pin | None) -> Member:
    origins = [each.entry.origin or each.entry.inventory_id for each in members]
    known = [
        each
        for each in members
        if pin is not None and _is_of_inventory(each.entry, pin)
    ]
    if len(known) != 1:
        where = f" ({_list(sorted(filter(None, origins)))})" if any(origins) else ""
        first = members[0].entry
        bare = ClusterEntry(name=name, inventory=first.inventory)
        view = ClusterView(entry=bare, objects=_NOTHING)
        return _nobody(view, f"several inventory entries are called {name}{where}")
    believed = known[0]
    against = tuple(
        f"another entry of its name is not believed (inventory {each.entry.inventory}, "
        f"{each.entry.origin or each.entry.inventory_id}): Git does not know it"
        for each in members
        if each is not believed
    )
    return replace(believed, entry=replace(believed.entry, against=against))

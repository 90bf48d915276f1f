"""What must be true of the whole history of an ingress repository, however many wrote it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from reconciler.ledger_file import Entry, parse_entry
from reconciler.model.units import PortState
from tests.ingress import Ingress


def ports_are_sound(place: Ingress) -> None:
    """In no commit has an owner two active ports; no port changes hands; history is one line."""
    log = place.git("log", "--reverse", "--format=%H", "main", at=place.remote).split()
    ledgers = [ledger_at(place, commit) for commit in log]
    for ports in ledgers:
        active = Counter(
            each.owner for each in ports.values() if each.state is PortState.ACTIVE
        )
        assert not active or max(active.values()) == 1
    for before, after in pairwise(ledgers):
        for path, entry in before.items():
            assert path in after, f"{path} is gone"
            assert after[path].owner == entry.owner
    assert place.git("log", "--merges", "--format=%H", "main", at=place.remote) == ""


def times_made(place: Ingress) -> Counter[str]:
    """How often each wish file came to the branch."""
    args = ("log", "--diff-filter=A", "--name-only", "--format=", "main")
    added = place.git(*args, "--", "manifests", at=place.remote).split()
    return Counter(path for path in added if ".endpoints." not in path)


def ledger_at(place: Ingress, commit: str) -> dict[str, Entry]:
    """The ledger of ports at a commit, by path."""
    listed = place.git("ls-tree", "-r", "--name-only", commit, "ports", at=place.remote)
    return {
        path: parse_entry(
            path, place.git("show", f"{commit}:{path}", at=place.remote).encode()
        )
        for path in listed.split()
    }

"""What `history`, `who-had` and `revert` share: the names that a person may ask for (I/O)."""

from __future__ import annotations

from datetime import datetime

from reconciler.audit.rows import Account
from reconciler.errors import Usage
from reconciler.repo.paths import Paths
from reconciler.settings_file import parse

SETTINGS = "wharfinger.yaml"


def known_gateways(paths: Paths) -> tuple[str, ...]:
    """Gateways of the settings and those that have or had ports, hosts or manifests."""
    found: dict[str, None] = {}
    data = paths.file(SETTINGS)
    try:
        settings = parse(data) if data is not None else None
    except Usage:
        settings = None  # the folders still name them
    for gateway in settings.gateways if settings else ():
        found[gateway.name] = None
    for root in ("ports", "hosts", "manifests"):
        found.update(dict.fromkeys(paths.names(root)))
    return tuple(found)


def known_clusters(paths: Paths) -> tuple[str, ...]:
    """Clusters that Git knows."""
    return tuple(name.removesuffix(".yaml") for name in paths.names("clusters"))


def stamp(moment: datetime) -> str:
    """A moment as people read it, UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def review(account: Account) -> str:
    """Who looked at a commit, as its message says."""
    found = [", ".join(account.reviewers)] if account.reviewers else []
    if account.merged_by:
        found.append(f"merged by {account.merged_by}")
    return "; ".join(found)

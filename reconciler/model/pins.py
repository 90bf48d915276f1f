"""What Git has pinned of clusters, as observing needs it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One cluster as Git knows it.

    `cluster_id` is empty where people accepted a cluster that no pass has taken yet. `uid` is the
    kube-system UID where it is known, `inventory_id` what `inventory` calls it. `ca_bundle`
    is PEM. `trust` is what vouches for its API server beside that (`sha256:...`, `host:NAME`),
    `accept` what people accept beside all of it.
    """

    cluster_id: str
    inventory: str = ""
    uid: str = ""
    inventory_id: str = ""
    ca_bundle: str = ""
    trust: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()

    @property
    def server_host(self) -> str:
        """The host name that is pinned of a server without a CA of its own, empty for others."""
        hosts = (each for each in self.trust if each.startswith("host:"))
        return next(hosts, "").removeprefix("host:")


Pins = Mapping[str, Pin]
"""By the cluster's name."""

NO_PINS: Pins = {}

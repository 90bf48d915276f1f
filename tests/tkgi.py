"""A TKGI (PKS) API with its UAA, as documented: clusters, what was last done to them, binds.

`GET /v1/clusters` is a bare array and needs `pks.clusters.admin.read`, `.admin` or `.manage`;
`POST /v1/clusters/<name>/binds` gives a kubeconfig and needs `.admin` or `.manage`. What a real
one does with machines is played by `create`, `resize`, `upgrade` and `delete` and their `done`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stack.certificates import Authority
from tests.tlsweb import Asked, Said, web
from tests.uaa import CLIENT, SECRET, Uaa

READ, ADMIN, MANAGE = (
    "pks.clusters.admin.read",
    "pks.clusters.admin",
    "pks.clusters.manage",
)
_BINDS = re.compile(r"/v1/clusters/([^/]+)/binds")


@dataclass(slots=True, kw_only=True)
class Tkgi:
    """The API: its clusters by name, what was asked, and what goes wrong next."""

    uaa: Uaa = field(default_factory=lambda: Uaa(scopes=(READ,)))
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    kubeconfigs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    fails: list[Said] = field(default_factory=list)
    url: str = ""

    def create(self, name: str, *, port: int = 8443) -> dict[str, Any]:
        """A cluster whose machines are being made: no masters yet."""
        self.clusters[name] = {
            "name": name,
            "plan_name": "small",
            "last_action": "CREATE",
            "last_action_state": "in progress",
            "last_action_description": "Creating cluster",
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}-{len(self.asked)}")),
            "kubernetes_master_ips": [],
            "network_profile_name": "",
            "compute_profile_name": "",
            "pks_version": "1.19.0-build.1",
            "k8s_version": "1.28.4",
            "parameters": {
                "kubernetes_master_host": f"{name}.pks.example.com",
                "kubernetes_master_port": port,
                "kubernetes_worker_instances": 3,
                "worker_haproxy_ip_addresses": None,
                "authorization_mode": None,
                "nsxt_network_profile": None,
            },
        }
        return self.clusters[name]

    def begin(self, name: str, action: str) -> None:
        """UPDATE, UPGRADE or DELETE begins."""
        self.clusters[name] |= {
            "last_action": action,
            "last_action_state": "in progress",
        }

    def done(self, name: str, *masters: str, state: str = "succeeded") -> None:
        """The last action ended; with these masters, when some are named."""
        self.clusters[name]["last_action_state"] = state
        if masters:
            self.clusters[name]["kubernetes_master_ips"] = list(masters)

    def answer(self, asked: Asked) -> Said:
        """What the API says."""
        self.asked.append(asked)
        if self.fails:
            return self.fails.pop(0)
        bound = _BINDS.fullmatch(asked.path)
        if asked.method == "POST" and bound:
            return self._bind(asked, bound[1])
        if asked.method != "GET" or asked.path != "/v1/clusters":
            return Said(status=404, body={"error": "Not Found", "path": asked.path})
        refused = self.uaa.refusal(asked, READ, ADMIN, MANAGE)
        return refused or Said(body=list(self.clusters.values()))

    def _bind(self, asked: Asked, name: str) -> Said:
        refused = self.uaa.refusal(asked, ADMIN, MANAGE)
        if refused is not None:
            return refused
        if name not in self.kubeconfigs:
            return Said(status=404, body={"message": f"cluster {name} not found"})
        return Said(status=201, body=self.kubeconfigs[name])


@contextmanager
def serving(tkgi: Tkgi, folder: Path) -> Iterator[Path]:
    """Both servers, on ports of their own; the folder of credentials that leads to them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "authority"
    made.mkdir()
    authority = Authority(made, "tkgi")
    issued = authority.server("tkgi", ("127.0.0.1",))
    with web(issued, tkgi.uaa.answer) as uaa, web(issued, tkgi.answer) as url:
        tkgi.url = url
        mounted = folder / "credentials" / "pks"
        mounted.mkdir(parents=True)
        files = {"url": url, "uaa": uaa, "client": CLIENT, "secret": SECRET}
        for name, text in files.items():
            (mounted / name).write_text(f"{text}\n")
        (mounted / "ca.crt").write_text(authority.cert.read_text())
        yield mounted

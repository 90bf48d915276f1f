"""`clusters/<cluster>.yaml`: what is known of a cluster, and whom people accepted; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from reconciler import yamlio
from reconciler.ledger import Touch
from reconciler.model.repository import File, ReadBlob
from reconciler.names import cluster_path
from reconciler.trust import certificates as certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRecord:
    """How a cluster's API is exposed; decided once. `server_name` is for `tls-server-name`."""

    mode: str
    host: str
    port: int
    gateway: str
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecord:
    """What Git knows of a cluster. `accept` are ids that people accept as its successor.

    `cluster_id` is empty where people accepted a cluster that no pass has taken yet. It owns the
    ports, and it is the kube-system UID where that could be read at first, else the inventory's own
    id; then `uid` is the UID that was read later. `inventory_id` is what `inventory` calls it now.
    `trust` is what vouches for its API server where `ca_bundle` does not.
    """

    cluster: str
    cluster_id: str
    inventory: str
    inventory_id: str = ""
    uid: str = ""
    previous_ids: tuple[str, ...] = ()
    api: ApiRecord | None = None
    ca_bundle: str = ""
    deleted: bool = False
    accept: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()

    @property
    def known_uid(self) -> str:
        """The kube-system UID; empty while only its inventory's id is known."""
        if self.uid or self.cluster_id != self.inventory_id:
            return self.uid or self.cluster_id
        return ""


def format_record(record: ClusterRecord) -> bytes:
    """The canonical bytes of a cluster's file; people's `accept` is kept."""
    if not record.cluster_id:
        awaited = {"cluster": record.cluster, "accept": list(record.accept)}
        return yamlio.dump(awaited).encode()
    body: dict[str, object] = {
        "cluster": record.cluster,
        "id": record.cluster_id,
        "inventory": record.inventory,
    }
    if record.inventory_id:
        body["inventoryId"] = record.inventory_id
    if record.uid:
        body["uid"] = record.uid
    if record.previous_ids:
        body["previousIds"] = list(record.previous_ids)
    if record.api is not None:
        body["api"] = {
            "mode": record.api.mode,
            "host": record.api.host,
            "port": record.api.port,
            "gateway": record.api.gateway,
            **(
                {"serverName": record.api.server_name} if record.api.server_name else {}
            ),
        }
    if record.ca_bundle:
        body["caBundle"] = record.ca_bundle
    if record.trust:
        body["trust"] = list(record.trust)
    if record.deleted:
        body["deleted"] = True
    if record.accept:
        body["accept"] = list(record.accept)
    return yamlio.dump(body).encode()


@lru_cache(maxsize=4096)  # who observes and who plans read the same bytes
def parse_record(cluster: str, data: bytes) -> ClusterRecord | None:
    """The record in a file, `None` where it is not one of this cluster.

    Without an `id` it is one only where people accept ids of a cluster that is to come.
    """
    try:
        body = yamlio.load(data)
    except yamlio.Unreadable:
        return None
    if not isinstance(body, dict) or body.get("cluster") != cluster:
        return None
    accept = _texts(body.get("accept"))
    if "id" not in body and accept:
        return ClusterRecord(
            cluster=cluster, cluster_id="", inventory="", accept=accept
        )
    if not isinstance(body.get("id"), str) or not body["id"]:
        return None
    return ClusterRecord(
        cluster=cluster,
        cluster_id=str(body["id"]),
        inventory=str(body.get("inventory") or ""),
        inventory_id=str(body.get("inventoryId") or ""),
        uid=str(body.get("uid") or ""),
        previous_ids=_texts(body.get("previousIds")),
        api=_api(body.get("api")),
        ca_bundle=str(body.get("caBundle") or ""),
        deleted=body.get("deleted") is True,
        accept=accept,
        trust=_texts(body.get("trust")),
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def _api(value: object) -> ApiRecord | None:
    if not isinstance(value, dict) or not isinstance(value.get("port"), int):
        return None
    return ApiRecord(
        mode=str(value.get("mode") or ""),
        host=str(value.get("host") or ""),
        port=int(value["port"]),
        gateway=str(value.get("gateway") or ""),
        server_name=str(value.get("serverName") or ""),
    )


def read_record(
    cluster: str,
    files: Mapping[str, File],
    touched: Mapping[str, Sequence[Touch]],
    read: ReadBlob,
) -> ClusterRecord | None:
    """What counts of a cluster's file: HEAD, but identity only as we last wrote it.

    A person may add to `accept`, and say that this very cluster is gone (`deleted`); a removed or
    broken file, or another id in it, must not let a recreated cluster slip in under the name.
    """
    path = cluster_path(cluster)
    file = files.get(path)
    current = parse_record(cluster, file.data) if file is not None else None
    trail = touched.get(path, ())
    if trail and trail[0].commit.ours:
        return current
    ours = next((touch.change.new for touch in trail if touch.commit.ours), None)
    written = parse_record(cluster, read(ours)) if ours is not None else None
    if written is None or current is None:
        return written or current
    said = current.deleted and current.cluster_id == written.cluster_id
    return replace(written, deleted=written.deleted or said, accept=current.accept)

"""Asks a running Envoy what it took (does I/O): its admin interface, by TCP or UNIX socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from reconciler.errors import Unavailable

SECONDS = 5.0
_FAILURES = (OSError, http.client.HTTPException)


class Admin:
    """The admin interface at `127.0.0.1:9901`, or at the path of a UNIX socket."""

    def __init__(self, where: str) -> None:
        self.where = where

    def stats(self, prefix: str) -> Mapping[str, str]:
        """Statistics whose names start so. Raises Unavailable."""
        lines = self._get(f"/stats?filter=^{prefix}").decode().splitlines()
        return dict(line.split(": ", 1) for line in lines if ": " in line)

    def listener_faults(self) -> Mapping[str, str]:
        """Why listeners were refused, by their names. Raises Unavailable."""
        body: Any = json.loads(self._get("/config_dump?resource=dynamic_listeners"))
        faults: dict[str, str] = {}
        for each in body.get("configs", []):
            if error := each.get("error_state"):
                # One that never was accepted has its name only in what was refused.
                failed = error.get("failed_configuration", {})
                name = str(each.get("name") or failed.get("name"))
                faults[name] = str(error.get("details", "refused"))
        return faults

    def _get(self, path: str) -> bytes:
        connection = self._connection()
        try:
            connection.request("GET", path, headers={"Host": "envoy"})
            answer = connection.getresponse()
            body = answer.read()
        except _FAILURES as exc:
            what = f"Envoy's admin interface does not answer: {exc}"
            raise Unavailable(what, where=self.where) from exc
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            what = f"Envoy's admin interface answers {answer.status} to {path}"
            raise Unavailable(what, where=self.where)
        return body

    def _connection(self) -> http.client.HTTPConnection:
        if "/" in self.where:
            return _UnixConnection(self.where)
        host, _, port = self.where.rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=SECONDS)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def address(where: str) -> dict[str, Any]:
    """The same place as Envoy's bootstrap names it; pure."""
    if "/" in where:
        return {"pipe": {"path": where, "mode": 0o600}}
    host, _, port = where.rpartition(":")
    socket_address = {"address": host.strip("[]"), "port_value": int(port)}
    return {"socket_address": socket_address}

"""A list of ports that people keep: CSV with a head line, or a YAML list of mappings; pure."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping

from reconciler import yamlio
from reconciler.adopt import Adoption, Refusal
from reconciler.claim.routes import ONLY_ROUTE
from reconciler.model.units import UnitId
from reconciler.names import is_cluster_name, is_dns_name, is_label

COLUMNS = ("port", "cluster", "namespace", "name", "route")
_UNIT = COLUMNS[1:4]
_ROUTE_LENGTH = 64


def read_list(data: bytes, file: str) -> tuple[list[Adoption], list[Refusal]]:
    """The ports of a list, and what of it cannot be understood. `file` is for messages."""
    adoptions: list[Adoption] = []
    refusals: list[Refusal] = []
    try:
        text = data.decode("utf-8-sig")
        for where, row in _rows(text, file):
            found = _adoption(row, where)
            if isinstance(found, Refusal):
                refusals.append(found)
            else:
                adoptions.append(found)
    except UnicodeDecodeError:
        refusals.append(Refusal(where=file, what="it is no text in UTF-8"))
    except yamlio.Unreadable as exc:
        where = f"{file}:{exc.line}:{exc.column}"
        refusals.append(Refusal(where=where, what=exc.what))
    except csv.Error as exc:
        refusals.append(Refusal(where=file, what=f"it is no CSV: {exc}"))
    return adoptions, refusals


def _rows(text: str, file: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if file.endswith((".yaml", ".yml", ".json")):
        yield from _documents(text, file)
        return
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    numbers = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if not line.startswith("#")
    ]
    reader = csv.DictReader(lines, restkey="(more)")
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    for row in reader:
        number = numbers[min(reader.line_num, len(numbers)) - 1]
        said = {key: (value or "") for key, value in row.items()}
        yield f"{file}:{number}", {k: _stripped(v) for k, v in said.items()}


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _documents(text: str, file: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    body = yamlio.load(text.encode())
    if not isinstance(body, list):
        raise yamlio.Unreadable("expected a list of {port, cluster, ...}", 1, 1)
    for number, row in enumerate(body, 1):
        yield f"{file}: item {number}", row if isinstance(row, Mapping) else {}


def _adoption(row: Mapping[str, object], where: str) -> Adoption | Refusal:
    unknown = sorted(set(row) - set(COLUMNS))
    if unknown:
        what = f"unknown column {unknown[0][:40]!a}; there are {', '.join(COLUMNS)}"
        return Refusal(where=where, what=what)
    port = _number(row.get("port"))
    if not 0 < port < 65536:
        return Refusal(where=where, what="port: expected a number from 1 to 65535")
    cluster, namespace, name = (str(row.get(key) or "") for key in _UNIT)
    if not cluster and not namespace and not name:
        return Adoption(port=port, where=where)
    if not (is_cluster_name(cluster) and is_label(namespace) and is_dns_name(name)):
        what = (
            "expected cluster, namespace and name of a VirtualService, or none of them"
        )
        return Refusal(where=where, what=what)
    route = str(row.get("route") or ONLY_ROUTE)
    if len(route) > _ROUTE_LENGTH or not (route == ONLY_ROUTE or route.isdecimal()):
        what = f"route: expected a port number, or {ONLY_ROUTE} for an only route"
        return Refusal(where=where, what=what)
    unit = UnitId(cluster=cluster, namespace=namespace, name=name)
    return Adoption(port=port, unit=unit, route=route, where=where)


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal()
    return int(str(value)) if is_number and len(str(value)) <= 5 else 0

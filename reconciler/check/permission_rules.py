"""What a change may newly use: ports, hosts, gateways and addresses of its tenants; pure.

Only what the change brings is judged: what the branch has already, settings may have stopped
permitting since, and then a pass removes it as a guarded deletion.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.check.findings import Finding, finding
from reconciler.check.ledger_rules import LEDGER, read_entry
from reconciler.check.subject import Review, Subject
from reconciler.codes import Code
from reconciler.headers import parse_addresses, parse_wish_header
from reconciler.ledger_file import Entry
from reconciler.model.repository import File
from reconciler.model.units import Address, UnitAddresses, UnitId
from reconciler.ports import contains, never_allocatable
from reconciler.settings import Gateway, Settings, Tenant
from reconciler.tenants import (
    address_refusal,
    api_server_refusal,
    gateway_permitted,
    host_refusal,
)


def permitted(subject: Subject, review: Review) -> Iterator[Finding]:
    """Findings of files that the change sets."""
    settings = subject.settings
    if settings is None:
        return
    before = review.change.before
    for path, file in subject.files.items():
        old = before.get(path)
        if old is not None and old.blob == file.blob:
            continue
        if path.startswith(LEDGER):
            yield from _entry(path, file, old, settings)
        elif path.startswith("manifests/") and path.endswith(".endpoints.yaml"):
            yield from _addresses(path, file, old, settings)
        elif path.startswith("manifests/") and path.count("/") > 2 and old is None:
            yield from _gateway(path, file, settings)


def _entry(
    path: str, file: File, old: File | None, settings: Settings
) -> Iterator[Finding]:
    entry, before = read_entry(path, file), read_entry(path, old)
    if entry is None or not entry.live or (before is not None and before.live):
        return
    gateway = settings.gateway(entry.gateway)
    if gateway is None or entry.owner is None:
        return
    if isinstance(entry.key, int):
        fault = _port(entry.key, gateway)
        code = Code.PORT_NOT_ALLOCATABLE
    else:
        fault = _host(entry, entry.key, settings)
        code = Code.HOST_NOT_PERMITTED
    if fault:
        yield finding(code, path, fault)


def _port(port: int, gateway: Gateway) -> str:
    if port in never_allocatable(gateway.tls_port):
        return f"port {port} is one that the proxies need"
    if not contains(gateway.ports.range, port):
        return f"port {port} is not in the range of gateway {gateway.name}"
    if contains(gateway.ports.exclude, port):
        return f"port {port} is excluded on gateway {gateway.name}"
    return ""


def _host(entry: Entry, host: str, settings: Settings) -> str:
    if entry.owner is None:
        return ""
    unit = entry.owner.unit
    if unit.is_api:
        right = settings.api_host(unit.cluster)
        return "" if host == right else f"the API of {unit.cluster} is at {right}"
    tenant = settings.tenant(unit.cluster)
    if tenant is None:
        return f"no tenants entry matches cluster {unit.cluster}"
    return host_refusal(settings, tenant, host) or ""


def _gateway(path: str, file: File, settings: Settings) -> Iterator[Finding]:
    header = parse_wish_header(file.data)
    if header is None or header.unit.is_api:
        return
    tenant = settings.tenant(header.unit.cluster)
    name = path.split("/")[1]
    if tenant is None or not gateway_permitted(tenant, name):
        what = f"cluster {header.unit.cluster} may not use gateway {name}"
        yield finding(Code.GATEWAY_NOT_PERMITTED, path, what)


def _addresses(
    path: str, file: File, old: File | None, settings: Settings
) -> Iterator[Finding]:
    addresses = parse_addresses(file.data)
    if addresses is None:
        return
    before = parse_addresses(old.data) if old is not None else None
    known = {address for _, address in _lines(before)} if before is not None else set()
    tenant = settings.tenant(addresses.unit.cluster)
    for line, address in _lines(addresses):
        fault = _refusal(addresses.unit, tenant, address)
        if fault and address not in known:
            what = f"{address}: {fault}"
            yield finding(Code.ADDRESS_NOT_PERMITTED, path, what, (line, 1))


def _lines(addresses: UnitAddresses) -> Iterator[tuple[int, Address]]:
    """Every address with the line of the head that names it."""
    located = [each for route in addresses.routes for each in route.located]
    for line, each in enumerate(located, 2):
        for address in each.addresses:
            yield line, address


def _refusal(unit: UnitId, tenant: Tenant | None, address: Address) -> str | None:
    if unit.is_api:
        return api_server_refusal(tenant, address.host, address.is_ip)
    if tenant is None:
        return f"no tenants entry matches cluster {unit.cluster}"
    return address_refusal(tenant, address.host, address.is_ip)

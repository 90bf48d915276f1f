"""Rendered = fresh render: unit files are made again from their own heads and compared; pure.

What an attributed commit once wrote at its path is believed as it is: a revert brings back what
an older version rendered, or what older settings asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.check.findings import Finding, finding
from reconciler.check.manifest_rules import UnitAt
from reconciler.check.subject import Subject
from reconciler.codes import Code
from reconciler.model.units import Placement
from reconciler.render import render_addresses, render_wish, unsupported
from reconciler.settings import Gateway, Settings
from reconciler.wishes import MAX_WEIGHT, digest_of

At = tuple[Gateway, Settings]


def rendered(
    subject: Subject, units: Iterable[UnitAt]
) -> tuple[list[Finding], frozenset[str]]:
    """Findings of both files of every unit whose gateway is known, and the paths that are fresh.

    What is fresh holds the renderer's own objects, so nobody needs to look into it again.
    """
    findings: list[Finding] = []
    fresh: set[str] = set()
    settings = subject.settings
    for unit in units if settings is not None else ():
        gateway = settings.gateway(unit.gateway) if settings is not None else None
        if settings is None or gateway is None:
            continue
        at = (gateway, settings)
        judged = [(unit.path, unit.file, list(_wish(unit, at)))]
        path = unit.addresses_path
        file = subject.files.get(path)
        if file is not None and unit.addresses is not None:  # else it is said already
            judged.append((path, file, list(_addresses(path, file.data, unit, at))))
        for path, file, found in judged:
            if not found:
                fresh.add(path)
            elif (path, file.blob) not in subject.believed:
                findings += found
    return findings, frozenset(fresh)


def _wish(unit: UnitAt, at: At) -> Iterator[Finding]:
    placement = unit.placement
    if placement is None:
        what = "its head does not say what it was made of, and no commit of ours wrote it so"
        yield finding(Code.NOT_RENDERED, unit.path, what, (2, 1))
        return
    if placement.digest != digest_of(placement):
        what = f"the digest of this wish is {digest_of(placement)}"
        yield finding(Code.DIGEST_WRONG, unit.path, what)
    fault = _fault(placement, at[0])
    if fault:
        yield finding(Code.NOT_RENDERED, unit.path, fault, (2, 1))
        return
    fresh = render_wish(placement, *at)
    if fresh != unit.file.data:
        yield _differs(unit.path, unit.file.data, fresh)


def _fault(placement: Placement, gateway: Gateway) -> str:
    if placement.gateway != gateway.name:
        return f"is of gateway {placement.gateway}"
    return unsupported(placement.wish, gateway) or ""


def _addresses(path: str, data: bytes, unit: UnitAt, at: At) -> Iterator[Finding]:
    if unit.addresses is None:
        return
    located = [each for route in unit.addresses.routes for each in route.located]
    if any(each.destination.weight > MAX_WEIGHT for each in located):
        what = f"a weight is above {MAX_WEIGHT}"
        yield finding(Code.NOT_RENDERED, path, what)
        return
    fresh = render_addresses(unit.addresses, *at)
    if fresh != data:
        yield _differs(path, data, fresh)


def _differs(path: str, data: bytes, fresh: bytes) -> Finding:
    """Where a file leaves what its head asks for."""
    lines, wanted = data.split(b"\n"), fresh.split(b"\n")
    pairs = zip(lines, wanted, strict=False)
    first = (number for number, (one, other) in enumerate(pairs, 1) if one != other)
    line = next(first, min(len(lines), len(wanted)))
    expected = wanted[line - 1].decode("ascii", "replace")[:120]
    what = f"is not what its head renders to; this line would be {expected!r}"
    return finding(Code.NOT_RENDERED, path, what, (line, 1))

"""What every API server is asked: who we are, the clock, certificates, permissions (does I/O)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from reconciler import jsonio
from reconciler.doctor.findings import Finding, fail, ok, skipped, warn
from reconciler.doctor.permissions import Need, lacking
from reconciler.errors import Exit
from reconciler.kube import KubeApi, KubeError
from reconciler.kubesession import Certificate
from reconciler.model.access import Credentials
from reconciler.model.clusters import Why

CLOCK = timedelta(seconds=30)
SOON = timedelta(days=21)
_REACH = {
    Why.UNREACHABLE: "is its address reachable from here, and is it up?",
    Why.TIMEOUT: "is a firewall on the way, or is it overloaded?",
    Why.UNAUTHORISED: "its credentials are refused: make new ones where the inventory keeps them",
    Why.OTHER_CA: "see `wharfinger explain WHF310`",
}


def failure(where: str, check: str, error: KubeError) -> Finding:
    """What an API server's failure means."""
    exit_code = Exit.CREDENTIALS if error.why is Why.UNAUTHORISED else Exit.INCOMPLETE
    advice = _REACH.get(error.why, "look at its logs")
    return fail(where, check, error.what, advice, exit_code)


async def permissions(
    api: KubeApi, where: str, needs: Sequence[Need], role: str
) -> list[Finding]:
    """One finding for all that is there, one for each verb that is not."""
    try:
        missing = await lacking(api, needs)
    except KubeError as exc:
        return [failure(where, "permissions", exc)]
    if not missing:
        return [ok(where, "permissions", f"all {len(needs)} verbs")]
    advice = f"apply {role} there"
    return [
        warn(where, "permissions", f"may not {each}: no {each.only}", advice)
        if each.only
        else fail(where, "permissions", f"may not {each}", advice)
        for each in missing
    ]


def clock(where: str, date: str, now: datetime) -> Finding:
    """Whether the server's clock and ours agree; `date` is its header."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return skipped(where, "clock", "the API server says no date")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    ahead = theirs - now
    seconds = f"{abs(ahead.total_seconds()):.0f} s"
    if abs(ahead) <= CLOCK:
        return ok(where, "clock", f"within {CLOCK.total_seconds():.0f} s of ours")
    side = "ahead of" if ahead > timedelta() else "behind"
    advice = "set both clocks by NTP: graces, quarantines and tokens go by them"
    return warn(where, "clock", f"{seconds} {side} ours", advice)


def certificate(
    where: str, found: Certificate | None, host: str, now: datetime
) -> list[Finding]:
    """Whether the server's certificate carries the name that clients will dial, and until when."""
    if found is None:
        return [skipped(where, "certificate", "it could not be looked at")]
    findings = [_names(where, found, host)] if host else []
    left = found.until - now
    text = f"valid until {found.until:%Y-%m-%d}"
    if left > SOON:
        return [*findings, ok(where, "certificate", text)]
    advice = "renew the API server's certificate"
    if left > timedelta():
        return [*findings, warn(where, "certificate", text, advice)]
    return [*findings, fail(where, "certificate", text, advice)]


def _names(where: str, found: Certificate, host: str) -> Finding:
    wildcard = "*." + host.partition(".")[2]
    if {host, wildcard} & set(found.names):
        return ok(where, "API name", f"the certificate carries {host}")
    advice = (
        f"add {host} to the certificate's names; without it the API gets a port of its own, and "
        "`wharfinger kubeconfig` sets tls-server-name"
    )
    names = ", ".join(found.names[:5]) or "no names"
    return warn(where, "API name", f"{host} is not in it, but {names}", advice)


def token(where: str, credentials: Credentials, now: datetime) -> list[Finding]:
    """Until when a token says that it is good; nothing of one that says nothing."""
    until = token_end(credentials.token)
    if until is None:
        return []
    text = f"the token ends {until:%Y-%m-%d %H:%M} UTC"
    if until <= now:
        advice = "make a new one where the inventory keeps it"
        return [fail(where, "credentials", text, advice, Exit.CREDENTIALS)]
    return [ok(where, "credentials", text)]


def token_end(text: str) -> datetime | None:
    """`exp` of a JWT, which is not checked here; `None` where there is none."""
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = jsonio.loads(raw)
        seconds = claims.get("exp") if isinstance(claims, dict) else None
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            return None
        return datetime.fromtimestamp(seconds, UTC)
    except (binascii.Error, ValueError, OverflowError, OSError):
        return None

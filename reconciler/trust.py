"""Who vouches for an API server, and whether that is who Git has pinned; pure.

A token is a secret of one cluster. Whoever can change an inventory's object could name another
server with another CA and be sent it; so the CA is compared before anything is sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from reconciler.model.access import Credentials
from reconciler.model.pins import Pin

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_TOKEN = re.compile(r"sha256:[0-9a-f]{64}\Z|host:[A-Za-z0-9._:-]{1,253}\Z")
_SHOWN = 3  # of a bundle's certificates in a message


def certificates(bundle: str) -> str:
    """The certificates of a CA bundle (PEM, or base64 of it) and nothing else.

    A bundle is committed: a private key that lies in it by mistake must not be.
    """
    return "".join(f"{block}\n" for block in _blocks(bundle))


def fingerprints(bundle: str) -> tuple[str, ...]:
    """`sha256:<hex>` of each certificate of a CA bundle (PEM, or base64 of it), in its order."""
    found = []
    for block in _blocks(bundle):
        try:
            der = base64.b64decode("".join(block.split("-----")[2].split()))
        except (binascii.Error, ValueError):
            continue
        found.append(f"sha256:{hashlib.sha256(der).hexdigest()}")
    return tuple(dict.fromkeys(found))


def vouchers(access: Credentials) -> tuple[str, ...]:
    """What vouches for the server: its CA's certificates, else the name that is verified."""
    if access.ca:
        return fingerprints(access.ca)
    return (f"host:{(access.tls_server_name or access.host).lower()}",)


def beside(access: Credentials, ca_bundle: str) -> tuple[str, ...]:
    """What vouches for the server where the bundle that is kept of the cluster does not.

    The way to a cluster can lead through a proxy of its manager, which has a CA of its own.
    """
    found = vouchers(access)
    return () if set(found) & set(fingerprints(ca_bundle)) else found


def is_voucher(text: str) -> bool:
    """Whether a text of `accept` speaks of a CA or a host and not of a cluster's id."""
    return text.startswith(("sha256:", "host:"))


def is_well_formed(text: str) -> bool:
    """Whether such a text can ever be met."""
    return _TOKEN.match(text) is not None


def stranger(name: str, access: Credentials, pin: Pin | None) -> str:
    """Why nothing may be sent to the server of a cluster; empty when it is who Git has pinned.

    One certificate in common makes a bundle the rotation of the other. Where nothing is pinned
    yet whoever is seen first is.
    """
    if pin is None:
        return ""
    pinned = {*fingerprints(pin.ca_bundle), *pin.trust}
    found = vouchers(access)
    if not pinned or not pinned.union(pin.accept).isdisjoint(found):
        return ""
    if not found:
        return (
            "its CA is no certificate, and Git has one pinned: nothing was sent there"
        )
    who = "another CA" if access.ca else "no CA of its own but the public ones, other"
    shown = ", ".join(found[:_SHOWN])
    return (
        f"its API server has {who} than Git has pinned ({shown}), so nothing was sent there; "
        f"run `wharfinger accept-cluster {name} {found[0]}` when that is right"
    )


def _blocks(bundle: str) -> list[str]:
    text = bundle
    if "-----BEGIN" not in text:
        try:
            text = base64.b64decode(bundle, validate=True).decode("ascii")
        except ValueError:
            return []
    return _CERTIFICATE.findall(text)

"""What is committed of a cluster holds certificates and never a key."""

from __future__ import annotations

import base64

import pytest

from reconciler.plan.records import certificates

ONE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("bundle", "kept"),
    [
        (ONE, ONE),
        (KEY + ONE + KEY + ONE, ONE + ONE),
        (base64.b64encode((KEY + ONE).encode()).decode(), ONE),
        (KEY, ""),
        ("", ""),
        ("not PEM", ""),
    ],
)
def test_only_certificates_of_a_bundle_are_kept(bundle: str, kept: str) -> None:
    assert certificates(bundle) == kept

"""Who vouches for an API server, and whether that is who Git has pinned."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from reconciler.model.access import Credentials
from reconciler.model.pins import NO_PINS, Pin
from reconciler.model.repository import (
    BlobId,
    CommitFact,
    CommitId,
    File,
    FileChange,
    Head,
    History,
)
from reconciler.plan.pins import HeadPins, KnownPins
from reconciler.plan.records import ClusterRecord, format_record, parse_record
from reconciler.trust import beside, fingerprints, stranger, vouchers


def pem(number: int) -> str:
    body = base64.b64encode(f"certificate {number}".encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def print_of(number: int) -> str:
    return f"sha256:{hashlib.sha256(f'certificate {number}'.encode()).hexdigest()}"


def access(ca: str = "", server: str = "https://Api.Example.com:6443") -> Credentials:
    return Credentials(server=server, ca=ca, token="x")


def pin(*numbers: int, accept: tuple[str, ...] = (), trust: tuple[str, ...] = ()) -> Pin:  # fmt: skip
    bundle = "".join(map(pem, numbers))
    return Pin(cluster_id="id", ca_bundle=bundle, accept=accept, trust=trust)


def test_a_fingerprint_is_of_the_certificate_however_it_is_written() -> None:
    text = pem(1) + pem(2)
    encoded = base64.b64encode(text.encode()).decode()
    folded = text.replace("\n", "\r\n")
    wanted = (print_of(1), print_of(2))
    assert fingerprints(text) == fingerprints(encoded) == fingerprints(folded) == wanted
    assert fingerprints("junk") == ()


HOST = "host:api.example.com"


@pytest.mark.parametrize(
    ("now", "pinned"),
    [
        (access(pem(1)), None),
        (access(pem(1)), pin()),
        (access(pem(1)), pin(1)),
        (access(pem(1) + pem(2)), pin(1)),
        (access(pem(2)), pin(1, 2)),
        (access(pem(2)), pin(1, accept=(print_of(2),))),
        (access(pem(2)), pin(1, trust=(print_of(2),))),
        (access(), pin(trust=(HOST,))),
        (access(), pin(1, accept=(HOST,))),
    ],
)
def test_who_is_pinned_rotated_or_accepted_is_no_stranger(
    now: Credentials, pinned: Pin | None
) -> None:
    assert stranger("eu1", now, pinned) == ""


@pytest.mark.parametrize(
    ("now", "pinned", "accept"),
    [
        (access(pem(2)), pin(1), print_of(2)),
        (access(), pin(1), HOST),
        (access(pem(1)), pin(trust=(HOST,)), print_of(1)),
        (access(server="https://other:6443"), pin(trust=(HOST,)), "host:other"),
        (
            Credentials(server="https://api.example.com", tls_server_name="evil"),
            pin(trust=(HOST,)),
            "host:evil",
        ),
        (access(pem(2)), pin(1, accept=(print_of(3), "id-2")), print_of(2)),
    ],
)
def test_a_stranger_is_told_with_the_command_that_accepts_it(
    now: Credentials, pinned: Pin, accept: str
) -> None:
    assert f"`wharfinger accept-cluster eu1 {accept}`" in stranger("eu1", now, pinned)


def test_a_ca_without_a_certificate_is_a_stranger_to_every_pin() -> None:
    assert "no certificate" in stranger("eu1", access("junk"), pin(1))


def test_what_the_kept_bundle_does_not_vouch_for_is_kept_beside_it() -> None:
    assert vouchers(access(pem(1))) == (print_of(1),)
    assert beside(access(pem(1)), pem(1) + pem(2)) == ()
    assert beside(access(pem(3)), pem(1)) == (print_of(3),)
    assert beside(access(), "") == (HOST,)


def test_a_record_keeps_what_vouches_for_the_server() -> None:
    record = ClusterRecord(
        cluster="eu1", cluster_id="id", inventory="lab", trust=(HOST,)
    )
    assert parse_record("eu1", format_record(record)) == record
    plain = ClusterRecord(cluster="eu1", cluster_id="id", inventory="lab")
    assert b"trust" not in format_record(plain)


def facts(*versions: tuple[bytes | None, bool]) -> tuple[Head, History]:
    """A cluster's file as commits (newest last) left it; ours or not."""
    path, blobs, commits = "clusters/eu1.yaml", {}, []
    for number, (data, ours) in enumerate(versions):
        blob = BlobId(str(number))
        blobs[blob] = data or b""
        change = FileChange(path=path, old=None, new=None if data is None else blob)
        commits.append(
            CommitFact(
                id=CommitId(str(number)),
                time=datetime(2026, 1, 1, tzinfo=UTC),
                author="a",
                subject="s",
                ours=ours,
                renderer=1,
                changes=(change,),
            )
        )
    last = versions[-1][0]
    files = {} if last is None else {path: File(blob=BlobId("x"), data=last)}
    history = History(commits=tuple(reversed(commits)), read=lambda blob: blobs[blob])
    return Head(commit=CommitId("h"), files=files), history


def record(number: int) -> bytes:
    known = ClusterRecord(
        cluster="eu1", cluster_id="id", inventory="lab", ca_bundle=pem(number)
    )
    return format_record(known)


def test_pins_are_what_we_wrote_whatever_people_did_to_the_file() -> None:
    for theirs in (None, b"junk", record(2)):
        head, history = facts((record(1), True), (theirs, False))
        pins = HeadPins(head, lambda history=history: history)  # type: ignore[misc]
        assert pins["eu1"].ca_bundle == pem(1)
        assert "eu1" in pins
        assert dict(pins) == pins.ready()
        assert len(pins) == 1


def test_who_comes_after_a_deleted_one_is_no_stranger() -> None:
    gone = ClusterRecord(
        cluster="eu1", cluster_id="id", inventory="lab", ca_bundle=pem(1), deleted=True
    )
    head, history = facts((format_record(gone), True))
    for pins in (HeadPins(head, lambda: history), KnownPins({"eu1": gone})):
        assert pins["eu1"].cluster_id == "id"
        assert stranger("eu1", access(pem(2)), pins["eu1"]) == ""


def test_pins_of_nothing() -> None:
    head = Head(commit=CommitId("h"), files={})
    pins = HeadPins(head, lambda: History(commits=(), read=lambda _: b""))
    assert dict(pins) == dict(NO_PINS)
    assert pins.get("eu1") is None


def test_people_accept_in_the_file() -> None:
    theirs = record(1) + f"accept:\n- {print_of(2)}\n".encode()
    head, history = facts((record(1), True), (theirs, False))
    found = HeadPins(head, lambda: history)["eu1"]
    assert found.accept == (print_of(2),)
    assert stranger("eu1", access(pem(2)), found) == ""


def test_pins_of_records_that_are_known() -> None:
    known = ClusterRecord(
        cluster="eu1", cluster_id="id", inventory="lab", trust=(HOST,)
    )
    records = {"eu1": known}
    pins = KnownPins(records)
    records.clear()
    assert pins["eu1"].server_host == "api.example.com"
    assert list(pins) == ["eu1"]

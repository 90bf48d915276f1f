"""The offline gate: what a pass wrote is clean, every kind of damage is a finding."""

from __future__ import annotations

import pytest

from reconciler import yamlio
from reconciler.check import check
from reconciler.model.repository import BlobId, File
from reconciler.run import RENDERING
from reconciler.settings_file import parse
from tests.planning import Bench, claims, wanted, wish

SETTINGS = b"""\
apiVersion: wharfinger.dev/v1alpha1
kind: Settings
domain: ingress.example.com
gateways:
  - name: public
    renderer: envoy
    namespace: ingress
    ports: {range: 20000-29999}
inventories:
  - name: lab
    directory: {path: clusters}
tenants:
  - clusters: ["*"]
    gateways: [public]
"""
WISH = "manifests/public/eu1/shop/vs-orders.yaml"
ENDPOINTS = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
CLUSTER = "clusters/eu1.yaml"
HOLD = "holds/eu1/shop.yaml"

Files = dict[str, File]


def file(data: bytes, mode: int = 0o100644) -> File:
    return File(blob=BlobId("0" * 40), data=data, mode=mode)


@pytest.fixture
def files() -> Files:
    """What a pass over one exposure wrote, with settings and a hold of a person."""
    bench = Bench(render=RENDERING, settings=parse(SETTINGS))
    bench.run(claims(wanted(wish("orders"))))
    hold = yamlio.dump(
        {"reason": "freeze", "by": "Ada", "until": "2999-01-01"}
    ).encode()
    found = {path: file(data) for path, data in bench.files.items()}
    return {**found, "wharfinger.yaml": file(SETTINGS), HOLD: file(hold)}


def said(files: Files) -> list[str]:
    return [str(finding) for finding in check(files)]


def ledger(files: Files) -> str:
    return next(path for path in files if path.startswith("ports/"))


def test_what_a_pass_wrote_is_clean(files: Files) -> None:
    assert said(files) == []


def test_every_fault_of_the_settings_is_a_finding_at_its_line(files: Files) -> None:
    broken = SETTINGS.replace(b"envoy", b"nginx").replace(b"[public]", b"[x]")
    lines = [
        finding.line for finding in check({**files, "wharfinger.yaml": file(broken)})
    ]
    assert lines == [6, 14]


def test_a_repository_without_settings_is_told(files: Files) -> None:
    del files["wharfinger.yaml"]
    assert said(files) == ["wharfinger.yaml:1:1: is not there [WHF601]"]


@pytest.mark.parametrize(
    ("mode", "what"),
    [(0o120000, "symbolic link"), (0o160000, "submodule"), (0o100755, "executable")],
)
def test_only_regular_files_belong_here(files: Files, mode: int, what: str) -> None:
    files[HOLD] = file(files[HOLD].data, mode)
    assert any(what in each for each in said(files))


def test_a_ledger_file_in_another_spelling_is_not_canonical(files: Files) -> None:
    path = ledger(files)
    files[path] = file(files[path].data + b"# mine\n")
    assert said(files) == [f"{path}:5:1: is not in canonical form [WHF607]"]


@pytest.mark.parametrize(
    "name", ["020017.yaml", "70000.yaml", "x.yaml", "20017.yml", "20017"]
)
def test_a_foreign_name_in_the_ledger_is_a_finding(files: Files, name: str) -> None:
    files[f"ports/public/{name}"] = file(files[ledger(files)].data)
    assert len([each for each in said(files) if name in each]) == 1


def test_ledger_and_manifests_must_agree_both_ways(files: Files) -> None:
    path = ledger(files)
    without_port = {key: each for key, each in files.items() if key != path}
    (finding,) = said(without_port)
    assert finding.startswith(f"{WISH}:1:1: serves ")
    without_wish = {
        key: each for key, each in files.items() if key not in (WISH, ENDPOINTS)
    }
    what = "is live, but no manifest serves it [WHF615]"
    assert said(without_wish) == [f"{path}:1:1: {what}"]


def test_a_changed_first_line_and_lost_addresses_are_findings(files: Files) -> None:
    files[WISH] = file(b"# mine\n" + files[WISH].data)
    what = "the first line is no wish header of this path [WHF609]"
    assert f"{WISH}:1:1: {what}" in said(files)
    del files[ENDPOINTS]
    files[WISH] = file(files[WISH].data.removeprefix(b"# mine\n"))
    assert f"{WISH}:1:1: has no addresses file [WHF610]" in said(files)


def test_a_gateway_that_settings_do_not_know_is_a_finding(files: Files) -> None:
    moved = {key.replace("/public/", "/other/"): each for key, each in files.items()}
    assert any("there is no gateway other" in each for each in said(moved))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("reason: x\n", 1, "by is needed"),
        ("by: Ada\nreason: ''\n", 2, "reason is needed"),
        ("reason: x\nby: y\nuntill: 2026-01-01\n", 3, "unknown key 'untill'"),
        ("reason: x\nby: y\nuntil: soon\n", 3, "until is no date"),
        ("reason: x\nby: y\naddresses: no\n", 3, "addresses may only be frozen"),
        ("reason: [\n", 2, ""),
        ("just text\n", 1, "expected {reason"),
    ],
)
def test_a_hold_with_a_typo_is_found_before_somebody_relies_on_it(
    files: Files, text: str, line: int, what: str
) -> None:
    files[HOLD] = file(text.encode())
    (finding,) = check(files)
    assert (finding.path, finding.line) == (HOLD, line)
    assert what in finding.message


@pytest.mark.parametrize(
    "path",
    ["holds/EU1.yaml", "holds/a/b/c/d.yaml", "holds/all/x.yaml", "holds/eu1.yml"],
)
def test_a_hold_of_nothing_is_a_finding(files: Files, path: str) -> None:
    files[path] = files[HOLD]
    (finding,) = check(files)
    assert finding.path == path


def test_a_record_of_another_cluster_is_a_finding(files: Files) -> None:
    files["clusters/eu2.yaml"] = files[CLUSTER]
    (finding,) = said(files)
    assert finding.startswith("clusters/eu2.yaml:1:1: is no record of cluster eu2")

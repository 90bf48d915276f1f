"""Golden cases: what each renderer writes. `UPDATE_GOLDEN=1 pytest ...` rewrites them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.headers import parse_addresses, parse_wish_header, wish_header
from reconciler.render import gateway_files, render, render_addresses, unsupported
from reconciler.settings import Renderer
from reconciler.wishes import parse_wish
from reconciler.yamlio import load_all
from tests.rendering import CASES, RENDERERS, settings

FOLDER = Path(__file__).resolve().parents[1] / "cases" / "render"
GOVERNED = frozenset(
    {"ListenerSet", "TCPRoute", "TLSRoute", "Gateway", "VirtualService"}
)
ALL = [(renderer, name) for renderer in RENDERERS for name in CASES]


def rendered(renderer: Renderer, name: str) -> dict[str, bytes]:
    """Golden file name -> bytes; a refusal is a file of its own."""
    case = CASES[name]
    made = settings(renderer=renderer)
    gateway = made.gateways[0]
    reason = unsupported(case.placement.wish, gateway)
    if reason is not None:
        return {"refused.txt": f"{reason}\n".encode()}
    files = render(case.placement, case.addresses, gateway, made)
    return {"wish.yaml": files.wish, "endpoints.yaml": files.endpoints}


def compare(folder: Path, made: dict[str, bytes]) -> None:
    """Hold bytes against the golden files of a folder, or write them there."""
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, data in made.items():
            (folder / name).write_bytes(data)
    # Git keeps no empty folder: a case that makes no files has none in a clone.
    files = folder.iterdir() if folder.exists() else ()
    found = {each.name: each.read_bytes() for each in files}
    assert made == found


@pytest.mark.parametrize(("renderer", "name"), ALL)
def test_a_unit_is_rendered_as_the_golden_files_say(
    renderer: Renderer, name: str
) -> None:
    compare(FOLDER / f"{renderer}-{name}", rendered(renderer, name))


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_gateway_is_rendered_as_the_golden_files_say(renderer: Renderer) -> None:
    made = settings(renderer=renderer)
    written = gateway_files(made.gateways[0], made, frozenset({20017}), {})
    files = {Path(each.path).name: each.data or b"" for each in written}
    compare(FOLDER / f"{renderer}-gateway", files)


def test_no_golden_folder_is_left_from_a_case_that_is_gone() -> None:
    wanted = {f"{renderer}-{name}" for renderer, name in ALL}
    wanted |= {f"{renderer}-gateway" for renderer in RENDERERS}
    assert {each.name for each in FOLDER.iterdir()} <= wanted


@pytest.mark.parametrize(("renderer", "name"), ALL)
def test_heads_say_what_the_files_were_made_of(renderer: Renderer, name: str) -> None:
    case = CASES[name]
    made = settings(renderer=renderer)
    gateway = made.gateways[0]
    if not case.works_on(gateway):
        return
    files = render(case.placement, case.addresses, gateway, made)
    expected = wish_header(case.placement, "tcp.ingress.example.com", 443)
    assert parse_wish_header(files.wish) == expected
    assert parse_wish(files.wish) == case.placement
    parsed = parse_addresses(files.endpoints)
    assert parsed == case.addresses
    assert render_addresses(parsed, gateway, made) == files.endpoints


@pytest.mark.parametrize(("renderer", "name"), ALL)
def test_policies_come_before_what_they_govern(renderer: Renderer, name: str) -> None:
    wish = rendered(renderer, name).get("wish.yaml", b"")
    documents = [each.data for each in load_all(wish)]
    kinds = [each.get("kind") for each in documents if isinstance(each, dict)]
    governed = [kind in GOVERNED for kind in kinds]
    assert governed == sorted(governed), kinds

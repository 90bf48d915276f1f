"""The gateway's own files in requests: what one request closes no other one closes for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model.repository import FileWrite
from reconciler.model.units import Wish
from reconciler.settings import Gateway, Settings
from tests.planning import RENDER, Bench, claims, settings, wanted, wish

SERVICE = "manifests/public/service.yaml"
REVIEW = {"mode": "pull-request", "forge": "gitea"}


def service(
    gateway: Gateway,
    settings: Settings,
    ports: frozenset[int],
    current: Mapping[str, bytes],
) -> tuple[FileWrite, ...]:
    """As the classic Istio renderer: one Service with all ports."""
    data = "".join(f"- {port}\n" for port in sorted(ports)).encode()
    return (FileWrite(path=SERVICE, data=data),)


def bench_with(*wishes: Wish) -> Bench:
    bench = Bench(
        settings=settings(review=REVIEW, apis={"mode": "off"}),
        render=replace(RENDER, gateway_files=service),
    )
    (only,) = bench.run(claims(*map(wanted, wishes))).proposals
    bench.commit(only.draft.writes, author="wharfinger", ours=True, subject="s")
    return bench


def other(name: str) -> Wish:
    made = wish(name)
    return replace(made, unit=replace(made.unit, namespace="pay"))


def test_a_creation_does_not_close_what_another_request_removes() -> None:
    bench = bench_with(wish("orders"), wish("stock"))
    before = bench.files[SERVICE].split()
    made = bench.plan(claims(wanted(wish("stock")), wanted(other("users"))))
    pay, shop = made.proposals
    assert (pay.group, shop.group) == ("eu1/pay", "eu1/shop")
    opened = {each.path: each.data for each in pay.draft.writes}[SERVICE] or b""
    assert set(before) < set(opened.split())
    left = {each.path: each.data for each in shop.draft.writes}[SERVICE] or b""
    assert len(set(before) - set(left.split())) == 1


def test_what_nobody_merged_needs_no_request_of_the_gateway_alone() -> None:
    bench = bench_with(wish("orders"), wish("stock"))
    made = bench.plan(claims(wanted(wish("stock"))))
    assert [each.group for each in made.proposals] == ["eu1/shop"]
    (only,) = made.proposals
    bench.commit(only.draft.writes, author="wharfinger", ours=True, subject="s")
    assert bench.plan(claims(wanted(wish("stock")))).proposals == ()


def test_whatever_is_merged_every_served_port_stays_open() -> None:
    bench = bench_with(wish("orders"), wish("stock"), other("bills"))
    observed = claims(wanted(wish("stock")), wanted(other("users")), wanted(wish("z")))
    for _ in range(4):
        made = bench.plan(observed)
        for each in made.proposals[:1]:
            bench.commit(each.draft.writes, author="wharfinger", ours=True, subject="s")
        listed = {int(line[2:]) for line in bench.files[SERVICE].decode().splitlines()}
        active = {
            int(path.split("/")[2].removesuffix(".yaml"))
            for path, data in bench.files.items()
            if path.startswith("ports/") and b"state: active" in data
        }
        assert active <= listed
    assert active == listed

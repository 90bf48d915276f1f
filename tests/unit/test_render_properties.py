"""Properties of rendered files: injective names, one reading by every parser, nothing hidden."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler import yamlio
from reconciler.headers import parse_addresses
from reconciler.model.units import Failover, Policy, UnitId
from reconciler.names import is_label, object_name
from reconciler.render import gateway_files, render, render_addresses
from reconciler.render.istioparts import MAX_TOTAL_WEIGHT, endpoint_weights
from reconciler.render.shapes import Pool, Share
from reconciler.settings import Renderer
from tests.rendering import (
    CASES,
    RENDERERS,
    Case,
    addresses,
    destination,
    for_unit,
    settings,
    tcp,
)

# The machine may be busy; what takes long is no fault of the input.
steady = hypothesis_settings(deadline=None, max_examples=50)
KUBERNETES = (Renderer.ENVOY_GATEWAY, Renderer.ISTIO, Renderer.ISTIO_CLASSIC)
labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
units = st.builds(
    lambda cluster, namespace, name: UnitId(
        cluster=cluster, namespace=namespace, name=".".join(name)
    ),
    labels,
    labels,
    st.lists(labels, min_size=1, max_size=3),
)


def files_of(renderer: Renderer, case: Case) -> list[bytes]:
    made = settings(renderer=renderer)
    found = render(case.placement, case.addresses, made.gateways[0], made)
    return [found.wish, found.endpoints]


def everything() -> Iterator[bytes]:
    for renderer in RENDERERS:
        made = settings(renderer=renderer)
        for each in gateway_files(made.gateways[0], made, frozenset({20017}), {}):
            yield each.data or b""
        for case in CASES.values():
            if case.works_on(made.gateways[0]) and case is not CASES["many-ports"]:
                yield from files_of(renderer, case)


def objects(data: bytes) -> list[Mapping[str, Any]]:
    found = [document.data for document in yamlio.load_all(data)]
    return [each for each in found if isinstance(each, Mapping)]


@steady
@given(st.tuples(units, st.lists(labels, max_size=2)), st.tuples(units, st.lists(labels, max_size=2)))  # fmt: skip
def test_two_things_never_share_an_object_name(
    one: tuple[UnitId, list[str]], other: tuple[UnitId, list[str]]
) -> None:
    names = [object_name(unit, *parts) for unit, parts in (one, other)]
    assert all(map(is_label, names))
    assert (names[0] == names[1]) == (one == other)


def test_every_parser_reads_the_same() -> None:
    for data in everything():
        ours = [document.data for document in yamlio.load_all(data)]
        assert ours == [each for each in yaml.safe_load_all(data) if each is not None]
        for kind, version in itertools.product(("safe", "rt"), ("1.1", "1.2")):
            parser = YAML(typ=kind, pure=True)
            parser.version = version  # type: ignore[assignment]
            loaded = list(parser.load_all(io.BytesIO(data)))
            assert ours == [each for each in loaded if each is not None], (
                kind,
                version,
            )


def test_bytes_are_canonical_ascii_without_anything_to_expand() -> None:
    for data in everything():
        text = data.decode("ascii")
        assert "${" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        body = [document.data for document in yamlio.load_all(data)]
        lines = text.splitlines(keepends=True)
        head = "".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
        assert text == head + yamlio.dump_all(body)


@pytest.mark.parametrize("renderer", KUBERNETES)
def test_every_object_is_in_the_gateways_namespace_and_flux_expands_nothing(
    renderer: Renderer,
) -> None:
    made = settings(renderer=renderer)
    for case in CASES.values():
        if not case.works_on(made.gateways[0]):
            continue
        seen = set()
        for data in files_of(renderer, case):
            for each in objects(data):
                metadata = each["metadata"]
                assert metadata["namespace"] == "ingress"
                assert is_label(metadata["name"])
                assert (
                    metadata["labels"]["app.kubernetes.io/managed-by"] == "wharfinger"
                )
                key = "kustomize.toolkit.fluxcd.io/substitute"
                assert metadata["annotations"] == {key: "disabled"}
                seen.add((each["kind"], metadata["name"]))
        count = sum(len(objects(data)) for data in files_of(renderer, case))
        assert len(seen) == count


@pytest.mark.parametrize("renderer", KUBERNETES)
@steady
@given(names=st.lists(units, min_size=2, max_size=2, unique=True))
def test_units_never_share_an_object(renderer: Renderer, names: list[UnitId]) -> None:
    found = [
        {
            (each["kind"], each["metadata"]["name"])
            for data in files_of(renderer, for_unit(CASES["weights"], unit))
            for each in objects(data)
        }
        for unit in names
    ]
    assert not found[0] & found[1]


@pytest.mark.parametrize("renderer", RENDERERS)
@steady
@given(data=st.data())
def test_an_addresses_file_is_made_again_from_its_own_head(
    renderer: Renderer, data: st.DataObject
) -> None:
    hosts = st.sampled_from(
        ["10.20.0.1:1", "10.20.0.2:65535", "[fd00::1]:5", "[fd00::2:3:4]:5", "lb.example.com:9"]
    )  # fmt: skip
    found = [
        destination(
            f"svc-{index}",
            data.draw(st.integers(0, 1_000_000)),
            *data.draw(st.lists(hosts, max_size=3, unique=True)),
        )
        for index in range(data.draw(st.integers(1, 4)))
    ]
    policy = Policy(failover=data.draw(st.sampled_from(Failover)))
    case = tcp(*found, policy=policy)
    made = settings(renderer=renderer)
    wish, endpoints = files_of(renderer, case)
    parsed = parse_addresses(endpoints)
    assert parsed == case.addresses
    assert parsed is not None
    assert render_addresses(parsed, made.gateways[0], made) == endpoints
    written = {f"weight: {each.destination.weight}" for each in found}
    lines = {line.strip(" -") for line in wish.decode().splitlines()}
    assert written <= lines


@steady
@given(
    st.lists(
        st.tuples(st.integers(1, 1_000_000), st.integers(0, 256)),
        min_size=2,
        max_size=16,
    )
)
def test_weights_of_addresses_keep_the_shares_and_fit(
    written: list[tuple[int, int]],
) -> None:
    held = [
        (weight, addresses(*(f"10.20.{n}.{i % 250}:{1 + i // 250}" for i in range(count))))
        for n, (weight, count) in enumerate(written)
    ]  # fmt: skip
    shares = tuple(Share(weight=weight, addresses=found) for weight, found in held)
    given_weights = endpoint_weights(Pool(name="any", shares=shares))
    sums = [
        weight * len(share.addresses)
        for weight, share in zip(given_weights, shares, strict=True)
    ]
    assert sum(sums) <= MAX_TOTAL_WEIGHT
    alive = [share for share in shares if share.addresses]
    total = sum(share.weight for share in alive)
    for share, got in zip(shares, sums, strict=True):
        if share.addresses:
            assert abs(got / sum(sums) - share.weight / total) < 0.001

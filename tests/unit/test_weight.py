"""The weight of a value is about the memory that it takes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from reconciler.observe import parse
from reconciler.weight import weight
from tests.hostile.cluster import node, service, virtual_service

MAKERS: dict[str, Callable[[], object]] = {
    "text": lambda: "x" * 100_000,
    "wide text": lambda: "\U0001f980" * 50_000,
    "empty objects": lambda: json.loads("[" + "{}," * 50_000 + "{}]"),
    "small objects": lambda: json.loads("[" + '{"a":1},' * 50_000 + "{}]"),
    "virtual services": lambda: tuple(
        parse.virtual_service(json.loads(json.dumps(virtual_service(f"x{number}"))))
        for number in range(500)
    ),
    "services": lambda: tuple(parse.service(service(f"x{n}")) for n in range(2_000)),
    "nodes": lambda: tuple(parse.node(node(n)) for n in range(2_000)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_weight_is_near_what_the_allocator_says(name: str) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        value = MAKERS[name]()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * taken < weight(value) < 3 * taken

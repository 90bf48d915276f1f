"""Weights are integers exactly as written, and somebody gets the connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.codes import Code
from tests.builders import destination, node, service, tcp_route, virtual_service
from tests.claiming import code, granted


def tcp(*entries: object):
    return virtual_service(spec={"tcp": list(entries)})


def weights(*values: object) -> Callable[[], object]:
    return lambda: tcp(
        tcp_route(
            *(
                destination(f"s{index}", **({} if each is None else {"weight": each}))
                for index, each in enumerate(values)
            )
        )
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param([None], [1], id="alone"),
        pytest.param([7], [7], id="alone-with-weight"),
        pytest.param([90, 10], [90, 10], id="split"),
        pytest.param([1, 0], [1, 0], id="zero-is-kept"),
        pytest.param([100, None], [100, 0], id="absent-among-several-is-zero"),
        pytest.param([1_000_000, 1_000_000], [1_000_000] * 2, id="largest"),
    ],
)
def test_weights_are_as_written(written: list[object], expected: list[int]) -> None:
    services = [service(f"s{index}") for index in range(len(written))]
    (route,) = granted(weights(*written)(), *services, node()).wish.routes  # type: ignore[arg-type]
    assert [each.weight for each in route.destinations] == expected


@pytest.mark.parametrize(
    "written",
    [
        *([0], [0, 0], [None, None], [-1, 5], [1_000_001], [True], ["1"], [1.0], [0.5]),
        *([float("nan")], [float("inf")], [10**400], [[]], [{}]),
    ],
    ids=str,
)
def test_wrong_weights_are_rejected(written: list[object]) -> None:
    services = [service(f"s{index}") for index in range(len(written))]
    assert code(weights(*written)(), *services, node()) is Code.INVALID_WEIGHTS  # type: ignore[arg-type]


def test_sixteen_destinations_are_the_most() -> None:
    services = [service(f"s{index}") for index in range(17)]
    most = granted(weights(*[1] * 16)(), *services, node())  # type: ignore[arg-type]
    assert len(most.wish.routes[0].destinations) == 16
    found = code(weights(*[1] * 17)(), *services, node())  # type: ignore[arg-type]
    assert found is Code.TOO_MANY_DESTINATIONS


def test_the_order_of_destinations_means_nothing() -> None:
    ends = (service(), service("green"), node())
    both = [destination("db", weight=9), destination("green", weight=1)]
    one = granted(tcp(tcp_route(*both)), *ends)
    assert granted(tcp(tcp_route(*reversed(both))), *ends) == one

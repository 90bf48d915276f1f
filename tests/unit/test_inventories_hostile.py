"""Whatever stands in an object of a hub: nothing raises, and no object hides another."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub_objects import GOLDEN, Golden, encoded, inventory, read

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "a/b", "../x", "https://[", "https://u:p@h", "x\0y", "\u202e"]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)
Path = tuple[str | int, ...]


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Where something stands in a value."""
    if isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = list(enumerate(value)) if isinstance(value, list) else []
    for key, each in inner:
        yield (*before, key)
        yield from paths(each, (*before, key))


def replaced(value: Any, path: Path, by: Any) -> Any:
    """The value with something else at one place."""
    found = copy.deepcopy(value)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = by
    return found


def bodies(golden: Golden) -> Iterator[tuple[str, Path]]:
    """All places of a golden cluster but those that identify its object."""
    for path in paths(golden.body):
        if path not in (("metadata",), ("metadata", "name"), ("metadata", "namespace")):
            yield "", path
    for url, answer in golden.answers.items():
        yield from ((url, path) for path in paths(answer))


@pytest.mark.parametrize("source", sorted(GOLDEN))
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_json_in_any_field_is_that_clusters_trouble(
    source: str, data: st.DataObject
) -> None:
    good, bad = GOLDEN[source]("good"), GOLDEN[source]("bad")
    url, path = data.draw(st.sampled_from(sorted(bodies(bad), key=repr)))
    by = data.draw(JSON)
    if url and path[0] == "data" and isinstance(by, str) and data.draw(st.booleans()):
        by = encoded(by.encode("utf-8", "replace").decode())
    body, answers = bad.body, {**good.answers, **bad.answers}
    if url:
        answers[url] = replaced(answers[url], path, by)
    else:
        body = replaced(body, path, by)
    lab = inventory(source, good.settings)
    alone = read(lab, {good.plural: [good.body]}, good.answers)
    found = read(lab, {good.plural: [body, good.body]}, answers)
    assert alone.keys() == {"good"}
    assert found["good"] == alone["good"]
    assert len(found) <= 2

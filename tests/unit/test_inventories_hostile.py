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
IDENTITY = (("metadata",), ("metadata", "name"), ("metadata", "namespace"))


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


def parts(golden: Golden) -> dict[str, Any]:
    """All documents of a golden cluster by what they are."""
    return {"": golden.body, **golden.beside, **golden.answers}


def places(golden: Golden) -> Iterator[tuple[str, Path]]:
    """All places of a golden cluster but those that identify its objects."""
    for part, document in parts(golden).items():
        yield from ((part, path) for path in paths(document) if path not in IDENTITY)


@pytest.mark.parametrize("source", sorted(GOLDEN))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_json_in_any_field_is_that_clusters_trouble(
    source: str, data: st.DataObject
) -> None:
    good, bad = GOLDEN[source]("good"), GOLDEN[source]("bad")
    part, path = data.draw(st.sampled_from(sorted(places(bad), key=repr)))
    by = data.draw(JSON)
    if path[0] == "data" and isinstance(by, str) and data.draw(st.booleans()):
        by = encoded(by)
    changed = parts(bad) | {part: replaced(parts(bad)[part], path, by)}
    lab = inventory(source, good.settings)
    alone = read(lab, listed(good), good.answers)
    objects = {
        plural: [*bodies, *listed(bad, changed)[plural]]
        for plural, bodies in listed(good).items()
    }
    answers = {path: changed[path] for path in bad.answers}
    found = read(lab, objects, {**good.answers, **answers})
    assert alone.keys() == {"good"}
    assert found["good"] == alone["good"]
    assert len(found) <= 2


def listed(
    golden: Golden, documents: dict[str, Any] | None = None
) -> dict[str, list[Any]]:
    """What the hub lists of one cluster."""
    found = documents or parts(golden)
    beside = {plural: [found[plural]] for plural in golden.beside}
    return {golden.plural: [found[""]], **beside}

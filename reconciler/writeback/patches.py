"""JSON patches of annotations that apply only to the object that was seen; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonpatch

from reconciler.model.claims import Source

Operation = dict[str, Any]


def annotation_patch(
    source: Source, change: Mapping[str, str | None]
) -> list[Operation]:
    """The operations, first the tests of uid and resourceVersion."""
    tests: list[Operation] = [
        {"op": "test", "path": "/metadata/uid", "value": source.uid},
        {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": source.resource_version,
        },
    ]
    before = dict(source.annotations)
    after = {
        **{key: value for key, value in before.items() if key not in change},
        **{key: value for key, value in change.items() if value is not None},
    }
    made = jsonpatch.make_patch(
        {"metadata": {"annotations": before} if before else {}},
        {"metadata": {"annotations": after}},
    )
    return tests + list(made.patch)

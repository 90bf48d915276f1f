"""What all settings have in common: camel case, nothing unknown, nothing that changes; pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: _camel(name),
        populate_by_name=False,
    )  # fmt: skip


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)

"""How much memory a value takes, about; pure."""

from __future__ import annotations

import sys
from dataclasses import is_dataclass


def weight(value: object) -> int:
    """Bytes of a value and of all that hangs on it: JSON, and frozen values with slots.

    Texts that are there twice count twice; short keys are shared and count by their length.
    """
    total = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            total += sum(map(len, each))
            waiting.extend(each.values())
        elif isinstance(each, list | tuple):
            waiting.extend(each)
        elif is_dataclass(each):
            names: tuple[str, ...] = getattr(type(each), "__slots__", ())
            waiting.extend(getattr(each, name) for name in names)
    return total

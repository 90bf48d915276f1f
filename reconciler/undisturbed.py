"""Keeps the cyclic collector out of work that only makes values (changes the interpreter).

Reading and planning build very many small values that all stay, and none in cycles: the collector
looks at each of them several times and finds nothing. Not for talking to servers: what their
answers leave in cycles has to go while it is read.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """No collections inside; where two threads are inside, until the first of them leaves."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

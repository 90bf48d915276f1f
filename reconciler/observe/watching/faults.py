"""What goes wrong in our own code about what one server said; pure."""

from __future__ import annotations

FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError),
)
"""What code raises that is wrong about something a server said: one cluster's trouble alone."""

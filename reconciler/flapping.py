"""A wish file that turns back and forth: two reconcilers that disagree, or an object that flaps; pure.

Both can be seen in history alone. Within the last hour, and since the last word of a person (a
foreign commit, or a release of the unit), commits of ours brought the file back to a content
that it had had before:

    A -> B                          nothing to say: the wish changed
    A -> B -> A                     one return: somebody changed their mind
    A -> B -> A -> B -> A           three returns: the next one is not written

So the file stays as it is until an hour has passed since enough of them, or a person decides.
Something new is no return and is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconciler.ledger import Touch
from reconciler.model.repository import BlobId, ReadBlob

WINDOW = timedelta(hours=1)
RETURNS = 3
MESSAGE = (
    "it went back and forth {count} times in an hour and stays as it is: two reconcilers with "
    "other settings or inventories write to this repository, or the object itself flaps; "
    "it goes on by itself when an hour is over, or by `wharfinger release`"
)


def recent_moves(
    touched: Sequence[Touch], unit: str, now: datetime
) -> tuple[Touch, ...]:
    """Our changes of one file (newest first) in the last hour and since a person's last word."""
    found: list[Touch] = []
    for touch in touched:
        commit = touch.commit
        if not commit.ours or unit in commit.released or now - commit.time >= WINDOW:
            break
        found.append(touch)
    return tuple(found)


def returns(wanted: bytes | None, moves: Sequence[Touch], read: ReadBlob) -> int:
    """How often the file came back, where writing `wanted` is once too often; else 0.

    `moves` are newest first; `wanted` is `None` for the file's removal.
    """
    if len(moves) < RETURNS:
        return 0
    had: list[BlobId | None] = [moves[-1].change.old]
    count = 0
    for move in reversed(moves):
        count += move.change.new in had
        had.append(move.change.new)
    if count < RETURNS:
        return 0
    contents = {None if blob is None else read(blob) for blob in set(had)}
    return count if wanted in contents else 0

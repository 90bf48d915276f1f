"""HEAD as a push of ours leaves it, from what was written: nothing is read.

Reading it from the clone again would cost as much as all of a large push did, and hold every
file in memory a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from reconciler.model.repository import BlobId, CommitDraft, CommitId, File, Head
from reconciler.repo.objects import MAX_FILE, ROOTS, SETTINGS

Written = Mapping[str, File | None]
"""Files by path of our folder; `None` where one was removed."""


def blob_id(data: bytes) -> BlobId:
    """The id that git gives to this content."""
    return BlobId(hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest())


def files_of(drafts: Sequence[CommitDraft]) -> Written:
    """What these commits, one after another, leave at the paths that they write."""
    return {
        write.path: None if write.data is None else _file(write.data)
        for draft in drafts
        for write in draft.writes
        if _is_read(write.path)
    }


def head_after(before: Head, written: Written, tip: CommitId) -> Head:
    """Our files at `tip`, where these were written on top of `before`."""
    files = {**before.files, **written}
    kept = {path: file for path, file in files.items() if file is not None}
    return Head(commit=tip, files=kept)


def _is_read(path: str) -> bool:
    """Whether it is one of the files that HEAD is made of."""
    root, slash, _ = path.partition("/")
    return root in ROOTS if slash else path == SETTINGS


def _file(data: bytes) -> File:
    return File(blob=blob_id(data), data=data if len(data) <= MAX_FILE else b"")

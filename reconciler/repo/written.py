"""HEAD as a push of ours leaves it, from what was written; pure.

Reading it from the clone again would cost as much as all of a large push did, and hold every
file in memory a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from reconciler.model.repository import BlobId, CommitDraft, CommitId, File, Head
from reconciler.repo.objects import MAX_FILE, ROOTS, SETTINGS


def blob_id(data: bytes) -> BlobId:
    """The id that git gives to this content."""
    return BlobId(hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest())


def head_after(before: Head, drafts: Sequence[CommitDraft], tip: CommitId) -> Head:
    """Our files at `tip`, which is these drafts on top of `before`."""
    files = dict(before.files)
    for draft in drafts:
        for write in draft.writes:
            if not _is_read(write.path):
                continue
            if write.data is None:
                files.pop(write.path, None)
            else:
                files[write.path] = _file(write.data)
    return Head(commit=tip, files=files)


def _is_read(path: str) -> bool:
    """Whether it is one of the files that HEAD is made of."""
    root, slash, _ = path.partition("/")
    return root in ROOTS if slash else path == SETTINGS


def _file(data: bytes) -> File:
    return File(blob=blob_id(data), data=data if len(data) <= MAX_FILE else b"")

"""What a pass returns stays short in words: asyncio writes the result of its main task out."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.repository import BlobId, CommitId, File, Head
from reconciler.report import Report
from reconciler.run import NO_PLAN, PassResult


def test_the_words_for_a_pass_do_not_grow_with_the_repository() -> None:
    files = {
        f"ports/public/{port}.yaml": File(blob=BlobId("2" * 40), data=b"x" * 100)
        for port in range(99)
    }
    head = Head(commit=CommitId("1" * 40), files=files)
    small = PassResult(plan=NO_PLAN, settings=None, head=None, history=None)
    assert len(repr(replace(small, head=head))) < 200
    assert len(repr(Report(proofs=(), changes=(), outcomes=()))) < 200

"""Whether the branch still contains what was seen of it, and who may say that it need not.

Asks the clone, and before something is written the engines (does I/O).

    what was seen is                                 | the pass
    -------------------------------------------------+---------------------------------------
    HEAD or an ancestor of it                        | goes on
    newer than HEAD: HEAD is an ancestor of it       | waits: a mirror lags, or commits were
                                                     | dropped; it heals by itself
    elsewhere, or unknown also after the fetch       | freezes: rewound, or another history
    accepted as lost in HEAD's history, by anybody   | goes on; what HEAD's history says counts
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.codes import Code
from reconciler.errors import Blocked
from reconciler.model.repository import CommitId, Head
from reconciler.prove import applied_revisions
from reconciler.prove.views import Look, listing
from reconciler.repo import Repository
from reconciler.settings import Settings
from reconciler.targets import folders

_WHOLE = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A commit that the branch had once, and how we know: `which <how>`."""

    commit: str
    how: str


def began(head: CommitId) -> tuple[Sight, ...]:
    """What a pass itself has seen when it looks at the branch again."""
    return (Sight(commit=head, how="this pass began with"),)


async def lost_applied(
    repository: Repository, head: Head, settings: Settings, look: Look = listing
) -> Blocked | None:
    """The freeze when an engine applied what the branch has no more.

    An engine may have seen a commit that came after our fetch, so there is a second look.
    """
    found = await applied_revisions(settings, folders(head), look)
    seen = [Sight(commit=each, how="an engine applied") for each in found]
    if rewound(repository, head.commit, seen) is None:
        return None
    repository.fetch()
    return rewound(repository, repository.head().commit, seen)


def rewound(
    repository: Repository, head: CommitId, seen: Iterable[Sight]
) -> Blocked | None:
    """The freeze for the first of these that the branch has no more; `None` without any."""
    for sight in seen:
        if not sight.commit or repository.is_ancestor(CommitId(sight.commit), head):
            continue
        full = repository.full_id(sight.commit)
        if _is_accepted(repository, full or sight.commit):
            continue
        if full is not None and head and repository.is_ancestor(head, CommitId(full)):
            return _behind(sight, full)
        return _lost(sight, full or sight.commit)
    return None


def _is_accepted(repository: Repository, lost: str) -> bool:
    """Exactly this commit: what a lost one descended from, a fresh clone could not tell."""
    return any(each.startswith(lost) for each in repository.accepted_rewinds())


def _behind(sight: Sight, full: str) -> Blocked:
    return Blocked(
        f"{Code.HISTORY_REWOUND}: the branch is behind {full[:10]}, which {sight.how}: "
        "this is a mirror that lags, or the newest commits were dropped",
        hint="wait, it ends by itself when the mirror has them; if they were dropped on "
        f"purpose: `wharfinger accept-rewind {full}`",
    )


def _lost(sight: Sight, known: str) -> Blocked:
    named = known if _WHOLE.match(known) else f"<the whole id of {known[:40]}>"
    return Blocked(
        f"{Code.HISTORY_REWOUND}: the branch no longer contains {known[:10]}, which "
        f"{sight.how}: it was rewound, or this is another history",
        hint="nothing is written until a person has looked at the branch; if it is right as "
        f"it is: `wharfinger accept-rewind {named}`",
    )

"""What can go wrong between us and a Kubernetes API server, with its `Why`; pure.

Messages hold our own words, the HTTP status and at most the CamelCase reason of a Status.
"""

from __future__ import annotations

from reconciler.errors import Unavailable
from reconciler.model.clusters import Unknown, Why


class KubeError(Unavailable):
    """A request that gave no usable answer; `status` is the HTTP status, 0 for none.

    `cluster_id` is the UID of the cluster whose objects could not be read, where that was read.
    """

    def __init__(self, what: str, where: str, *, why: Why, status: int = 0) -> None:
        super().__init__(what, where=where)
        self.why = why
        self.status = status
        self.cluster_id = ""

    def unknown(self) -> Unknown:
        """The same as a value."""
        return Unknown(why=self.why, message=str(self), cluster_id=self.cluster_id)


class NotFound(KubeError):
    """404: the object, or its kind, is not there."""


class Rejected(KubeError):
    """400, 409 or 422: a write met another state than it expected, or is not valid."""


class Expired(KubeError):
    """410: what was asked for is compacted away; only a new list helps."""


class TooLarge(KubeError):
    """A body over the limit; a smaller page may fit."""


_STATUS_WHY = {
    401: Why.UNAUTHORISED,
    403: Why.FORBIDDEN,
    404: Why.INCOMPLETE,
    408: Why.TIMEOUT,
    410: Why.INCOMPLETE,  # the snapshot of a paged list is compacted away
    429: Why.UNREACHABLE,
    504: Why.TIMEOUT,
}


_STATUS_KIND: dict[int, type[KubeError]] = {
    400: Rejected,
    404: NotFound,
    409: Rejected,
    410: Expired,
    422: Rejected,
}


def status_failure(status: int, reason: str, where: str) -> KubeError:
    """The error of an answer that is no success."""
    if 300 <= status < 400:
        what = f"HTTP {status}: a redirect, which is never followed"
        return KubeError(what, where, why=Why.UNREADABLE, status=status)
    default = Why.UNREACHABLE if status >= 500 else Why.UNREADABLE
    kind = _STATUS_KIND.get(status, KubeError)
    what = f"HTTP {status} {reason}".rstrip()
    return kind(what, where, why=_STATUS_WHY.get(status, default), status=status)

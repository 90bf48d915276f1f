"""Git: the ingress repository as values, and the one way to write to it; does I/O."""

from reconciler.repo.create import create_bare
from reconciler.repo.disk import NOTE
from reconciler.repo.remote import Credentials, Remote, default_cache
from reconciler.repo.repository import Repository
from reconciler.repo.trailers import ACCEPTED_REWIND

__all__ = [
    "ACCEPTED_REWIND",
    "NOTE",
    "Credentials",
    "Remote",
    "Repository",
    "create_bare",
    "default_cache",
]

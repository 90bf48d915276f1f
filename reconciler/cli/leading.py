"""`run --lease`: which of several processes works, by a Lease on the platform cluster."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from reconciler.cli.options import Target, option
from reconciler.errors import Usage
from reconciler.lease import SECONDS, Lease, Place
from reconciler.live.lead import Alone, Lead
from reconciler.names import is_dns_name, is_label
from reconciler.prove.views import platform_api
from reconciler.repo import Repository
from reconciler.run import settings_at

F = TypeVar("F", bound=Callable[..., Any])

_USER = re.compile(r"\A([a-z+]+://)[^/@]*@")


def lease_options(function: F) -> F:
    """`--lease` and `--lease-seconds`."""
    decorated = option(
        "--lease-seconds",
        type=click.FloatRange(2, 3600),
        default=SECONDS,
        show_default=True,
        help="A holder that is not seen for so long has lost it.",
    )(function)
    return option(
        "--lease",
        default="",
        metavar="NAMESPACE[/NAME]",
        help="Work only while this process holds the Lease on the platform cluster.",
    )(decorated)


def leading(
    target: Target,
    repository: Repository,
    gateways: Iterable[str],
    flags: Mapping[str, Any],
) -> Lead:
    """Who says whether this process works. Raises Usage where no Lease can be asked."""
    asked = str(flags["lease"])
    if not asked:
        return Alone()
    namespace, _, name = asked.partition("/")
    name = name or lease_name(target, gateways)
    if not is_label(namespace) or not is_dns_name(name):
        raise Usage(f"--lease {asked}: expected NAMESPACE or NAMESPACE/NAME")
    platform = settings_at(repository.head()).platform
    if platform is None:
        raise Usage(
            "--lease needs the platform cluster, where the Lease is",
            where="wharfinger.yaml",
            hint="set platform: {context: in-cluster}, or name a context",
        )
    place = Place(namespace=namespace, name=name, seconds=float(flags["lease_seconds"]))
    return Lease(lambda: platform_api(platform), place)


def lease_name(target: Target, gateways: Iterable[str]) -> str:
    """One name for all processes of one repository and shard; a credential is no part of it."""
    where = (_USER.sub(r"\1", target.repo), target.branch, target.path)
    shard = sorted(set(gateways))
    return "-".join(["wharfinger", _short(where), *([_short(shard)] if shard else [])])


def _short(parts: Iterable[str]) -> str:
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:8]

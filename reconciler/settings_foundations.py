"""Foundations of Cloud Foundry in the settings: what is exposed, and where their routers are; pure.

Addresses of routers are the platform's facts, like API servers, and lead traffic, not secrets: a
tenants entry limits them. The address of the Cloud Controller lies beside its secret.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from reconciler.names import is_dns_name
from reconciler.settings_model import Model
from reconciler.settings_types import DnsName, Label, Port

MAX_WEIGHT = 1_000_000
MAX_FOUNDATIONS = 16


def _router(value: str) -> str:
    if is_dns_name(value) and "." in value and not value[-1].isdigit():
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("expected an IP address or a DNS name") from None


def _shared(value: str) -> str:
    name, colon, port = value.rpartition(":")
    if colon and is_dns_name(name) and port.isdecimal() and 0 < int(port[:6]) < 65536:
        return value
    if value.startswith("*.") and is_dns_name(value.removeprefix("*.")):
        return value
    raise ValueError("expected *.DOMAIN or DOMAIN:PORT, such as tcp.example.com:1024")


Router = Annotated[str, AfterValidator(_router)]
Shared = Annotated[str, AfterValidator(_shared)]
Weight = Annotated[int, Field(ge=0, le=MAX_WEIGHT, strict=True)]
Shares = dict[Shared, dict[Label, Weight]]


class Exposed(StrEnum):
    """Which of a foundation's TCP routes are exposed: all, or those with `wharfinger.dev/expose`."""

    ALL = "all"
    ANNOTATED = "annotated"


class Domains(StrEnum):
    """Which domains are served: the platform's own, or those that organisations brought, too."""

    SHARED = "shared"
    ALL = "all"


class CloudFoundry(Model):
    """A foundation. `credentials` is a folder below the process's `WHARFINGER_CREDENTIALS`.

    In it: `url` (the Cloud Controller, `https://api.SYSTEM`), `uaa`, `client`, `secret`, maybe
    `ca.crt`. `routers` are the HTTP routers or the load balancer before them, `tcpRouters` those
    of TCP. `systemDomain` is else what follows `api.` in the address. `shares` are names of this
    foundation that others (by the names of their inventories) serve, too, with weights.
    """

    credentials: Label
    system_domain: DnsName | None = None
    routers: tuple[Router, ...] = ()
    router_port: Port = 443
    tcp_routers: tuple[Router, ...] = ()
    domains: Domains = Domains.SHARED
    tcp_routes: Exposed = Exposed.ALL
    shares: Annotated[Shares, Field(default_factory=dict)]

"""The scalar types of settings, each with what an editor can check of it; pure."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from reconciler.names import is_cluster_name, is_dns_name, is_label
from reconciler.ports import PortRange, parse_ranges

_PUBLIC_KEY = re.compile(
    r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*(?: [^\x00-\x1f]*)?\Z"
)
_PROGRAM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_AUTHORITY = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_PROXY = rf"https?://{_AUTHORITY}/?"
_SERVER = rf"https://{_AUTHORITY}(?:/[A-Za-z0-9._~-]+)*/?"
_DURATION = re.compile(r"(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?\Z")


def parse_duration(text: object) -> timedelta:
    """`24h`, `10m`, `1h30m`, `0s`. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.match(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError("expected a duration such as 24h, 10m or 0s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _ranges(value: object) -> object:
    """`20000-29999`, a list of such and of numbers -> tuple of PortRange."""
    return parse_ranges(value)


def _label(value: str) -> str:
    if not is_label(value):
        raise ValueError("expected a DNS label: a-z, 0-9 and -, at most 63")
    return value


def _cluster_name(value: str) -> str:
    if not is_cluster_name(value):
        raise ValueError("expected a cluster's name: a DNS label other than all")
    return value


def _public_key(value: str) -> str:
    if _PUBLIC_KEY.match(value) is None:
        raise ValueError(
            "expected the line of a .pub file, such as ssh-ed25519 AAAA..."
        )
    return value


def _dns_name(value: str) -> str:
    if not is_dns_name(value):
        raise ValueError("expected a DNS name in lower case")
    return value


def _endpoint(value: str) -> str:
    """A CIDR, or a domain suffix such as `.elb.example.com`."""
    if is_dns_name(value.removeprefix(".")) and not value[-1].isdigit():
        return value
    try:
        return str(ipaddress.ip_network(value, strict=True))
    except ValueError:
        raise ValueError(
            "expected a CIDR such as 10.20.0.0/16 or a domain suffix such as .elb.example.com"
        ) from None


def _host_suffix(value: str) -> str:
    if not is_dns_name(value.removeprefix(".")):
        raise ValueError("expected a domain suffix such as .apps.example.com")
    return value


def _program(value: str) -> str:
    if re.fullmatch(_PROGRAM, value) is None:
        raise ValueError("expected the name of a program, without a path")
    return value


# Whoever writes the object chooses the value: it must not choose what runs.
_COMMANDING = re.compile(
    r"(?:WHARFINGER_|LD_|DYLD_|PYTHON|PERL|RUBY|NODE_|JAVA_|JDK_|GIT_|BASH|GCONV|GLIBC)|"
    r"(?:ENV|PATH|IFS|SHELL|SHELLOPTS|PS4|PROMPT_COMMAND|_JAVA_OPTIONS)\Z"
)


def _variable(value: str) -> str:
    if re.fullmatch(_VARIABLE, value) is None:
        raise ValueError("expected the name of an environment variable")
    if _COMMANDING.match(value):
        raise ValueError(
            "such a variable makes a program run or load other code, or holds our own secrets; "
            "expected one that only configures the plug-in"
        )
    return value


def _proxy(value: str) -> str:
    if re.fullmatch(_PROXY, value) is None:
        raise ValueError("expected http://HOST:PORT, without a user or a password")
    return value


def _server(value: str) -> str:
    if re.fullmatch(_SERVER, value) is None:
        raise ValueError("expected https://HOST:PORT")
    return value


def _text(pattern: str, longest: int) -> WithJsonSchema:
    """What an editor can check of a text; parsing checks the rest."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": longest})


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_RANGE = r"^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$"
_PORTS: dict[str, object] = {
    "anyOf": [
        {"type": "string", "pattern": _RANGE},
        {"type": "integer", "minimum": 1, "maximum": 65535},
    ]
}

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$",
            "minLength": 2,
        }
    ),
]
Ranges = Annotated[
    tuple[PortRange, ...],
    BeforeValidator(_ranges),
    WithJsonSchema({"anyOf": [_PORTS, {"type": "array", "items": _PORTS}]}),
]
Label = Annotated[str, AfterValidator(_label), _text(f"^{_LABEL}$", 63)]
ClusterName = Annotated[str, AfterValidator(_cluster_name), _text(f"^{_LABEL}$", 63)]
DnsName = Annotated[str, AfterValidator(_dns_name), _text(f"^{_NAME}$", 253)]
Endpoint = Annotated[
    str, AfterValidator(_endpoint), _text(rf"^(\.?{_NAME}|[0-9a-f.:]+/[0-9]+)$", 253)
]
HostSuffix = Annotated[str, AfterValidator(_host_suffix), _text(rf"^\.?{_NAME}$", 254)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
Program = Annotated[str, AfterValidator(_program), _text(f"^{_PROGRAM}$", 128)]
Variable = Annotated[str, AfterValidator(_variable), _text(f"^{_VARIABLE}$", 128)]
ProxyUrl = Annotated[str, AfterValidator(_proxy), _text(f"^{_PROXY}$", 2048)]
ServerUrl = Annotated[str, AfterValidator(_server), _text(f"^{_SERVER}$", 2048)]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]

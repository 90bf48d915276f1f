"""CEL as a Kubernetes API server has it, by cel-expr-python; pure.

Not everything that the API server knows is here: `authorizer`, `quantity`, `url`, `semver`,
`format`, sets, lists, `find` and comprehensions over two variables are not, and an expression
that uses them does not compile, which is an error and never a pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from reconciler.errors import Usage
from reconciler.policies import library
from reconciler.printable import one_line

try:
    from cel_expr_python import cel as _cel
    from cel_expr_python.ext import ext_optional, ext_strings
except ImportError:
    _cel = None

INPUTS = ("object", "oldObject", "request", "namespaceObject", "variables")
_INPUT = re.compile(rf"\b(?:{'|'.join(INPUTS)})\b")
_VARIABLE = re.compile(r"\bvariables\s*\.\s*\??([A-Za-z_][A-Za-z0-9_]*)")


class CompileError(ValueError):
    """An expression that is no CEL, or asks for something that is not here."""


class EvaluationError(ValueError):
    """An expression that has no value for this input."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, its text, the inputs and the names of variables that it reads."""

    text: str
    program: Any
    inputs: frozenset[str]
    variables: frozenset[str]

    def evaluate(self, inputs: Mapping[str, object]) -> object:
        """The value as plain Python; only what is read is handed over. Raises EvaluationError."""
        data = {name: inputs[name] for name in self.inputs}
        try:
            found = self.program.eval(data=data)
            if found.type() == _cel.Type.ERROR:
                raise EvaluationError(one_line(str(found.value()), 300))
            return found.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as exc:
            if isinstance(exc, EvaluationError):
                raise
            raise EvaluationError(one_line(str(exc), 300)) from exc


def compile_expression(text: str) -> Expression:
    """Raises CompileError; Usage where the library is not installed."""
    try:
        program = _environment().compile(text)
    except RuntimeError as exc:
        raise CompileError(_first(str(exc))) from exc
    inputs = frozenset(_INPUT.findall(text))
    return Expression(text, program, inputs, frozenset(_VARIABLE.findall(text)))


def _first(text: str) -> str:
    found = re.search(r"ERROR: <input>:(\d+):(\d+): ([^\n|]*)", text)
    if found is None:
        return one_line(text, 300)
    return f"line {found[1]}, column {found[2]}: {found[3].strip()}"


@cache
def _environment() -> Any:
    if _cel is None:
        what = "cel-expr-python is not installed, so no policy can be judged"
        hint = (
            "install it (there are wheels for glibc Linux, macOS on ARM and Windows)"
            " or leave the policies out, knowingly: --no-policies"
        )
        raise Usage(what, hint=hint)
    return _cel.NewEnv(
        variables={name: _cel.Type.DYN for name in INPUTS},
        extensions=[
            ext_optional.ExtOptional(),
            ext_strings.ExtStrings(2),
            _cel.CelExtension("kubernetes", _functions()),
        ],
    )


def _functions() -> list[Any]:
    text, dyn, truth, whole = (
        _cel.Type.STRING,
        _cel.Type.DYN,
        _cel.Type.BOOL,
        _cel.Type.INT,
    )
    plain = (
        ("isIP", truth, library.is_ip),
        ("ip", dyn, library.ip),
        ("ip.isCanonical", truth, library.ip_is_canonical),
        ("isCIDR", truth, library.is_cidr),
        ("cidr", dyn, library.cidr),
    )
    members = (
        ("family", whole, library.family, ()),
        ("isUnspecified", truth, library.is_unspecified, ()),
        ("isLoopback", truth, library.is_loopback, ()),
        ("isLinkLocalUnicast", truth, library.is_link_local_unicast, ()),
        ("isLinkLocalMulticast", truth, library.is_link_local_multicast, ()),
        ("isGlobalUnicast", truth, library.is_global_unicast, ()),
        ("containsIP", truth, library.contains_ip, (dyn,)),
        ("containsCIDR", truth, library.contains_cidr, (dyn,)),
        ("prefixLength", whole, library.prefix_length, ()),
        ("masked", dyn, library.masked, ()),
        ("ip", dyn, library.address, ()),
    )
    overloads: dict[str, list[Any]] = {}
    for name, result, function in plain:
        made = _cel.Overload(f"k8s_{name}", result, [text], False, function)
        overloads.setdefault(name, []).append(made)
    for name, result, member, rest in members:
        made = _cel.Overload(f"k8s_of_{name}", result, [dyn, *rest], True, member)
        overloads.setdefault(name, []).append(made)
    return [_cel.FunctionDecl(name, each) for name, each in overloads.items()]

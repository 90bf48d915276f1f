"""Judges one object by a set of policies, as a Kubernetes API server does; pure.

A policy counts through its bindings that deny. An expression without a value denies where the
policy fails closed, and nothing is said for one that fails open. What needs a cluster
(parameters, the authorizer, who asks) is not judged and listed in `Judge.left_out`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from reconciler.errors import Usage
from reconciler.policies.cel import (
    CompileError,
    EvaluationError,
    Expression,
    compile_expression,
)
from reconciler.policies.documents import (
    Match,
    Operator,
    Policy,
    PolicySet,
    Requirement,
    Rule,
)

Doc = Mapping[str, object]
MAX_MESSAGE = 5 * 1024  # of a messageExpression; the API server drops longer ones
_ASKS_WHO = re.compile(r"\b(?:authorizer|request\s*\.\s*\??userInfo)\b")
_AUTHORIZER = re.compile(r"\bauthorizer\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A write that is judged. Without `user` nobody is known to ask.

    `namespace_labels` are those of the namespace that the object is in.
    """

    object: Doc
    old: Doc | None = None
    user: str | None = None
    namespace_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation(self) -> str:
        """CREATE, or UPDATE where there is an old object."""
        return "CREATE" if self.old is None else "UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Denial:
    """Which policy does not permit an object, and its message."""

    policy: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A compiled validation; `said` is the compiled messageExpression."""

    expression: Expression
    message: str
    said: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    policy: Policy
    bindings: tuple[Match, ...]
    conditions: tuple[Expression, ...]
    variables: Mapping[str, Expression]
    checks: tuple[_Check, ...]
    asks_who: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compiled policies. `left_out` are (policy, why) that are never judged here."""

    compiled: tuple[_Compiled, ...]
    left_out: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, found: PolicySet) -> Self:
        """Raises Usage for an expression that does not compile, with file and line."""
        compiled, left_out = [], []
        for name, policy in sorted(found.policies.items()):
            bindings = tuple(
                each.match
                for _, each in sorted(found.bindings.items())
                if each.policy == name and each.denies
            )
            why = _why_left_out(policy, bool(bindings))
            if why:
                left_out.append((name, why))
            else:
                compiled.append(_compile(policy, bindings))
        return cls(compiled=tuple(compiled), left_out=tuple(left_out))

    def unjudged(self, user: str | None = None) -> tuple[tuple[str, str], ...]:
        """(policy, why) of all that `judge` says nothing about for such requests."""
        asking = "it asks who writes, which nobody knows here"
        who = [(e.policy.name, asking) for e in self.compiled if e.asks_who]
        return tuple(sorted([*self.left_out, *(who if user is None else [])]))

    def judge(self, request: Request) -> tuple[Denial, ...]:
        """All denials of an object, sorted; empty when it may be written."""
        made = _attributes(request)
        return tuple(
            sorted(
                {
                    denial
                    for each in self.compiled
                    if not (each.asks_who and request.user is None)
                    and _applies(each, request, made)
                    for denial in _denials(each, request, made)
                }
            )
        )


def _why_left_out(policy: Policy, bound: bool) -> str:
    texts = _texts(policy)
    if not bound:
        return "no binding makes it deny"
    if policy.has_params:
        return "its parameters are objects of the cluster"
    if any(map(_AUTHORIZER.search, texts)):
        return "it asks the cluster's authorizer"
    return ""


def _texts(policy: Policy) -> list[str]:
    return [
        *(each.expression for each in policy.conditions),
        *(each.expression for each in policy.variables),
        *(each.expression for each in policy.validations),
        *(each.message_expression for each in policy.validations),
    ]


def _compile(policy: Policy, bindings: tuple[Match, ...]) -> _Compiled:
    known: dict[str, Expression] = {}
    for each in policy.variables:
        known[each.name] = _expression(policy, each.expression, frozenset(known))
    names = frozenset(known)
    return _Compiled(
        policy=policy,
        bindings=bindings,
        conditions=tuple(
            _expression(policy, each.expression, frozenset())
            for each in policy.conditions
        ),
        variables=known,
        checks=tuple(
            _Check(
                expression=_expression(policy, each.expression, names),
                message=each.message.strip()
                or f"failed expression: {each.expression.strip()}",
                said=_expression(policy, each.message_expression, names)
                if each.message_expression
                else None,
            )
            for each in policy.validations
        ),
        asks_who=any(map(_ASKS_WHO.search, _texts(policy))),
    )


def _expression(policy: Policy, text: str, known: frozenset[str]) -> Expression:
    """Compiled; `known` are the variables that come before it."""
    try:
        made = compile_expression(text)
        for name in sorted(made.variables - known):
            raise CompileError(f"there is no variable {name} before this")
    except CompileError as exc:
        what = f"policy {policy.name}: {exc}, in: {text.strip()}"
        raise Usage(what, where=policy.where) from exc
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attributes:
    """What rules and selectors look at."""

    group: str
    version: str
    resource: str
    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]


def _attributes(request: Request) -> _Attributes:
    body = request.object
    group, slash, version = str(body.get("apiVersion", "")).rpartition("/")
    metadata = body.get("metadata")
    about = metadata if isinstance(metadata, Mapping) else {}
    labels = about.get("labels")
    kind = str(body.get("kind", ""))
    return _Attributes(
        group=group if slash else "",
        version=version,
        resource=plural(kind),
        kind=kind,
        namespace=str(about.get("namespace") or ""),
        name=str(about.get("name") or ""),
        labels={
            str(key): value
            for key, value in (labels if isinstance(labels, Mapping) else {}).items()
            if isinstance(value, str)
        },
    )


def plural(kind: str) -> str:
    """The resource of a kind, as names of custom resources are made; `Gateway` -> `gateways`."""
    lower = kind.lower()
    if lower.endswith("y") and lower[-2:-1] not in tuple("aeiou"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith(("s", "x", "ch", "sh")) else f"{lower}s"


def _applies(each: _Compiled, request: Request, made: _Attributes) -> bool:
    return _matches(each.policy.match, request, made) and any(
        _matches(binding, request, made) for binding in each.bindings
    )


def _matches(match: Match, request: Request, made: _Attributes) -> bool:
    rules = match.rules
    return (
        (rules is None or any(_is_under(rule, request, made) for rule in rules))
        and not any(_is_under(rule, request, made) for rule in match.excluded)
        and (not made.namespace or _selects(match.namespaces, request.namespace_labels))
        and _selects(match.objects, made.labels)
    )


def _is_under(rule: Rule, request: Request, made: _Attributes) -> bool:
    """Versions are not converted here: a rule for one counts for all (matchPolicy Equivalent)."""
    scope = "Namespaced" if made.namespace else "Cluster"
    return (
        bool(rule.groups & {"*", made.group})
        and bool(rule.versions)
        and bool(rule.resources & {"*", "*/*", made.resource})
        and bool(rule.operations & {"*", request.operation})
        and rule.scope in ("*", scope)
        and (not rule.names or made.name in rule.names)
    )


def _selects(needed: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    return all(_holds(each, labels) for each in needed)


def _holds(each: Requirement, labels: Mapping[str, str]) -> bool:
    match each.operator:
        case Operator.IN:
            return labels.get(each.key) in each.values
        case Operator.NOT_IN:
            return labels.get(each.key) not in each.values
        case Operator.EXISTS:
            return each.key in labels
        case Operator.DOES_NOT_EXIST:
            return each.key not in labels


def _denials(each: _Compiled, request: Request, made: _Attributes) -> Iterator[Denial]:
    if _has_nul(request.object) or _has_nul(request.old):
        # The evaluator sees the text before it alone, which may be all that is good.
        yield Denial(policy=each.policy.name, message="holds a NUL character")
        return
    scope = _Scope(inputs=_inputs(request, made), variables=each.variables)
    try:
        if not all(_is_true(scope.evaluate(one)) for one in each.conditions):
            return
    except EvaluationError as exc:
        yield from _fault(each.policy, "a match condition", exc)
        return
    for check in each.checks:
        try:
            if _is_true(scope.evaluate(check.expression)):
                continue
        except EvaluationError as exc:
            text = f"expression '{check.expression.text}'"
            yield from _fault(each.policy, text, exc)
            continue
        said = _said(check, scope)
        yield Denial(policy=each.policy.name, message=said or check.message)


@dataclass(slots=True, kw_only=True)
class _Scope:
    """Inputs and variables of one policy and one object; a variable is computed when read."""

    inputs: Mapping[str, object]
    variables: Mapping[str, Expression]
    _values: dict[str, object] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)

    def evaluate(self, expression: Expression) -> object:
        """The value. Raises EvaluationError, also for a variable without one that is needed."""
        if not expression.variables:
            return expression.evaluate(self.inputs)
        for name in expression.variables:
            self._compute(name)
        known = {
            name: self._values[name]
            for name in expression.variables
            if name in self._values
        }
        return expression.evaluate({**self.inputs, "variables": known})

    def _compute(self, name: str) -> None:
        if name in self._values or name in self._broken:
            return
        try:
            self._values[name] = self.evaluate(self.variables[name])
        except EvaluationError:
            self._broken.add(name)  # absent: only who really needs it fails


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _is_true(value: object) -> bool:
    return value is True


def _fault(policy: Policy, what: str, exc: EvaluationError) -> Iterator[Denial]:
    if policy.fails_closed:
        yield Denial(policy=policy.name, message=f"{what} resulted in error: {exc}")


def _said(check: _Check, scope: _Scope) -> str:
    """The message that the policy computes; empty where it is of no use."""
    if check.said is None:
        return ""
    try:
        value = scope.evaluate(check.said)
    except EvaluationError:
        return ""
    text = value.strip() if isinstance(value, str) else ""
    return "" if "\n" in text or len(text.encode()) > MAX_MESSAGE else text


def _inputs(request: Request, made: _Attributes) -> dict[str, object]:
    kind = {"group": made.group, "version": made.version, "kind": made.kind}
    resource = {
        "group": made.group,
        "version": made.version,
        "resource": made.resource,
    }
    about: dict[str, object] = {
        "kind": kind,
        "requestKind": kind,
        "resource": resource,
        "requestResource": resource,
        "operation": request.operation,
        "namespace": made.namespace,
        "name": made.name,
        "dryRun": False,
    }
    if request.user is not None:
        about["userInfo"] = {"username": request.user}
    namespace = {
        "metadata": {"name": made.namespace, "labels": dict(request.namespace_labels)}
    }
    return {
        "object": request.object,
        "oldObject": request.old,
        "request": about,
        "namespaceObject": namespace if made.namespace else None,
        "variables": {},
    }

"""Reads ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding documents; pure.

What is written wrong is an error with its file and line. What is right but cannot be judged
without a cluster (parameters) stays in the set with the reason, so that it can be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler import yamlio
from reconciler.errors import Usage
from reconciler.printable import one_line

GROUP = "admissionregistration.k8s.io"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
Doc = Mapping[str, object]


class Operator(StrEnum):
    """How a label selector compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One condition of a label selector."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which requests: `*` stands for all; `names` empty for all."""

    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[str]
    operations: frozenset[str]
    names: frozenset[str]
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`matchConstraints` or `matchResources`; `rules` None means every resource."""

    rules: tuple[Rule, ...] | None = None
    excluded: tuple[Rule, ...] = ()
    namespaces: tuple[Requirement, ...] = ()
    objects: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A variable or a match condition."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One rule and what to say when it does not hold."""

    expression: str
    message: str = ""
    message_expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy; `where` is `file:line`, `has_params` that it needs another object."""

    name: str
    where: str
    fails_closed: bool
    has_params: bool
    match: Match
    conditions: tuple[Named, ...]
    variables: tuple[Named, ...]
    validations: tuple[Validation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What puts a policy to work; only `denies` counts here, warnings and audits do not."""

    name: str
    policy: str
    denies: bool
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """Policies and bindings by name; a later one of a name replaces the earlier."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    bindings: Mapping[str, Binding] = field(default_factory=dict)

    def __or__(self, other: PolicySet) -> PolicySet:
        return PolicySet(
            policies={**self.policies, **other.policies},
            bindings={**self.bindings, **other.bindings},
        )


def parse_policies(path: str, data: bytes) -> PolicySet:
    """All policies and bindings of a file. Raises Usage with file and line."""
    try:
        documents = yamlio.load_all(data, positions=True)
    except yamlio.Unreadable as exc:
        raise Usage(exc.what, where=f"{path}:{exc.line}") from exc
    made = PolicySet()
    for document in documents:
        where = f"{path}:{document.position(('kind',))[0]}"
        try:
            made |= _parsed(document.data, where)
        except ValueError as exc:
            raise Usage(str(exc), where=where) from exc
    return made


def _parsed(body: object, where: str) -> PolicySet:
    top = _mapping(body, "the document")
    group, _, _ = _text(top, "apiVersion").partition("/")
    kind = _text(top, "kind")
    name = _text(_mapping(top.get("metadata"), "metadata"), "name")
    spec = _mapping(top.get("spec"), "spec")
    if group != GROUP or kind not in (POLICY, BINDING):
        raise ValueError(
            f"{one_line(kind, 60)} is neither a {POLICY} nor a {BINDING} of {GROUP}"
        )
    if kind == BINDING:
        return PolicySet(bindings={name: _binding(name, spec)})
    return PolicySet(policies={name: replace(_policy(name, spec), where=where)})


_POLICY_KEYS = (
    *("failurePolicy", "paramKind", "matchConstraints", "matchConditions"),
    *("variables", "validations", "auditAnnotations"),
)


def _policy(name: str, spec: Doc) -> Policy:
    _only(spec, *_POLICY_KEYS)
    policy = spec.get("failurePolicy", "Fail")
    if policy not in ("Fail", "Ignore"):
        raise ValueError("failurePolicy: expected Fail or Ignore")
    return Policy(
        name=name,
        where="",
        fails_closed=policy == "Fail",
        has_params="paramKind" in spec,
        match=_match(spec.get("matchConstraints"), "matchConstraints"),
        conditions=tuple(_named(spec, "matchConditions")),
        variables=tuple(_named(spec, "variables")),
        validations=tuple(_validations(spec)),
    )


def _binding(name: str, spec: Doc) -> Binding:
    _only(spec, "policyName", "paramRef", "matchResources", "validationActions")
    return Binding(
        name=name,
        policy=_text(spec, "policyName"),
        denies="Deny" in _texts(spec, "validationActions"),
        match=_match(spec.get("matchResources"), "matchResources"),
    )


def _named(spec: Doc, key: str) -> Iterator[Named]:
    for item in _mappings(spec, key):
        _only(item, "name", "expression")
        yield Named(name=_text(item, "name"), expression=_text(item, "expression"))


def _validations(spec: Doc) -> Iterator[Validation]:
    for item in _mappings(spec, "validations"):
        _only(item, "expression", "message", "messageExpression", "reason")
        yield Validation(
            expression=_text(item, "expression"),
            message=_text(item, "message", ""),
            message_expression=_text(item, "messageExpression", ""),
        )


def _match(value: object, what: str) -> Match:
    if value is None:
        return Match()
    body = _mapping(value, what)
    _only(
        body,
        *("resourceRules", "excludeResourceRules", "matchPolicy"),
        *("namespaceSelector", "objectSelector"),
    )
    rules = tuple(map(_rule, _mappings(body, "resourceRules")))
    return Match(
        rules=rules or None,
        excluded=tuple(map(_rule, _mappings(body, "excludeResourceRules"))),
        namespaces=tuple(_requirements(body.get("namespaceSelector"))),
        objects=tuple(_requirements(body.get("objectSelector"))),
    )


def _rule(body: Doc) -> Rule:
    _only(
        body,
        *("apiGroups", "apiVersions", "operations", "resources"),
        *("resourceNames", "scope"),
    )
    return Rule(
        groups=frozenset(_texts(body, "apiGroups")),
        versions=frozenset(_texts(body, "apiVersions")),
        resources=frozenset(_texts(body, "resources")),
        operations=frozenset(_texts(body, "operations")),
        names=frozenset(_texts(body, "resourceNames")),
        scope=_text(body, "scope", "*"),
    )


def _requirements(value: object) -> Iterator[Requirement]:
    if value is None:
        return
    body = _mapping(value, "a label selector")
    _only(body, "matchLabels", "matchExpressions")
    labels = _mapping(body.get("matchLabels", {}), "matchLabels")
    for key in labels:
        wanted = frozenset({_text(labels, key)})
        yield Requirement(key=key, operator=Operator.IN, values=wanted)
    for item in _mappings(body, "matchExpressions"):
        _only(item, "key", "operator", "values")
        yield Requirement(
            key=_text(item, "key"),
            operator=Operator(_text(item, "operator")),
            values=frozenset(_texts(item, "values")),
        )


def _only(body: Doc, *keys: str) -> None:
    for key in body:
        if key not in keys:
            raise ValueError(f"unknown key {one_line(str(key), 60)!r}")


def _mapping(value: object, what: str) -> Doc:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what}: expected a mapping")
    return value


def _mappings(body: Doc, key: str) -> list[Doc]:
    return [_mapping(each, key) for each in _items(body, key)]


def _texts(body: Doc, key: str) -> list[str]:
    items = _items(body, key)
    if not all(isinstance(each, str) for each in items):
        raise ValueError(f"{key}: expected texts")
    return [str(each) for each in items]


def _items(body: Doc, key: str) -> Iterable[object]:
    value = body.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key}: expected a list")
    return value


def _text(body: Doc, key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{one_line(key, 60)}: expected a text")
    return value

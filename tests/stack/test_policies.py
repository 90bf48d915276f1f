"""The admission policies of `policies/`: a real API server and the offline judge agree."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.policies.judge import Denial, Judge, Request
from tests import policy_cases as table
from tests import policy_expressions as expressions
from tests.policy_objects import placed, tenants
from tests.stack.api import MERGE, Api, ApiError
from tests.stack.documents import Document, Ref, load
from tests.stack.kube import Cluster
from tests.stack.process import wait_until

pytestmark = pytest.mark.stack

ROLE = Path(__file__).parents[2] / "manifests" / "rbac-workload.yaml"
ACCOUNT = "system:serviceaccount:wharfinger:wharfinger"
DENIED = re.compile(
    r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)\Z",
    re.DOTALL,
)
DRY = "?dryRun=All&fieldManager=tests"


@pytest.fixture
def installed(hub: Cluster, namespace: str) -> Iterator[None]:
    """All policies applied and at work, and gone afterwards."""
    files = sorted(table.FOLDER.rglob("*.yaml"))
    documents = [each for file in files for each in load(file.read_text())]
    hub.api.apply(documents)
    labelled = {"metadata": {"labels": table.LABELS}}
    hub.api.patch(Ref("v1", "Namespace", namespace), labelled)
    wait_until(lambda: all(at_work(hub.api, namespace)), "all policies work")
    yield
    for document in documents:
        name = document["metadata"]["name"]
        hub.api.delete(Ref(document["apiVersion"], document["kind"], name))
    wait_until(lambda: not any(at_work(hub.api, namespace)), "no policy works")


def at_work(api: Api, namespace: str) -> list[bool]:
    """For each policy: does it refuse what it has to? The server takes a moment for both."""
    first = {case.policy: case for case in table.cases() if case.policy}
    return [
        tried(api, case.document, "default" if case.tenant else namespace) is not None
        for case in first.values()
    ]


def tried(api: Api, document: Document, namespace: str) -> Denial | None:
    """What the API server says to the object; anything but a policy's word is an error."""
    moved = placed(document, namespace)
    ref = Ref(moved["apiVersion"], moved["kind"], "", namespace)
    return denial(api, "POST", api.path(ref) + DRY, moved)


def denial(api: Api, method: str, path: str, body: Document) -> Denial | None:
    """The denial of a dry run, or None when it passes."""
    content = MERGE if method == "PATCH" else "application/json"
    try:
        api.call(method, path, body, content=content)
    except ApiError as error:
        found = DENIED.search(str(error))
        if found is None:
            raise AssertionError(f"refused, but not by a policy: {error}") from error
        return Denial(policy=found[1], message=found[2])
    return None


def test_the_offline_judge_and_the_api_server_agree(
    hub: Cluster, namespace: str, installed: None
) -> None:
    judge = Judge.of(table.all_policies())
    differing = []
    for case in table.cases():
        where = "default" if case.tenant else namespace
        labels = {} if case.tenant else table.LABELS
        document = placed(case.document, where)
        request = Request(object=document, user="admin", namespace_labels=labels)
        try:
            server = tried(hub.api, case.document, where)
        except AssertionError as error:
            differing.append(f"{case.name}: {error}")
            continue
        offline = judge.judge(request)
        expected = server is None if not case.policy else _is(server, case)
        agreed = server in offline if server is not None else not offline
        if not agreed or not expected:
            differing.append(f"{case.name}: server {server}, offline {offline}")
    assert not differing, "\n".join(differing)


def _is(found: Denial | None, case: table.Case) -> bool:
    return (
        found is not None
        and found.policy == case.policy
        and case.words in found.message
    )


ODD = (
    *(
        "",
        "*",
        "a",
        "Same",
        "All",
        "TLS",
        "TCP",
        "DNS",
        "mesh",
        "localhost",
        "127.0.0.1",
    ),
    *("10.0.0.1", "fe80::1", "64:ff9b::7f00:1", "a.example.com", "*.example.com"),
    *(
        "Gateway",
        "Service",
        "Hostname",
        "Backend",
        "a.ingress.internal",
        "ingress/public",
    ),
)
PORTS = (0, 1, 443, 10443, 15021, 19000, 20017, 65535)


def mutated(value: Any, chance: random.Random) -> Any:
    """A copy with one thing gone, doubled, or replaced by something of its type."""
    match value:
        case dict() if value:
            key = chance.choice(sorted(value))
            if chance.random() < 0.2:
                return {k: v for k, v in value.items() if k != key}
            return {**value, key: mutated(value[key], chance)}
        case list() if value:
            index = chance.randrange(len(value))
            changed = mutated(value[index], chance)
            kept = (
                value if chance.random() < 0.5 else value[:index] + value[index + 1 :]
            )
            return [*kept, changed]
        case str():
            return chance.choice(ODD)
        case int():
            return chance.choice(PORTS)
    return value


def test_the_offline_judge_and_the_api_server_agree_on_objects_made_by_chance(
    hub: Cluster, namespace: str, installed: None
) -> None:
    """Objects of the table with up to three mutations; those that the schema refuses are left."""
    judge, chance = Judge.of(table.all_policies()), random.Random(4)
    counts = {True: 0, False: 0}
    differing = []
    for case in table.cases() * 4:
        where = "default" if case.tenant else namespace
        document = placed(case.document, where)
        for _ in range(chance.randint(1, 3)):
            part = "metadata" if case.tenant else "spec"
            document = {**document, part: mutated(document[part], chance)}
        document["metadata"] = {**document["metadata"], "name": "a", "namespace": where}
        labels = {} if case.tenant else table.LABELS
        request = Request(object=document, user="admin", namespace_labels=labels)
        path = hub.api.path(Ref(document["apiVersion"], document["kind"], "", where))
        try:
            server = denial(hub.api, "POST", path + DRY, document)
        except AssertionError:
            continue
        offline = judge.judge(request)
        counts[server is None] += 1
        if server not in offline if server is not None else offline:
            differing.append(f"{document}: server {server}, offline {offline}")
    assert not differing, "\n".join(differing)
    assert min(counts.values()) > 100, counts


VALID, INVALID = "valid", "invalid"
PORT = "wharfinger.dev/request-port"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Annotations that change (None: gone) on an object, and what the policies say."""

    of: str = VALID
    change: Document = field(default_factory=dict)
    by_us: bool = False
    words: str = ""


UPDATES = {
    "as it was": Update(),
    "another's annotation": Update(change={"example.com/team": "a"}),
    "state": Update(
        change={"wharfinger.dev/state": "Ready"},
        words="wharfinger.dev/state is written by",
    ),
    "state by us": Update(change={"wharfinger.dev/state": "Ready"}, by_us=True),
    "state gone": Update(change={"wharfinger.dev/state": None}),
    "host": Update(change={"wharfinger.dev/host": "a.b"}, words="dev/host is written"),
    "host by us": Update(change={"wharfinger.dev/host": "a.b"}, by_us=True),
    "valid wish": Update(change={"wharfinger.dev/failover": "any"}),
    "invalid wish": Update(change={PORT: "x"}, words="request-port must be"),
    "typo": Update(change={"wharfinger.dev/hots": "x"}, words="no annotation"),
    "not exposed": Update(change={"wharfinger.dev/expose": None}),
    "port gone": Update(change={PORT: None}),
    "invalid as it was": Update(of=INVALID),
    "invalid, another's": Update(of=INVALID, change={"example.com/team": "a"}),
    "invalid, state by us": Update(
        of=INVALID, change={"wharfinger.dev/state": "Rejected"}, by_us=True
    ),
    "invalid, another wish": Update(
        of=INVALID,
        change={"wharfinger.dev/failover": "any"},
        words="request-port must be",
    ),
    "mended": Update(of=INVALID, change={PORT: "20017"}),
}


@pytest.fixture
def standing(hub: Cluster) -> Iterator[dict[str, Document]]:
    """Two exposures from before the policies, one of them invalid, written to by us."""
    hub.api.apply(load(ROLE.read_text()))
    made = {}
    for name, port in ((VALID, "20017"), (INVALID, "020017")):
        document = placed(tenants(expose="tcp", request_port=port), "default")
        document["metadata"]["name"] = name
        hub.api.apply(document)
        pending = {"metadata": {"annotations": {"wharfinger.dev/state": "Pending"}}}
        made[name] = hub.api.patch(Ref.of(document), pending)
    yield made
    for document in made.values():
        hub.api.delete(Ref.of(document))


def test_updates_are_judged_by_what_they_change(
    hub: Cluster, standing: dict[str, Document], installed: None
) -> None:
    """An object that was invalid before the policies stays usable; ours stays ours."""
    ours = Api(hub.service_account("wharfinger", "wharfinger"))
    judge = Judge.of(table.all_policies())
    differing = []
    for name, update in UPDATES.items():
        old = standing[update.of]
        api, user = (ours, ACCOUNT) if update.by_us else (hub.api, "admin")
        patch = {"metadata": {"annotations": update.change}}
        server = denial(api, "PATCH", api.path(Ref.of(old)) + DRY, patch)
        now = changed(old, update.change)
        offline = judge.judge(Request(object=now, old=old, user=user))
        agreed = server in offline if server is not None else not offline
        said = server.message if server is not None else ""
        if not agreed or (update.words not in said if update.words else said):
            differing.append(f"{name}: server {server}, offline {offline}")
    ours.close()
    assert not differing, "\n".join(differing)


def changed(document: Document, annotations: Document) -> Document:
    """The object with annotations merged into its own."""
    metadata = document["metadata"]
    merged = {**metadata["annotations"], **annotations}
    kept = {key: value for key, value in merged.items() if value is not None}
    return {**document, "metadata": {**metadata, "annotations": kept}}


@pytest.fixture
def tried_expressions(hub: Cluster, namespace: str) -> Iterator[None]:
    """The policy of all expressions at work."""
    documents = expressions.policy()
    hub.api.apply(documents)
    false = list(expressions.EXPRESSIONS.values()).index("false")
    canary = expressions.config_map(false, namespace)
    path = hub.api.path(Ref("v1", "ConfigMap", "", namespace)) + DRY
    wait_until(lambda: denial(hub.api, "POST", path, canary), "the policy works")
    yield
    for document in documents:
        hub.api.delete(Ref.of(document))


def test_expressions_mean_the_same_offline_and_on_the_api_server(
    hub: Cluster, namespace: str, tried_expressions: None
) -> None:
    path = hub.api.path(Ref("v1", "ConfigMap", "", namespace)) + DRY
    found = {}
    for index, text in enumerate(expressions.EXPRESSIONS):
        document = expressions.config_map(index, namespace)
        said = denial(hub.api, "POST", path, document)
        error = said is not None and "resulted in error" in said.message
        found[text] = "true" if said is None else "error" if error else "false"
    assert found == expressions.EXPRESSIONS

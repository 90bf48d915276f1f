"""What sources do alike with a hub's objects: trim them, name Secrets, read answers; pure.

Everything in an object may be of any shape: only RefusedKubeconfig is raised for what one says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.kubeerrors import NotFound
from reconciler.loaders import RefusedKubeconfig, from_kubeconfig, secret_text
from reconciler.model.access import Credentials
from reconciler.model.clusters import Unknown, Why
from reconciler.names import is_dns_name
from reconciler.observe import parse
from reconciler.observe.inventories.source import Fetched, Reference
from reconciler.settings_inventories import Allow

Json = Mapping[str, Any]


def trimmed(
    body: Json, spec: tuple[str, ...] = (), status: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What is kept of an object: its id, whether it is being deleted, and these fields.

    Heartbeats and whatever else changes all the time are left behind.
    """
    metadata = parse.mapping(body.get("metadata"))
    return {
        "uid": parse.cluster_id(metadata.get("uid")),
        "deleting": bool(metadata.get("deletionTimestamp")),
        "spec": _only(body.get("spec"), spec),
        "status": _only(body.get("status"), status),
    }


def _only(value: object, keys: tuple[str, ...]) -> dict[str, Any]:
    found = parse.mapping(value)
    return {key: found[key] for key in keys if key in found}


def conditions(body: Json) -> dict[str, str]:
    """The `status` (`True`, `False`, `Unknown`) of each condition by its type."""
    listed = parse.items(parse.mapping(body.get("status")).get("conditions"))
    return {
        parse.text(each.get("type")): parse.text(each.get("status"))
        for each in map(parse.mapping, listed)
    }


def secret(namespace: object, name: object, *, of: str) -> Reference | None:
    """The Secret of this name, `None` for what is no name: it could be another path.

    `of` is the foreign name of the cluster whose credentials it has.
    """
    return _core("secrets", namespace, name, of)


def config_map(namespace: object, name: object, *, of: str) -> Reference | None:
    """The ConfigMap of this name, `None` for what is no name."""
    return _core("configmaps", namespace, name, of)


def _core(plural: str, namespace: object, name: object, of: str) -> Reference | None:
    space, called = parse.text(namespace), parse.text(name)
    if not (is_dns_name(space) and is_dns_name(called)):
        return None
    return Reference(path=f"/api/v1/namespaces/{space}/{plural}/{called}", of=of)


def answer(fetched: Fetched, wanted: Reference | None, where: str) -> Json:
    """What a reference led to. Raises RefusedKubeconfig, which says what is to be done."""
    if wanted is None:
        raise RefusedKubeconfig("what it names is no name of a Secret", where)
    what = _described(wanted)
    found = fetched.get(wanted)
    if isinstance(found, Mapping):
        return found
    if found is None:
        raise RefusedKubeconfig(f"{what} is not read yet", where, why=Why.INCOMPLETE)
    if isinstance(found, NotFound):
        raise RefusedKubeconfig(f"{what} is not there", where, why=Why.UNAUTHORISED)
    verb = "create" if wanted.body else "get"
    hint = f"grant {verb} at the hub" if found.why is Why.FORBIDDEN else ""
    raise RefusedKubeconfig(f"{what}: {found.what}", where, why=found.why, hint=hint)


def _described(wanted: Reference) -> str:
    _, _, inside = wanted.path.partition("/namespaces/")
    namespace, plural, *name = inside.split("/")
    return f"{plural} {namespace}/{'/'.join(name)}"


def from_secret(
    found: Json, keys: tuple[str, ...], allow: Allow, where: str
) -> Credentials:
    """Credentials of the kubeconfig under the first of the keys that a Secret has.

    Raises RefusedKubeconfig.
    """
    data = parse.mapping(found.get("data"))
    key = next((each for each in keys if each in data), keys[0])
    return from_kubeconfig(secret_text(found, key, where), allow, where)


def from_halves(cluster: Json, user: Json, allow: Allow, where: str) -> Credentials:
    """Credentials of the two halves of a kubeconfig, as strictly as of a whole one.

    Raises RefusedKubeconfig.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    return from_kubeconfig(json.dumps(document), allow, where)


def pem(value: object) -> str:
    """A CA bundle that no credentials vouch for: ASCII, or none, since TLS reads nothing else."""
    text = parse.text(value)
    return text if text.isascii() else ""


def or_unknown(ask: Callable[[], Credentials]) -> Credentials | Unknown:
    """What was asked for, or why it was refused: that is one cluster's trouble."""
    try:
        return ask()
    except RefusedKubeconfig as exc:
        return exc.unknown()


def shown(value: object) -> str:
    """A stranger's text for a message: printable, short, in quotes."""
    return ascii(parse.text(value)[:64])

"""An ingress repository with a past, and changes of it that a person commits on a branch.

Made by real passes: `orders` and `billing` are served on ports, `web` by SNI, `mq` on two ports,
the API of eu1 by SNI; `gone` left a tombstone, and the port of `first` was given to `second`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from reconciler import yamlio
from reconciler.cli import execute
from reconciler.headers import parse_addresses
from reconciler.model.units import Placement
from reconciler.names import endpoints_path, wish_path
from reconciler.render import render
from reconciler.settings_file import parse
from reconciler.wishes import digest_of, parse_wish
from tests import documents
from tests.ingress import PERSON, Done, Ingress

REUSED, TOMBSTONE = 20090, 20091
ORDERS = "manifests/public/eu1/shop/vs-orders.yaml"
ORDERS_AT = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
PORTS = {"orders": 20010, "billing": 20011}


def settings(**release: str) -> dict[str, object]:
    """Overrides of `Ingress.settings`: two gateways, relative clusters, hosts for tenants."""
    gateways = [
        {
            "name": "public",
            "renderer": "envoy-gateway",
            "namespace": "ingress",
            "ports": {"range": "20000-20099", "exclude": [20050]},
        },
        {
            "name": "edge",
            "renderer": "envoy",
            "namespace": "edge",
            "host": "edge.example.com",
            "ports": {"range": "20000-20099"},
        },
    ]
    tenant = {
        "clusters": ["*"],
        "gateways": ["public"],
        "endpoints": ["10.20.0.0/16"],
        "hosts": [".apps.example.com"],
    }
    return {
        "gateways": gateways,
        "inventories": [{"name": "lab", "directory": {"path": "clusters"}}],
        "tenants": [tenant],
        "release": {"drain": "0s", **release},
    }


def asking(port: int) -> dict[str, str]:
    """The annotation that asks for a port."""
    return {"wharfinger.dev/request-port": str(port)}


def with_a_past(root: Path) -> Ingress:
    """The repository at its base, `main`."""
    ingress = Ingress(root=root).start(**settings(quarantine="0s"))
    api = {
        "apiVersion": "wharfinger.dev/v1alpha1",
        "kind": "Cluster",
        "apiServers": [{"host": "10.20.0.11", "port": 6443}],
    }
    ingress.write("eu1/cluster.yaml", api)
    for name, port in PORTS.items():
        ingress.expose("eu1", name, annotations=asking(port))
    ingress.write("eu1/mq.yaml", queue())
    ingress.write("eu1/svc-mq.yaml", documents.service("mq", 31002))
    ingress.write("eu1/web.yaml", web("web.apps.example.com"))
    ingress.write("eu1/svc-web.yaml", documents.service("web", 31003))
    for name, port in (("first", REUSED), ("gone", TOMBSTONE)):
        ingress.expose("eu1", name, annotations=asking(port))
    passed(ingress)
    for name in ("first", "gone"):
        (ingress.clusters / "eu1" / f"{name}.yaml").unlink()
    passed(ingress)
    ingress.git("tag", "-f", "released", "main", at=ingress.remote)
    ingress.expose("eu1", "second", annotations=asking(REUSED))
    passed(ingress)
    later = ingress.settings(**settings(quarantine="24h"))
    ingress.commit({"wharfinger.yaml": later}, "Let ports rest for a day")
    return ingress


def queue() -> dict[str, object]:
    """`mq`: two routes."""
    made = documents.virtual_service("mq")
    routes = [
        {
            "match": [{"port": port}],
            "route": [{"destination": {"host": "mq", "port": {"number": 5432}}}],
        }
        for port in (5672, 15672)
    ]
    return {**made, "spec": {"hosts": ["mq.shop.svc.cluster.local"], "tcp": routes}}


def web(host: str) -> dict[str, object]:
    """`web`: SNI passthrough for one host."""
    made = documents.virtual_service(
        "web", annotations={"wharfinger.dev/expose": "tls"}
    )
    route = [{"destination": {"host": "web", "port": {"number": 5432}}}]
    tls = [{"match": [{"port": 443, "sniHosts": [host]}], "route": route}]
    return {**made, "spec": {"hosts": [host], "tls": tls}}


def passed(ingress: Ingress) -> None:
    """One pass that commits."""
    done = here(ingress, "reconcile", "-o", "json", "--write-back=off")
    assert done.code == 0, done.err + done.out


def copied(ingress: Ingress, root: Path) -> Ingress:
    """A repository and its clusters of one's own."""
    shutil.copytree(ingress.root, root, dirs_exist_ok=True, symlinks=True)
    made = Ingress(root=root, environment=dict(ingress.environment))
    made.git("remote", "set-url", "origin", str(made.remote))
    made.pull()
    return made


@dataclass(slots=True)
class Branch:
    """A person's branch, from the base on; methods edit its work tree."""

    ingress: Ingress
    name: str

    def start(self) -> Branch:
        """Check the base out."""
        self.ingress.git("checkout", "-q", "-f", "-B", self.name, "origin/main")
        self.ingress.git("clean", "-q", "-f", "-d", "-x")
        return self

    def read(self, path: str) -> str:
        return (self.ingress.work / path).read_text()

    def write(self, path: str, text: str | bytes) -> None:
        target = self.ingress.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        before = self.read(path)
        assert old in before, before
        self.write(path, before.replace(old, new))

    def remove(self, *paths: str) -> None:
        for path in paths:
            (self.ingress.work / path).unlink()

    def link(self, path: str, to: str) -> None:
        target = self.ingress.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(to)

    def run_by(self, path: str) -> None:
        """Make a file executable."""
        (self.ingress.work / path).chmod(0o755)

    def submodule(self, path: str) -> None:
        """A gitlink, as a submodule is one."""
        tip = self.ingress.tip()
        self.ingress.git("update-index", "--add", "--cacheinfo", f"160000,{tip},{path}")
        (self.ingress.work / path).mkdir(parents=True)

    def git(self, *args: str) -> str:
        return self.ingress.git(*args)

    def placement(self, path: str = ORDERS) -> Placement:
        """What a wish file of this branch says of itself."""
        found = parse_wish(self.read(path).encode())
        assert found is not None
        return found

    def render(self, placement: Placement, *, honest: bool = True) -> None:
        """Write both files of a unit as our renderers do; `honest` corrects the digest."""
        if honest:
            placement = replace(placement, digest=digest_of(placement))
        made = parse((self.ingress.work / "wharfinger.yaml").read_bytes())
        gateway = made.gateway(placement.gateway)
        assert gateway is not None
        known = parse_addresses(self.read(ORDERS_AT).encode())
        assert known is not None
        addresses = replace(known, unit=placement.wish.unit)
        files = render(placement, addresses, gateway, made)
        unit = placement.wish.unit
        self.write(wish_path(gateway.name, unit), files.wish)
        self.write(endpoints_path(gateway.name, unit), files.endpoints)

    def commit(self, message: str = "Improve things") -> None:
        """Commit all, if there is anything, and push the branch."""
        self.git("add", "-A")
        if self.git("status", "--porcelain"):
            self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{self.name}")

    def check(self, *args: str) -> Done:
        """The command on the change from main to this branch."""
        return here(self.ingress, "check", *self.asked, "-o", "json", *args)

    @property
    def asked(self) -> tuple[str, ...]:
        """What a person says to check this branch."""
        return ("--base", "main", "--branch", self.name)


def here(ingress: Ingress, *args: str) -> Done:
    """A command as `Ingress.run` runs it, in this process: starting Python takes longer."""
    environment = {
        **PERSON,
        "XDG_CACHE_HOME": str(ingress.root / "cache"),
        "WHARFINGER_REPO": str(ingress.remote),
    }
    out, err = io.StringIO(), io.StringIO()
    twins = mock.patch.dict(os.environ, environment)
    with chdir(ingress.root), twins, redirect_stdout(out), redirect_stderr(err):
        code = execute(args)
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def codes(done: Done) -> set[str]:
    """The rules that were broken."""
    return {each["code"] for each in json.loads(done.out)["items"]}


def port_of(ingress: Ingress, name: str, route: str = "tcp") -> int:
    """The active port of an exposure at main."""
    for path in ingress.files("ports/public"):
        body = yamlio.load(ingress.show(path).encode())
        assert isinstance(body, dict)
        owner = body["owner"]
        held_by = (body["state"], owner["name"], owner["route"])
        if held_by == ("active", name, route):
            return int(body["port"])
    raise AssertionError(f"{name} has no port")

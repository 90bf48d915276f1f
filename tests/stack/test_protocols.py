"""Real protocols through real clients: Redis, PostgreSQL, and kubectl to a cluster's API."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler import yamlio
from tests import documents
from tests.stack import pins
from tests.stack.documents import Ref
from tests.stack.engines import flux, gitea, remote  # noqa: F401 - fixtures
from tests.stack.envoy_gateway import EnvoyGateway
from tests.stack.flux import Flux
from tests.stack.gitea import GitRemote
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.road import Road

pytestmark = pytest.mark.stack


@pytest.fixture(params=["workload_1", "workload_2"])
def road(
    request: pytest.FixtureRequest,
    hub: Cluster,
    remote: GitRemote,  # noqa: F811
    flux: Flux,  # noqa: F811
    namespace: str,
    address: str,
    tmp_path: Path,
) -> Iterator[Road]:
    """A road of Envoy Gateway and Flux to one of the workload clusters."""
    made = Road(
        hub=hub,
        workload=request.getfixturevalue(request.param),
        remote=remote,
        folder=tmp_path,
        renderer="envoy-gateway",
        engine=flux,
        namespace=namespace,
        node=address,
        first_port=20032,
    )
    made.prepare()
    yield made
    made.forget()


def heard(*argv: str, **environment: str) -> str:
    """What a client prints; empty when it failed."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        argv,
        env={**keep, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def redis(address: str, port: int) -> Iterator[None]:
    """A real Redis without persistence."""
    program = str(pins.system_program("redis-server"))
    options = [
        "--bind",
        address,
        "--port",
        str(port),
        "--save",
        "",
        "--protected-mode",
        "no",
    ]
    with _running([program, *options]):
        yield


@contextmanager
def postgres(address: str, port: int) -> Iterator[None]:
    """A real PostgreSQL with an empty database, as the user that Debian made for it."""
    bin_folder = pins.system_program("pg_ctl").resolve().parent
    user = pwd.getpwnam("postgres")
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "cwd": name}
        data = f"{name}/data"
        subprocess.run(
            [
                str(bin_folder / "initdb"),
                "-D",
                data,
                "-A",
                "trust",
                "-U",
                "team",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            **who,  # type: ignore[call-overload]
        )
        Path(data, "pg_hba.conf").write_text("host all all all trust\n")
        argv = [
            str(bin_folder / "postgres"),
            "-D",
            data,
            "-h",
            address,
            "-p",
            str(port),
            "-k",
            name,
        ]
        with _running(argv, **who):
            yield


@contextmanager
def _running(argv: list[str], **who: object) -> Iterator[None]:
    child = subprocess.Popen(
        argv,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **who,  # type: ignore[call-overload]
    )
    try:
        yield
    finally:
        child.terminate()
        child.wait(20)


def exposed(road: Road, *names: str) -> dict[str, int]:
    """Expose Services of these names; their node ports."""
    found = {}
    for name in names:
        road.service(name).close()
        document = documents.virtual_service(name, {name: 1}, None, road.space)
        road.workload.api.apply(document)
        live = road.workload.api.get(Ref("v1", "Service", name, road.space))
        found[name] = int(live["spec"]["ports"][0]["nodePort"])
    return found


def served(road: Road, name: str) -> int:
    """The port that is written back, once it serves."""
    ref = Ref("networking.istio.io/v1", "VirtualService", name, road.space)

    def port() -> str:
        road.wharfinger("prove")
        found = road.workload.api.get(ref)["metadata"]["annotations"]
        return str(found.get("wharfinger.dev/port", ""))

    wait_until(lambda: port() != "", f"{name} is served", seconds=60, poll=0.5)
    return int(port())


@pytest.mark.parametrize("road", ["workload_1"], indirect=True)
def test_redis_and_postgresql_answer_at_their_ports(
    road: Road, envoy_gateway: EnvoyGateway
) -> None:
    ports = exposed(road, "redis", "orders-db")
    with redis(road.node, ports["redis"]), postgres(road.node, ports["orders-db"]):
        road.wharfinger("reconcile")
        road.follow()
        road.apply()
        where = envoy_gateway.address(road.gateway, road.namespace)
        port = served(road, "redis")
        redis_cli = ("redis-cli", "-h", where, "-p", str(port))
        assert heard(*redis_cli, "SET", "berth", "7") == "OK"
        assert heard(*redis_cli, "GET", "berth") == "7"
        port = served(road, "orders-db")
        psql = (
            "psql",
            "-h",
            where,
            "-p",
            str(port),
            "-U",
            "team",
            "-d",
            "postgres",
            "-Atc",
        )
        wait_until(lambda: heard(*psql, "select 1") == "1", "PostgreSQL answers")
        assert heard(*psql, "select sum(n) from generate_series(1, 100) n") == "5050"
    for name in ports:
        road.workload.api.delete(
            Ref("networking.istio.io/v1", "VirtualService", name, road.space)
        )


def test_kubectl_reaches_a_cluster_with_the_kubeconfig_that_is_printed(
    road: Road, envoy_gateway: EnvoyGateway
) -> None:
    road.wharfinger("reconcile")
    road.follow()
    road.apply()
    where = envoy_gateway.address(road.gateway, road.namespace)
    printed = yamlio.load(
        road.wharfinger("kubeconfig", road.workload.name).out.encode()
    )
    assert isinstance(printed, dict)
    cluster = printed["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    if road.workload.name == "workload-1":
        assert host == "workload-1.k8s.example.com"
    else:
        assert host == "tcp.example.com"
        assert "tls-server-name" in cluster
    # What DNS would do: the wildcard record leads to the gateway.
    cluster["server"] = f"https://{where}:{port}"
    cluster.setdefault("tls-server-name", host)
    access = road.workload.service_account("reader", road.space)
    printed["users"][0]["user"] = {"token": access.token}
    path = road.folder / "printed"
    path.write_text(yamlio.dump(printed))
    kubectl: Callable[..., str] = lambda *args: heard(  # noqa: E731
        str(pins.binary("kubectl")), "--kubeconfig", str(path), *args
    )
    wait_until(
        lambda: "gitVersion" in kubectl("version", "-o", "json"),
        "the API answers",
        seconds=60,
    )
    assert "selfsubjectreviews" in kubectl("api-resources", "--verbs=create")

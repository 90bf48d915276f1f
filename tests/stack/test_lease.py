"""A Lease on a real API server: who works, hand-over, and two who both believe that they lead."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.kube import KubeApi, KubeError
from reconciler.kubeconfig import load_kubeconfig
from reconciler.lease import Lease, Place
from tests.ingress import COMMAND, PERSON, Ingress
from tests.soundness import ports_are_sound, times_made
from tests.stack.documents import Document, Ref, load
from tests.stack.kube import Cluster
from tests.stack.process import wait_until
from tests.stack.stack import Stack

pytestmark = pytest.mark.stack

MANIFESTS = Path(__file__).parents[2] / "manifests"
SPACE = "wharfinger"
SECONDS = 4
LEADS = "this process holds the lease"
FOLLOWS = "another process holds the lease"
# The first push waits inside the server until the file `go` is there.
HOOK = """#!/bin/sh
cd "$(dirname "$0")/../.."
if mkdir first 2>/dev/null; then
  touch waiting
  while [ ! -e go ]; do sleep 0.05; done
fi
exit 0
"""


@pytest.fixture(scope="module")
def platform(stack: Stack) -> Cluster:
    """A platform cluster with the roles of manifests/, and a ServiceAccount that has them."""
    cluster = stack.cluster("lease-platform", crds=())
    cluster.namespace(SPACE)
    cluster.api.apply(load((MANIFESTS / "rbac-lease.yaml").read_text()))
    return cluster


@pytest.fixture(scope="module")
def kubeconfig(platform: Cluster) -> Path:
    return platform.kubeconfig_file(platform.service_account("wharfinger", SPACE))


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Contest:
    """Processes, as far as a Lease is concerned, each with a clock of its own."""

    platform: Cluster
    kubeconfig: Path
    name: str
    clocks: dict[str, Clock] = field(default_factory=dict)

    def connect(self) -> KubeApi:
        credentials = load_kubeconfig(self.kubeconfig).credentials("lease-platform")
        return KubeApi(credentials, name="platform")

    def process(self, identity: str) -> Lease:
        clock = self.clocks[identity] = Clock()
        place = Place(namespace=SPACE, name=self.name, seconds=SECONDS)
        return Lease(self.connect, place, identity=identity, clock=clock)

    def spec(self) -> Document:
        ref = Ref("coordination.k8s.io/v1", "Lease", self.name, SPACE)
        return dict(self.platform.api.get(ref)["spec"])


@pytest.fixture
def contest(
    platform: Cluster, kubeconfig: Path, request: pytest.FixtureRequest
) -> Contest:
    name = request.node.name.replace("_", "-")[-60:].strip("-")
    return Contest(platform=platform, kubeconfig=kubeconfig, name=name)


def in_turn(contest: Contest, *steps: Callable[[KubeApi], Coroutine[Any, Any, None]]) -> None:  # fmt: skip
    async def all_of_them() -> None:
        async with contest.connect() as api:
            for step in steps:
                await step(api)

    asyncio.run(all_of_them())


def test_one_of_two_holds_it_and_renews(contest: Contest) -> None:
    one, two = contest.process("one"), contest.process("two")
    in_turn(contest, one.look, two.look)
    assert (one.held, two.held) == (True, False)
    before = contest.spec()
    in_turn(contest, one.look)
    after = contest.spec()
    assert before["holderIdentity"] == after["holderIdentity"] == "one"
    assert before["renewTime"] < after["renewTime"]
    assert before["acquireTime"] == after["acquireTime"]
    assert after["leaseTransitions"] == 0


def test_it_is_over_when_nothing_was_seen_to_change_for_its_time(
    contest: Contest,
) -> None:
    one, two = contest.process("one"), contest.process("two")
    in_turn(contest, one.look, two.look)
    contest.clocks["two"].now += SECONDS - 0.1
    in_turn(contest, two.look)
    assert not two.held
    contest.clocks["two"].now += 0.2
    in_turn(contest, two.look)
    assert (one.held, two.held) == (True, True)  # one has not looked again yet
    in_turn(contest, one.look)
    assert (one.held, two.held) == (False, True)
    assert contest.spec()["leaseTransitions"] == 1


def test_renewals_are_counted_by_the_clock_of_who_looks(contest: Contest) -> None:
    """A clock that is hours ahead takes nothing from a holder that renews."""
    one, two = contest.process("one"), contest.process("two")
    in_turn(contest, one.look, two.look)
    for _ in range(5):
        contest.clocks["two"].now += SECONDS - 0.5
        in_turn(contest, one.look, two.look)
    assert (one.held, two.held) == (True, False)


def test_what_a_holder_writes_as_its_time_is_not_compared(contest: Contest) -> None:
    one, two = contest.process("one"), contest.process("two")
    in_turn(contest, one.look)
    ref = Ref("coordination.k8s.io/v1", "Lease", contest.name, SPACE)
    found = contest.platform.api.get(ref)
    for renewed in ("1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        path = contest.platform.api.path(ref)
        patch = {"spec": {"renewTime": renewed, "leaseDurationSeconds": SECONDS}}
        contest.platform.api.call("PATCH", path, patch, content="application/merge-patch+json")  # fmt: skip
        in_turn(contest, two.look)
        assert not two.held
    contest.clocks["two"].now += SECONDS + 1
    in_turn(contest, two.look)
    assert two.held
    assert found["spec"]["holderIdentity"] == "one"


def test_of_many_at_once_one_gets_it(contest: Contest) -> None:
    several = [contest.process(f"p{index}") for index in range(8)]

    async def rush() -> None:
        async with contest.connect() as api:
            await asyncio.gather(*(each.look(api) for each in several))
            await asyncio.gather(*(each.look(api) for each in several))

    asyncio.run(rush())
    assert sum(each.held for each in several) == 1


def test_given_back_it_is_taken_at_the_next_look(contest: Contest) -> None:
    async def hand_over() -> tuple[bool, bool, Document]:
        one, two = contest.process("one"), contest.process("two")
        led = asyncio.Event()
        one.start(led.set)
        async with asyncio.timeout(30):
            await led.wait()
        await one.close()
        free = contest.spec()
        async with contest.connect() as api:
            await two.look(api)
        return one.held, two.held, free

    one, two, free = asyncio.run(hand_over())
    assert (one, two) == (False, True)
    assert "holderIdentity" not in free
    assert contest.spec()["leaseTransitions"] == 1


def test_a_holder_that_cannot_reach_the_api_goes_on(
    contest: Contest, kubeconfig: Path, tmp_path: Path
) -> None:
    body = json.loads(kubeconfig.read_text())
    reachable = True

    def connect() -> KubeApi:
        there = json.loads(json.dumps(body))
        if not reachable:
            there["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(there))
        return KubeApi(load_kubeconfig(path).credentials("lease-platform"), name="p")

    async def lose_sight() -> tuple[bool, bool]:
        nonlocal reachable
        place = Place(namespace=SPACE, name=contest.name, seconds=2)
        one = Lease(connect, place, identity="one", clock=Clock())
        led = asyncio.Event()
        one.start(led.set)
        async with asyncio.timeout(30):
            await led.wait()
        reachable = False
        with pytest.raises(KubeError):
            async with connect() as api:
                await one.look(api)
        still = one.held
        late = Lease(connect, place, identity="late")
        with pytest.raises(KubeError):
            async with connect() as api:
                await late.look(api)
        await one.close()
        return still, late.held

    assert asyncio.run(lose_sight()) == (True, False)


@dataclass
class Running:
    """One `wharfinger run` with a cache and a log of its own."""

    process: subprocess.Popen[str]
    log: Path

    def said(self, what: str) -> int:
        return self.log.read_text().count(f'"event": "{what}"')

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@contextmanager
def running(place: Ingress, name: str) -> Iterator[Running]:
    log = place.root / f"{name}.log"
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    lease = f"--lease={SPACE}/{place.root.name}"
    args = ["run", "--interval=0.5", lease, f"--lease-seconds={SECONDS}", "--write-back=off"]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(COMMAND), *args],
            cwd=place.root,
            env={
                **keep,
                **PERSON,
                "XDG_CACHE_HOME": str(place.root / f"cache-{name}"),
                "WHARFINGER_REPO": str(place.remote),
            },
            stdout=out,
            stderr=out,
            text=True,
        )
        try:
            yield Running(process=process, log=log)
        finally:
            if process.poll() is None:
                process.kill()  # also when it is stopped
            process.wait(timeout=30)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def place(tmp_path: Path, platform: Cluster, kubeconfig: Path) -> Ingress:
    root = tmp_path / f"p-{os.urandom(4).hex()}"
    return Ingress(root=root).start(
        platform={"context": "lease-platform", "kubeconfig": str(kubeconfig)},
        watch={"quiet": "0s", "longest": "1s"},
        release={"quarantine": "0s", "drain": "0s"},
    )


def served(place: Ingress, *names: str) -> Callable[[], bool]:
    wanted = {f"manifests/public/eu1/shop/vs-{name}.yaml" for name in names}

    def there() -> bool:
        started = place.git("branch", at=place.remote)
        return bool(started) and wanted <= set(place.files("manifests"))

    return there


def leads(one: Running) -> Callable[[], bool]:
    return lambda: one.said(LEADS) > 0


def history_is_sound(place: Ingress) -> None:
    """Nothing is lost, undone or made twice."""
    ports_are_sound(place)
    assert set(times_made(place).values()) == {1}


def test_one_of_two_processes_works_and_hands_over(place: Ingress) -> None:
    """SIGTERM gives the Lease back; kill -9 lets it run out."""
    with ExitStack() as open_:
        first = open_.enter_context(running(place, "first"))
        wait_until(leads(first), "the first process leads", seconds=60)
        second = open_.enter_context(running(place, "second"))
        wait_until(served(place, "orders"), "orders served", seconds=60)
        wait_until(lambda: second.said(FOLLOWS) > 0, "the second waits", seconds=60)
        place.expose("eu1", "carts")
        wait_until(served(place, "carts"), "carts served", seconds=60)
        assert second.said("pass done") == 0

        first.signal(signal.SIGTERM)
        assert first.process.wait(timeout=30) == 0
        assert first.said("the lease was given back") == 1
        wait_until(leads(second), "the second process leads", seconds=60)
        place.expose("eu1", "mail")
        wait_until(served(place, "mail"), "mail served", seconds=60)

        third = open_.enter_context(running(place, "third"))
        wait_until(lambda: third.said(FOLLOWS) > 0, "the third waits", seconds=60)
        second.signal(signal.SIGKILL)
        wait_until(leads(third), "the third process leads", seconds=60)
        place.expose("eu1", "news")
        wait_until(served(place, "news"), "news served", seconds=60)
    history_is_sound(place)


def test_a_leader_that_was_paused_in_its_push_harms_nothing(place: Ingress) -> None:
    """Both believe that they lead; the branch has moved, so the late push is refused."""
    hook = place.remote / "hooks" / "pre-receive"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    for name in ("carts", "mail"):
        place.expose("eu1", name)
    with ExitStack() as open_:
        first = open_.enter_context(running(place, "first"))
        waiting = place.root / "waiting"
        wait_until(waiting.exists, "the first process pushes", seconds=60)
        first.signal(signal.SIGSTOP)
        second = open_.enter_context(running(place, "second"))
        wait_until(leads(second), "the second process leads", seconds=60)
        wait_until(served(place, "orders", "carts", "mail"), "all served", seconds=60)
        place.expose("eu1", "news")
        wait_until(served(place, "news"), "news served", seconds=60)
        tip = place.tip()

        (place.root / "go").touch()
        first.signal(signal.SIGCONT)
        wait_until(
            lambda: first.said("lost the race for the branch") > 0,
            "its push is refused",
            seconds=60,
        )
        wait_until(lambda: first.said(FOLLOWS) > 0, "it sees the other", seconds=60)
        assert place.tip() == tip
        place.expose("eu1", "late")
        wait_until(served(place, "late"), "late served", seconds=60)
    history_is_sound(place)

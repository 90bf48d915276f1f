"""What `run` does when, in simulated time: windows, second looks, alarms, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler import yamlio
from reconciler.errors import Exit, Unavailable
from reconciler.ledger import counts
from reconciler.live import passing, slices
from reconciler.live.loop import Loop
from reconciler.model.updates import Delta
from reconciler.passes import PassResult
from reconciler.plan import index as plan_index
from reconciler.repo import Credentials, Remote, Repository
from tests.builders import node
from tests.integration.remotes import draft, git
from tests.simulation.churn import SETTINGS
from tests.simulation.clock import now
from tests.simulation.fleet import FleetWatcher, Sky, exposed
from tests.simulation.rig import Rig, made, missed, time


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_change_is_pushed_when_it_has_rested(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(20)

    rig.play(story)
    assert rig.pushed("c1", "vs0")[1:] == [(32, "M")]
    assert rig.ended is Exit.DONE


def test_changes_within_a_window_are_one_push(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        for version in (1, 2, 3):
            rig.fleet.apply("c1", "vs0", exposed("vs0", version))
            await asyncio.sleep(1)
        rig.fleet.apply("c2", "vs1", exposed("vs1", 1))
        await asyncio.sleep(20)

    rig.play(story)
    assert rig.pushed("c1", "vs0")[1:] == [(34, "M")]
    assert rig.pushed("c2", "vs1")[1:] == [(36, "M")]  # its own window, its own push


def test_what_never_rests_delays_nothing_else_of_its_cluster(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        for second in range(40):
            rig.fleet.apply("c1", "vs0", exposed("vs0", second + 1))
            if second == 5:
                rig.fleet.apply("c1", "vs1", exposed("vs1", 1))
            await asyncio.sleep(1)

    rig.play(story)
    noisy = [at for at, _ in rig.pushed("c1", "vs0")[1:]]
    assert rig.pushed("c1", "vs1")[1:] == [(37, "M")]
    assert noisy == [45, 61]


def test_what_is_gone_is_removed_after_another_list_and_steady_state_lists_nothing(
    rig: Rig,
) -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(600)
        assert rig.fleet.lists == 0
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(59)
        assert rig.fleet.lists == 0
        await asyncio.sleep(20)
        assert rig.fleet.lists == 1

    rig.play(story)
    ((at, status),) = rig.pushed("c1", "vs0")[1:]
    assert status == "D"
    assert 630 + 60 < at < 630 + 70


def test_what_comes_back_before_the_second_look_stays(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.turn("c1", Sky.EMPTY)
        await asyncio.sleep(50)
        rig.fleet.turn("c1", Sky.CLEAR)
        await asyncio.sleep(200)
        assert rig.fleet.lists == 0

    rig.play(story)
    assert [rig.pushed("c1", f"vs{index}")[1:] for index in range(3)] == [[], [], []]


def test_a_list_that_lies_again_is_no_second_look(rig: Rig) -> None:
    """What flaps is told late: that it was there in between may never be told."""

    async def story(rig: Rig) -> None:
        for _ in range(12):
            rig.fleet.turn("c1", Sky.EMPTY)
            await asyncio.sleep(40)
            rig.fleet.turn("c1", Sky.CLEAR)
            await asyncio.sleep(20)
        await asyncio.sleep(400)

    rig.play(story)
    assert [rig.pushed("c1", f"vs{index}")[1:] for index in range(3)] == [[], [], []]


def test_a_cluster_that_cannot_be_read_the_second_time_keeps_everything(
    rig: Rig,
) -> None:
    async def story(rig: Rig) -> None:
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(30)
        rig.fleet.turn("c1", Sky.DARK)
        await asyncio.sleep(300)
        assert rig.pushed("c1", "vs0")[1:] == []
        rig.fleet.turn("c1", Sky.CLEAR)
        await asyncio.sleep(120)

    rig.play(story)
    ((at, status),) = rig.pushed("c1", "vs0")[1:]
    assert (at > 360, status) == (True, "D")


def test_a_refused_push_is_tried_again_ever_later_and_nothing_is_lost(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        tries = rig.root / "tries"
        rig.place.hook("pre-receive", f"echo >> {tries}\ntest -e {rig.root}/open")
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(400)
        rig.fleet.apply("c1", "vs1", exposed("vs1", 1))
        await asyncio.sleep(200)
        assert 5 < len(tries.read_text()) < 20
        (rig.root / "open").touch()
        await asyncio.sleep(61)

    rig.play(story)
    assert len(rig.pushed("c1", "vs0")) == 2
    assert len(rig.pushed("c1", "vs1")) == 2


def test_a_pass_over_everything_once_an_hour_finds_nothing(rig: Rig) -> None:
    before = (made("whole"), missed())

    async def story(rig: Rig) -> None:
        for version in range(1, 6):
            rig.fleet.apply("c1", "vs0", exposed("vs0", version))
            await asyncio.sleep(800)

    rig.play(story)
    assert made("whole") - before[0] == 2
    assert missed() == before[1]


def test_a_change_that_nobody_told_is_found_within_the_hour_and_said(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = missed()

    async def story(rig: Rig) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(FleetWatcher, "tell", _says_nothing)
            rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(3000)
        assert len(rig.pushed("c1", "vs0")) == 1
        await asyncio.sleep(700)

    rig.play(story)
    assert len(rig.pushed("c1", "vs0")) == 2
    assert missed() == before + 1


def _says_nothing(self: FleetWatcher, cluster: str, changes: object) -> None:
    self._views[cluster] = self._fleet.seen(cluster)


def test_a_port_is_given_when_its_quarantine_is_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path, release={"quarantine": "10m"}, guards={"grace": "0s"})

    async def story(rig: Rig) -> None:
        path = "manifests/public/c1/shop/vs-vs0.yaml"
        port = rig.show(path).splitlines()[0].split(":")[1].split()[0]
        rig.fleet.apply("c1", "vs0", None)
        await asyncio.sleep(30)
        assert path not in rig.files()
        heir = exposed("heir", 1)
        wanted = {**heir.annotations, "wharfinger.dev/request-port": port}
        rig.fleet.apply("c2", "heir", replace(heir, annotations=wanted))
        await asyncio.sleep(500)
        assert rig.pushed("c2", "heir") == []
        await asyncio.sleep(200)

    rig.play(story)
    ((at, status),) = rig.pushed("c2", "heir")
    assert status == "A"
    assert 630 < at < 670


def test_a_hold_ends_at_its_time(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        hold = 'reason: freeze\nuntil: "2026-03-02T08:20:00Z"\n'
        rig.place.commits("holds/c1/shop/vs0.yaml", hold, "Freeze")
        await asyncio.sleep(60)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(1080)
        assert rig.pushed("c1", "vs0")[1:] == []
        await asyncio.sleep(120)

    rig.play(story)
    ((at, _),) = rig.pushed("c1", "vs0")[1:]
    assert 1200 <= at < 1220


def test_addresses_leave_a_node_that_stays_unready(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        path = "manifests/public/c1/shop/vs-vs0.endpoints.yaml"
        rig.fleet.node("c1", node("n2", "10.20.0.2"))
        await asyncio.sleep(30)
        assert "10.20.0.2" in rig.show(path)
        rig.fleet.node("c1", node("n2", "10.20.0.2", ready=False, since=now()))
        began = time()
        await asyncio.sleep(50)
        assert "10.20.0.2" in rig.show(path)
        await asyncio.sleep(40)
        assert "10.20.0.2" not in rig.show(path)
        assert time() - began < 100

    rig.play(story)


def test_deltas_that_do_not_fit_mean_a_look_at_the_cluster(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        stranger = exposed("stranger", 1)
        for watcher in rig.fleet.watchers:
            key = ("VirtualService", "stranger")
            watcher.updates.changed("c1", {key: Delta(old=stranger, new=None)})
        rig.fleet.apply("c1", "vs1", exposed("vs1", 1))
        await asyncio.sleep(30)
        rig.fleet.apply("c1", "vs2", exposed("vs2", 1))
        await asyncio.sleep(30)

    rig.play(story)
    assert [len(rig.pushed("c1", f"vs{index}")) for index in range(3)] == [1, 2, 2]


RESERVED = "gateway: public\nport: 44000\nstate: reserved\n"


def test_a_branch_that_was_read_half_is_read_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that was given meanwhile is not given twice."""
    broken: list[str] = []

    def breaks(path: str, *rest: Any) -> Any:
        if path in broken:
            broken.remove(path)
            raise Unavailable("the clone does not have a file")
        return counts(path, *rest)

    monkeypatch.setattr(plan_index, "counts", breaks)
    given = "ports/public/44000.yaml"

    async def story(rig: Rig) -> None:
        await asyncio.sleep(10)
        first = min(path for path in rig.files() if path.startswith("ports/"))
        broken.append(first)
        rig.place.commits(first, rig.show(first) + "\n# looked at\n", "Touch it")
        rig.place.commits(given, RESERVED, "Reserve a port")
        await asyncio.sleep(60)
        assert not broken
        new = exposed("vs9", 0)
        wanted = {**new.annotations, "wharfinger.dev/request-port": "44000"}
        rig.fleet.apply("c1", "vs9", replace(new, annotations=wanted))
        await asyncio.sleep(60)

    rig.play(story)
    assert rig.show(given) == RESERVED.strip()


def test_what_was_switched_off_and_is_on_again_is_not_removed(rig: Rig) -> None:
    """What flaps is told late, so that what was told last says that it is off."""

    async def story(rig: Rig) -> None:
        on = rig.fleet.clusters["c1"].objects["vs0"]
        for _ in range(12):
            rig.fleet.apply("c1", "vs0", replace(on, annotations={}))
            await asyncio.sleep(0.05)
            rig.fleet.apply("c1", "vs0", on)
            await asyncio.sleep(0.3)
        await asyncio.sleep(120)

    rig.play(story)
    assert rig.pushed("c1", "vs0")[1:] == []


def test_a_branch_that_was_rewound_to_the_last_whole_pass_is_noticed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[float] = []
    failed = Loop._failed

    def complains(self: Loop, *args: Any, **more: Any) -> None:
        complaints.append(time())
        failed(self, *args, **more)

    monkeypatch.setattr(Loop, "_failed", complains)

    async def story(rig: Rig) -> None:
        before = rig.tip()
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(10)
        assert rig.tip() != before
        git(rig.place.bare, "update-ref", "refs/heads/main", before)
        await asyncio.sleep(120)

    rig.play(story)
    assert complaints
    assert complaints[0] < 130


def test_what_a_lost_race_concerned_is_passed_although_the_next_try_failed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    push = Repository.push

    def fails_once(self: Repository, *args: Any) -> Any:
        tries.append(time())
        if len(tries) == 2:
            raise Unavailable("the server does not answer for a moment")
        return push(self, *args)

    async def story(rig: Rig) -> None:
        hold = "holds/c1/shop/vs0.yaml"
        rig.place.commits(hold, "reason: freeze\n", "Freeze")
        await asyncio.sleep(40)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(56)
        assert rig.pushed("c1", "vs0")[1:] == []
        monkeypatch.setattr(Repository, "push", fails_once)
        past = 'reason: freeze\nuntil: "2026-03-02T08:00:01Z"\n'
        rig.place.commits(hold, past, "Unfreeze")
        rig.fleet.apply("c2", "vs1", exposed("vs1", 1))
        await asyncio.sleep(120)

    rig.play(story)
    assert len(tries) > 2
    assert len(rig.pushed("c2", "vs1")[1:]) == 1
    assert len(rig.pushed("c1", "vs0")[1:]) == 1


def test_a_hold_that_ends_while_a_pass_runs_has_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_pass = passing.one_pass

    async def slow(*args: Any) -> PassResult:
        result = await one_pass(*args)
        await asyncio.sleep(40)
        return result

    monkeypatch.setattr(passing, "one_pass", slow)

    async def story(rig: Rig) -> None:
        await asyncio.sleep(60)
        hold = 'reason: freeze\nuntil: "2026-03-02T09:01:10Z"\n'
        rig.place.commits("holds/c1/shop/vs0.yaml", hold, "Freeze")
        await asyncio.sleep(100)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(3600)

    rig.play(story)
    ((at, _),) = rig.pushed("c1", "vs0")[1:]
    assert 3670 <= at < 3720


def test_a_hold_that_came_before_our_push_ends_at_its_time(rig: Rig) -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(35)
        rig.fleet.apply("c2", "vs1", exposed("vs1", 1))
        hold = 'reason: freeze\nuntil: "2026-03-02T08:10:00Z"\n'
        rig.place.commits("holds/c1/shop/vs0.yaml", hold, "Freeze")
        await asyncio.sleep(30)
        rig.fleet.apply("c1", "vs0", exposed("vs0", 1))
        await asyncio.sleep(600)

    rig.play(story)
    assert len(rig.pushed("c2", "vs1")[1:]) == 1
    ((at, _),) = rig.pushed("c1", "vs0")[1:]
    assert 600 <= at < 620


def test_what_was_withheld_from_all_is_not_rewritten_one_by_one(rig: Rig) -> None:
    rig.fleet.add("c3", 12)

    async def story(rig: Rig) -> None:
        gateway = {**SETTINGS["gateways"][0], "host": "other.example.com"}
        text = yamlio.dump({**SETTINGS, "gateways": [gateway]})
        rig.place.commits("wharfinger.yaml", text, "Another host")
        await asyncio.sleep(100)
        for index in range(6):
            old = rig.fleet.clusters["c3"].objects[f"vs{index}"]
            labelled = {**old.annotations, "team": "x"}
            new = replace(old, resource_version="7", annotations=labelled)
            rig.fleet.apply("c3", f"vs{index}", new)
            await asyncio.sleep(10)

    rig.play(story)
    assert [rig.pushed("c3", f"vs{index}")[1:] for index in range(6)] == [[]] * 6


def another_wrote(rig: Rig, path: str) -> None:
    remote = Remote(url=str(rig.place.bare), credentials=Credentials())
    other = Repository.open(remote, rig.root / "other", renderer=2)
    other.fetch()
    wrote = draft(path, f"{rig.show(path)}\n# as it was seen there\n".encode())
    other.push((wrote,), other.head().commit, "digest", now())


def test_a_cluster_that_does_not_answer_delays_a_pass_for_a_moment(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another reconciler wrote of it: what it knew better has to be seen first."""
    hanging = asyncio.Event()

    async def hangs(self: FleetWatcher, clusters: Collection[str]) -> None:
        hanging.set()
        await asyncio.sleep(1000)

    async def story(rig: Rig) -> None:
        path = "manifests/public/c1/shop/vs-vs0.yaml"
        with monkeypatch.context() as patch:
            patch.setattr(FleetWatcher, "look_again", hangs)
            another_wrote(rig, path)
            await asyncio.sleep(32)
            rig.fleet.apply("c2", "vs1", exposed("vs1", 1))
            rig.fleet.apply("c1", "vs1", exposed("vs1", 1))
            await asyncio.sleep(20)
            assert hanging.is_set()
            assert len(rig.pushed("c2", "vs1")[1:]) == 1
            assert rig.pushed("c1", "vs1")[1:] == []
        await asyncio.sleep(100)

    rig.play(story)
    assert len(rig.pushed("c1", "vs1")[1:]) == 1


def test_only_a_drain_that_may_end_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, release={"drain": "10m"})
    asked: list[float] = []

    async def proves(*args: Any) -> tuple[()]:
        asked.append(time())
        return ()

    monkeypatch.setattr(slices, "prove", proves)

    async def story(rig: Rig) -> None:
        old = rig.fleet.clusters["c1"].objects["vs0"]
        moved = {**old.annotations, "wharfinger.dev/request-port": "44000"}
        new = replace(old, resource_version="7", annotations=moved)
        rig.fleet.apply("c1", "vs0", new)
        await asyncio.sleep(30)
        ports = [path for path in rig.files() if path.startswith("ports/")]
        assert any("state: draining" in rig.show(path) for path in ports)
        for version in range(1, 30):
            rig.fleet.apply("c2", "vs1", exposed("vs1", version))
            await asyncio.sleep(30)

    rig.play(story)
    assert len(rig.pushed("c2", "vs1")[1:]) > 25
    assert asked
    assert min(asked) > 630
    assert len(asked) < 8

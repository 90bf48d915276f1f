"""Several `run` on one repository at once, without a Lease: as leaders of one, and as shards."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ingress import COMMAND, PERSON, Ingress
from tests.soundness import ports_are_sound, times_made

QUICK = {"quiet": "0s", "longest": "1s"}


def until(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@contextmanager
def running(place: Ingress, name: str, *args: str) -> Iterator[Path]:
    log = place.root / f"{name}.log"
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(COMMAND), "run", "--interval=0.5", "--write-back=off", *args],
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
            yield log
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            finally:
                process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def names(place: Ingress) -> set[str]:
    """The exposures that HEAD has."""
    if not place.git("branch", at=place.remote):
        return set()
    found = (path.split("/")[-1] for path in place.files("manifests"))
    return {each[3:-5] for each in found if each.startswith("vs-") and ".endpoints." not in each}  # fmt: skip


def made(place: Ingress) -> dict[str, int]:
    """How often each exposure was made, on whatever gateway."""
    found: Counter[str] = Counter()
    for path, count in times_made(place).items():
        found[path.split("/")[-1][3:-5]] += count
    return dict(found)


def churn(place: Ingress, seed: int, gateways: tuple[str, ...]) -> dict[str, int]:
    """Expose and remove for a while; how often each exposure was there."""
    dice = random.Random(seed)
    there: dict[str, int] = {"orders": 1}
    gone: set[str] = set()
    for index in range(16):
        name = f"app{index % 7}"
        if name in there and name not in gone:
            (place.clusters / "eu1" / f"{name}.yaml").unlink()
            gone.add(name)
            until(lambda name=name: name not in names(place), f"{name} gone")  # type: ignore[misc]
        else:
            gateway = {"wharfinger.dev/gateway": dice.choice(gateways)}
            place.expose("eu1", name, annotations=gateway)
            there[name] = there.get(name, 0) + 1
            gone.discard(name)
            if dice.random() < 0.5:
                until(lambda name=name: name in names(place), f"{name} there")  # type: ignore[misc]
    wanted = set(there) - gone
    until(lambda: names(place) == wanted, "all as wished")
    return there


def start(root: Path) -> Ingress:
    place = Ingress(root=root)
    gateways = [
        {
            "name": name,
            "renderer": "envoy",
            "namespace": "ingress",
            "host": f"{name}.example.com",
            "ports": {"range": ports},
            "proof": "off",
        }
        for name, ports in (("public", "20000-20099"), ("second", "21000-21099"))
    ]
    tenant = {"clusters": ["*"], "gateways": ["public", "second"], "endpoints": ["10.20.0.0/16"]}  # fmt: skip
    guards = {"grace": "0s", "deletions": {"percent": 100, "atLeast": 100}}
    return place.start(gateways=gateways, tenants=[tenant], watch=QUICK, guards=guards)


def test_two_that_both_lead_undo_nothing_of_each_other(tmp_path: Path) -> None:
    place = start(tmp_path)
    with ExitStack() as open_:
        logs = [open_.enter_context(running(place, name)) for name in ("one", "two")]
        there = churn(place, 1, ("public",))
    ports_are_sound(place)
    assert made(place) == there
    pushed = [log.read_text().count("commit pushed") for log in logs]
    assert all(pushed), "both had work to do"


def test_shards_that_run_are_one(tmp_path: Path) -> None:
    place = start(tmp_path)
    with ExitStack() as open_:
        for name in ("public", "second"):
            open_.enter_context(running(place, name, f"--gateway={name}"))
        there = churn(place, 2, ("public", "second"))
    ports_are_sound(place)
    assert made(place) == there
    done = place.reconcile()
    assert done.plan["changes"] == []

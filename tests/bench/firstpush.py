"""The first push of very many exposures, beside `git fast-import` of the same bytes and `git push`.

    python -m tests.bench.firstpush --exposures 100000

One commit for each cluster of a hundred exposures, as the first pass makes them; a gateway has ten
thousand ports. Both sides push to an empty bare repository on the same disk. Printed are
seconds, and the size of the remote afterwards.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reconciler.model.repository import CommitDraft, FileWrite
from reconciler.repo import Credentials, Remote, Repository, create_bare

PER_CLUSTER, PER_GATEWAY = 100, 10_000
WHO = "bench <bench@localhost> 1700000000 +0000"


def drafts(exposures: int, seed: int) -> Iterator[CommitDraft]:
    """A commit for each cluster: wish, addresses and ledger file of each exposure."""
    some = random.Random(seed)
    free: list[int] = []
    for start in range(0, exposures, PER_CLUSTER):
        gateway, cluster = f"g{start // PER_GATEWAY}", f"c{start // PER_CLUSTER:04}"
        if start % PER_GATEWAY == 0:
            free = some.sample(range(20000, 40000), PER_GATEWAY)
        numbers = range(start, min(start + PER_CLUSTER, exposures))
        writes = [
            write
            for number in numbers
            for write in _files(gateway, cluster, number, free.pop())
        ]
        yield CommitDraft(
            subject=f"Expose {len(numbers)} routes of {cluster}",
            body="",
            units=(),
            writes=tuple(writes),
        )


def _files(gateway: str, cluster: str, number: int, port: int) -> Iterator[FileWrite]:
    name = f"s{number:06}"
    stem = f"manifests/{gateway}/{cluster}/shop/vs-{name}"
    head = f"# {cluster} shop/{name} -> tcp.example.com:{port} wish {number:08x}\n"
    owner = f"cluster: {cluster}\n  namespace: shop\n  name: {name}\n  route: tcp\n"
    parts = [
        f"apiVersion: gateway.example/v1\nkind: {kind}\nmetadata:\n  name: vs-{name}\n"
        f"  namespace: ingress\n  labels:\n    cluster: {cluster}\nspec:\n  port: {port}\n"
        for kind in ("ListenerSet", "TCPRoute", "BackendTrafficPolicy")
    ]
    nodes = "".join(
        f"- address: 10.{number % 250}.{number // 250 % 250}.{node}\n  port: 31000\n"
        for node in range(1, 4)
    )
    yield FileWrite(path=f"{stem}.yaml", data=(head + "---\n".join(parts)).encode())
    yield FileWrite(
        path=f"{stem}.endpoints.yaml", data=f"{head}endpoints:\n{nodes}".encode()
    )
    ledger = f"gateway: {gateway}\nport: {port}\nstate: active\nowner:\n  {owner}"
    yield FileWrite(path=f"ports/{gateway}/{port}.yaml", data=ledger.encode())


def imported(made: Sequence[CommitDraft], folder: Path, remote: Path) -> list[float]:
    """Seconds of `git fast-import` of the same files, and of `git push`."""
    create_bare(folder, "main")
    parts = [b"feature done\n"]
    for index, draft in enumerate(made):
        parts.append(f"commit refs/heads/main\nmark :{index + 1}\n".encode())
        message = draft.subject.encode()
        parts.append(f"author {WHO}\ncommitter {WHO}\n".encode())
        parts.append(b"data %d\n%s\n" % (len(message), message))
        for write in draft.writes:
            data = write.data or b""
            parts.append(f"M 100644 inline {write.path}\n".encode())
            parts.append(b"data %d\n%s\n" % (len(data), data))
    parts.append(b"done\n")
    stream = b"".join(parts)
    git = ["git", f"--git-dir={folder}"]
    took = []
    for argv, on in (
        ([*git, "fast-import", "--quiet", "--done"], stream),
        ([*git, "push", "-q", str(remote), "main"], b""),
    ):
        started = time.perf_counter()
        subprocess.run(argv, input=on, check=True)
        took.append(time.perf_counter() - started)
    return took


def ours(made: Sequence[CommitDraft], cache: Path, remote: Path) -> list[float]:
    """Seconds of `Repository.push`, and of reading what the branch then says."""
    repository = Repository.open(
        Remote(url=str(remote), credentials=Credentials()), cache
    )
    repository.fetch()
    base = repository.head().commit
    repository.history()
    started = time.perf_counter()
    repository.push(made, base, "sha256:plan", datetime.now(UTC))
    pushed = time.perf_counter()
    repository.history()
    return [pushed - started, time.perf_counter() - pushed]


def size(folder: Path) -> float:
    """MiB of all files below a folder."""
    return sum(each.lstat().st_size for each in folder.rglob("*")) / (1 << 20)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    made = list(drafts(given.exposures, given.seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remotes = [folder / "one.git", folder / "other.git"]
        for remote in remotes:
            create_bare(remote, "main")
        git = imported(made, folder / "import.git", remotes[0])
        print(f"fast-import {git[0]:.2f} s, push {git[1]:.2f} s, {sum(git):.2f} s")
        print(f"remote {size(remotes[0]):.0f} MiB", flush=True)
        our = ours(made, folder / "cache", remotes[1])
        print(f"ours: push {our[0]:.2f} s, history {our[1]:.2f} s")
        print(f"remote {size(remotes[1]):.0f} MiB, ratio {our[0] / sum(git):.2f}")
        clone = size(folder / "cache")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"clone {clone:.0f} MiB, own peak {peak} MiB")


if __name__ == "__main__":
    main()

"""A generated ingress repository of any size, the same for the same numbers: `git fast-import`.

    python -m tests.bench.bigrepo FOLDER --commits 100000 --files 100000

makes a bare repository whose branch `main` was written by Wharfinger (true digests, so that its
commits are attributed), with a person's merge or hand edit now and then. Every unit has a wish, an
addresses and a ledger file. The manifests name what is served and nothing that a gateway needs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.model.repository import CommitDraft
from reconciler.repo.trailers import ABSENT, compose, diff_digest

START = 1_700_000_000  # seconds; a commit every ten minutes from there
STEP = 600
FIRST_PORT, PORTS = 20000, 8000
BOT = "wharfinger <wharfinger@localhost>"
PERSON = "Ada Person <ada@example.com>"

Files = dict[str, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large; `files` counts ledger, wish and addresses files together."""

    commits: int
    files: int
    seed: int = 1

    @property
    def units(self) -> int:
        return max(1, self.files // 3)


@dataclass(slots=True)
class _Tree:
    """What the branch has, by path: blob ids, as git computes them."""

    blobs: dict[str, str] = field(default_factory=dict)

    def apply(self, files: Files) -> list[tuple[bytes, str, str]]:
        lines = []
        for path, data in files.items():
            old = self.blobs.get(path, ABSENT)
            new = ABSENT if data is None else blob_id(data)
            if old == new:
                continue
            lines.append((path.encode(), old, new))
            if data is None:
                del self.blobs[path]
            else:
                self.blobs[path] = new
        return lines


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


@dataclass(frozen=True, slots=True)
class Unit:
    """One exposure of the generated repository, by its number."""

    number: int

    @property
    def gateway(self) -> str:
        return f"g{self.number // PORTS}"

    @property
    def port(self) -> int:
        return FIRST_PORT + self.number % PORTS

    @property
    def cluster(self) -> str:
        return f"c{self.number % 1000:04}"

    @property
    def name(self) -> str:
        return f"s{self.number:06}"

    def __str__(self) -> str:
        return f"{self.cluster}/shop/{self.name}"

    @property
    def stem(self) -> str:
        return f"manifests/{self.gateway}/{self.cluster}/shop/vs-{self.name}"

    def wish(self, turn: int) -> bytes:
        digest = hashlib.sha256(f"{self} {turn}".encode()).hexdigest()[:8]
        served = f"tcp.example.com:{self.port}"
        head = f"# {self.cluster} shop/{self.name} -> {served} wish {digest}\n"
        return (head + f"listener: {self.port}\nweight: {turn}\n").encode()

    def addresses(self, turn: int) -> bytes:
        head = f"# {self.cluster} shop/{self.name} addresses failover none\n"
        at = f"10.{turn % 200}.{self.number % 250}.1:31000"
        one = f"# tcp shop/{self.name}:5432 node-port weight 1 -> {at}\n"
        return (head + one + f"endpoint: {at}\n").encode()

    def ledger(self, state: str) -> bytes:
        return (
            f"gateway: {self.gateway}\nport: {self.port}\nstate: {state}\n"
            f"owner: {{cluster: {self.cluster}, clusterId: id-{self.cluster}, "
            f"namespace: shop, name: {self.name}, route: tcp}}\n"
        ).encode()

    def created(self) -> Files:
        return {
            f"{self.stem}.yaml": self.wish(0),
            f"{self.stem}.endpoints.yaml": self.addresses(0),
            f"ports/{self.gateway}/{self.port}.yaml": self.ledger("active"),
        }


def settings(size: Size) -> bytes:
    """Settings with the gateways that so many units need."""
    gateways = "".join(
        f"- name: g{index}\n  renderer: envoy\n  namespace: ingress\n"
        f"  ports: {{range: {FIRST_PORT}-{FIRST_PORT + PORTS - 1}}}\n"
        for index in range(size.units // PORTS + 1)
    )
    return (
        "apiVersion: wharfinger.dev/v1alpha1\nkind: Settings\ndomain: example.com\n"
        f"gateways:\n{gateways}"
        "inventories: [{name: lab, directory: {path: clusters}}]\n"
        "tenants: [{clusters: ['*'], gateways: [g0], endpoints: [10.0.0.0/8]}]\n"
    ).encode()


def changes(size: Size) -> Iterator[tuple[str, str, Files, int]]:
    """(author, subject, files, generation) of every commit: creations spread over the history."""
    chance = random.Random(size.seed)
    yield PERSON, "Set up", {"wharfinger.yaml": settings(size)}, 0
    made = 0
    for turn in range(1, size.commits):
        due = size.units * turn // max(1, size.commits - 1)
        if made < due:
            files: Files = {}
            first = made
            while made < due:
                files.update(Unit(made).created())
                made += 1
            name = Unit(first)
            yield BOT, f"Expose {name} at tcp.example.com:{name.port}", files, 1
            continue
        unit = Unit(chance.randrange(max(1, made)))
        kind = chance.random()
        path = f"{unit.stem}.yaml"
        if kind < 0.5:
            follow: Files = {f"{unit.stem}.endpoints.yaml": unit.addresses(turn)}
            subject = f"Follow the addresses of cluster {unit.cluster}"
            yield BOT, subject, follow, 0
        elif kind < 0.95:
            yield BOT, f"Update {unit}", {path: unit.wish(turn)}, turn
        else:
            edited = f"Edit {unit.name} (#{turn})"
            yield PERSON, edited, {path: unit.wish(turn) + b"# edited\n"}, 0


def stream(size: Size) -> Iterator[bytes]:
    """The whole repository in the format of `git fast-import`."""
    tree = _Tree()
    yield b"feature done\n"
    for index, (author, subject, files, generation) in enumerate(changes(size)):
        lines = tree.apply(files)
        text = f"{subject}\n"
        if author == BOT:
            unit = subject.split(" ")[1]
            body = f"{unit} generation {generation}" if generation else ""
            draft = CommitDraft(subject=subject, body=body, units=(), writes=())
            text = compose(
                draft, diff_digest(lines), [("Wharfinger-Renderer", "1")]
            ).text
        yield _commit(index, author, text.encode(), files)
    yield b"done\n"


def _commit(index: int, author: str, message: bytes, files: Files) -> bytes:
    when = START + index * STEP
    parts = [b"commit refs/heads/main\nmark :%d\n" % (index + 1)]
    parts.append(f"author {author} {when} +0000\n".encode())
    parts.append(f"committer {author} {when} +0000\n".encode())
    parts.append(b"data %d\n%s\n" % (len(message), message))
    if index:
        parts.append(b"from :%d\n" % index)
    for path, data in files.items():
        if data is None:
            parts.append(f"D {path}\n".encode())
        else:
            parts.append(f"M 100644 inline {path}\n".encode())
            parts.append(b"data %d\n%s\n" % (len(data), data))
    return b"".join(parts)


def generate(folder: Path, size: Size) -> None:
    """Make the bare repository at `folder`, which must not exist."""
    subprocess.run(
        ["git", "init", "-q", "--bare", "-b", "main", str(folder)], check=True
    )
    argv = ["git", f"--git-dir={folder}", "fast-import", "--quiet", "--done"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        if child.stdin is None:
            raise AssertionError("opened with a pipe")
        for part in stream(size):
            child.stdin.write(part)
        child.stdin.close()
    if child.returncode != 0:
        raise SystemExit(f"git fast-import ended with {child.returncode}")


def main() -> None:
    """Generate one from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    size = Size(commits=given.commits, files=given.files, seed=given.seed)
    generate(given.folder, size)


if __name__ == "__main__":
    main()

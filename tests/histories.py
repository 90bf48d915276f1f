"""Stories of what people do with git on an ingress repository, and how a pass is judged.

Every story begins with `orders` and `billing` served; the newest commit is ours and changed the
wish of `orders` (from FIRST to SECOND). A story does something as people do it; then the
next pass is planned from the warm cache and from a fresh one, made, and planned again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reconciler.headers import parse_wish_header
from reconciler.ledger_file import parse_entry
from reconciler.model.units import PortState
from tests import documents
from tests.ingress import Done, Near

NAME = "orders"
UNIT = "eu1/shop/orders"
FOLDER = "manifests/public/eu1/shop"
WISH, ENDPOINTS = f"{FOLDER}/vs-orders.yaml", f"{FOLDER}/vs-orders.endpoints.yaml"
BILLING = f"{FOLDER}/vs-billing.yaml"
SECOND_WISH = {"wharfinger.dev/failover": "any"}
THIRD_WISH = {"wharfinger.dev/max-connections": "7"}


class Verdict(StrEnum):
    """What the next pass does about `orders`."""

    HELD = "held"
    WRITE = "write"
    FREEZE = "freeze"


class Wish(StrEnum):
    """Which wish of `orders` HEAD has after the pass; KEPT: the file as people left it."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    GONE = "gone"
    KEPT = "kept"


@dataclass(slots=True)
class Town:
    """One story's repository: the command, and git as a person."""

    ingress: Near
    changed: str  # our commit that made the second wish of orders
    created: str  # our commit that exposed orders
    other: str  # our commit that exposed billing
    wishes: dict[Wish, str]
    port: int
    more: tuple[str, ...] = ()  # options of the judged pass
    refused: bool = True  # a rival that asks for the port of orders is refused

    def git(self, *args: str) -> str:
        """git in the work tree of a person."""
        return self.ingress.git(*args).strip()

    def fails(self, *args: str) -> str:
        """git that has to refuse; its words."""
        try:
            self.ingress.git(*args)
        except AssertionError as exc:
            return str(exc)
        raise AssertionError(f"git {args} was not refused")

    def push(self, what: str = "HEAD") -> None:
        self.git("push", "-q", "origin", f"+{what}:refs/heads/main")

    def pull(self) -> None:
        self.ingress.pull()

    def revert(self, *commits: str) -> str:
        """`git revert` of commits, pushed."""
        self.pull()
        self.revert_here(*commits)
        self.push()
        return self.git("rev-parse", "HEAD")

    def revert_here(self, *commits: str) -> None:
        """`git revert` on the branch that is checked out."""
        for commit in commits:
            mainline = len(self.git("rev-list", "--parents", "-1", commit).split()) > 2
            more = ("-m", "1") if mainline else ()
            self.git("revert", "--no-edit", *more, commit)

    def commit(self, files: dict[str, bytes | None], message: str = "By hand") -> str:
        """A person's commit of files, pushed."""
        return self.ingress.commit(files, message)

    def show(self, path: str) -> bytes | None:
        """A file at the branch's tip."""
        return (
            self.ingress.show(path).encode() if path in self.ingress.files() else None
        )

    def edit(self, path: str, old: str, new: str) -> str:
        """A person edits a file and pushes."""
        text = self.ingress.show(path)
        assert old in text, text
        return self.commit({path: text.replace(old, new).encode()})

    def wish(self, annotations: dict[str, str] | None) -> None:
        """The owner of orders changes it in the cluster; `None` takes the exposure away."""
        if annotations is None:
            self.ingress.clusters.joinpath("eu1", f"{NAME}.yaml").unlink()
            return
        self.ingress.expose("eu1", NAME, annotations=annotations)

    def nodes(self, *addresses: str) -> None:
        """The cluster has other nodes."""
        for old in self.ingress.clusters.joinpath("eu1").glob("node*.yaml"):
            old.unlink()
        for address in addresses:
            name = f"node-{address.replace('.', '-')}"
            self.ingress.write(f"eu1/{name}.yaml", documents.node(name, address))

    def passes(self, *args: str) -> Done:
        """A pass that ends well; the town looks again at what is there now."""
        done = self.ingress.reconcile(*args)
        assert done.code == 0, done.err + done.out
        self.pull()
        return done

    def branch(self, name: str, start: str) -> None:
        """A branch of a person at a commit, checked out."""
        self.pull()
        self.git("checkout", "-q", "-B", name, start)

    def main(self) -> None:
        """Back on the person's main, as the remote has it."""
        self.git("checkout", "-q", "-B", "main", "origin/main")

    def tip(self) -> str:
        return self.ingress.tip()

    def message(self, commit: str) -> str:
        return self.git("log", "-1", "--format=%B", commit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What people did, the verdict of the next pass, and the wish at HEAD after it."""

    name: str
    did: Callable[[Town], None]
    verdict: Verdict
    wish: Wish
    says: str = ""  # in a reason of the pass, or on stderr


Did = Callable[[Town], None]


class Stories(list[Story]):
    """A table of stories, filled by a decorator: one function each."""

    def tell(
        self, name: str, verdict: Verdict, wish: Wish, says: str = ""
    ) -> Callable[[Did], Did]:
        """Add a story; the function does what people did."""

        def add(did: Did) -> Did:
            self.append(
                Story(name=name, did=did, verdict=verdict, wish=wish, says=says)
            )
            return did

        return add


def begin(
    root: Path, environment: dict[str, str] | None = None, **settings: object
) -> Town:
    """A repository in which orders has its second wish; paths in it are relative."""
    inventory = {"name": "lab", "directory": {"path": "clusters"}}
    ingress = Near(root=root, environment=dict(environment or {}))
    ingress.start(inventories=[inventory], **settings)
    ingress.git("remote", "set-url", "origin", "../ingress.git")
    ingress.expose("eu1", "billing")
    return _served(ingress)


def _served(ingress: Near) -> Town:
    assert ingress.reconcile().code == 0
    first = ingress.show(WISH)
    ingress.expose("eu1", NAME, annotations=SECOND_WISH)
    assert ingress.reconcile().code == 0
    ingress.pull()
    header = parse_wish_header(first.encode())
    assert header is not None

    def newest(path: str) -> str:
        return ingress.git("log", "--format=%H", "--", path).split()[-1]

    return Town(
        ingress=ingress,
        changed=ingress.tip(),
        created=newest(WISH),
        other=newest(BILLING),
        wishes={Wish.FIRST: first, Wish.SECOND: ingress.show(WISH)},
        port=header.served[0].port,
    )


def copied(town: Town, root: Path) -> Town:
    """The same town elsewhere, with a cache that knows nothing."""
    shutil.copytree(town.ingress.root, root, symlinks=True)
    shutil.rmtree(root / "cache")
    return Town(
        ingress=Near(root=root, environment=dict(town.ingress.environment)),
        changed=town.changed,
        created=town.created,
        other=town.other,
        wishes=dict(town.wishes),
        port=town.port,
    )


def judge(town: Town, story: Story) -> None:
    """Make the next pass and hold it to the story; the ledger stays whole."""
    ingress = town.ingress
    kept, tip = town.show(WISH), ingress.tip()
    warm = ingress.run("plan", "-o", "json", *town.more)
    fresh = ingress.run("plan", "-o", "json", *town.more, **_fresh(ingress, "one"))
    assert _said(fresh) == _said(warm), "a fresh clone says what a warm one says"
    done = ingress.real(*town.more)
    assert _said(done) == _said(warm), done.err
    _verdict(town, story, done, kept)
    _wish(town, story, kept)
    if story.verdict is Verdict.FREEZE and not done.rows("skip"):
        assert ingress.tip() == tip
        return
    if story.verdict is not Verdict.FREEZE:
        _ledger(town)
    _again(town, story)


def _fresh(ingress: Near, name: str) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(ingress.root / f"cache-{name}")}


def _said(done: Done) -> tuple[object, ...]:
    return done.code, done.plan["digest"], done.plan["changes"]


def _verdict(town: Town, story: Story, done: Done, kept: bytes | None) -> None:
    mine = [row for row in done.plan["changes"] if row["name"] == NAME]
    ops = {row["op"] for row in mine}
    words = " ".join([done.err, *(str(row["reason"]) for row in mine)])
    assert story.says in words, words
    match story.verdict:
        case Verdict.HELD:
            assert ops >= {"hold"}, done.out
            assert ops <= {"hold", "update"}, done.out
            assert town.show(WISH) == kept
            assert done.code == 0
            _names_the_person(town, mine)
        case Verdict.WRITE:
            assert done.code == 0, done.err
            assert not ops & {"hold", "skip", "withhold"}, done.out
        case Verdict.FREEZE:
            assert done.code == 5, (done.code, done.out, done.err)
            assert ops <= {"skip"}, done.out
            assert town.show(WISH) == kept


def _names_the_person(town: Town, rows: list[dict[str, object]]) -> None:
    """A hold by a commit says whose it is and at least seven digits of it."""
    for row in rows:
        if row["op"] == "hold" and row["code"] == "WHF208":
            reason = str(row["reason"])
            known = town.ingress.git(
                "rev-list", "refs/heads/main", at=town.ingress.remote
            )
            assert any(commit[:7] in reason for commit in known.split()), reason
            assert "held by " in reason


def _wish(town: Town, story: Story, kept: bytes | None) -> None:
    now = town.show(WISH)
    match story.wish:
        case Wish.KEPT:
            assert now == kept
        case Wish.GONE:
            assert now is None
        case Wish.THIRD:
            assert now is not None
            assert now.decode() not in town.wishes.values()
        case _:
            assert now is not None
            assert now.decode() == town.wishes[story.wish]


def _ledger(town: Town) -> None:
    """No owner has two active ports, and what a wish serves its unit owns."""
    files = town.ingress.files()
    entries = {
        path: parse_entry(path, town.ingress.show(path).encode())
        for path in files
        if path.startswith("ports/") and path.split("/")[2].split(".")[0].isdecimal()
    }
    active = [
        each.owner.identity
        for each in entries.values()
        if each.owner is not None and each.state is PortState.ACTIVE
    ]
    assert len(active) == len(set(active))
    for path in files:
        data = town.show(path) if path.startswith("manifests/") else None
        header = parse_wish_header(data) if data is not None else None
        for served in header.served if header is not None else ():
            entry = entries.get(f"ports/public/{served.port}.yaml")
            if entry is not None and entry.live and header is not None:
                assert entry.owner is not None
                assert entry.owner.unit == header.unit


def _again(town: Town, story: Story) -> None:
    """Another replica has nothing to do, and nobody else gets the port of orders."""
    asked = {"wharfinger.dev/request-port": str(town.port)}
    town.ingress.expose("eu1", "rival", annotations=asked)
    done = town.ingress.run(
        "plan", "-o", "json", *town.more, **_fresh(town.ingress, "two")
    )
    others = [row for row in done.plan["changes"] if row["name"] != "rival"]
    changing = {"create", "update", "delete", "release", "withhold"}
    assert not [row for row in others if row["op"] in changing], done.out
    held = {row["op"] for row in others if row["name"] == NAME}
    if story.verdict is Verdict.HELD:
        assert held == {"hold"}, done.out
    if town.refused:
        (row,) = [row for row in done.plan["changes"] if row["name"] == "rival"]
        assert (row["op"], row["code"]) == ("reject", "WHF123"), done.out

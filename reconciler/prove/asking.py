"""Asks Argo CD and Flux to look at Git right after a push (does I/O, reads the clock, waits).

Only what the push touched is asked, a few objects at once and each at most once in a quiet
window. Nothing depends on it: what is not asked is found by the engine's own interval. A
permission that is missing is therefore told once and not tried again for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from reconciler.kube import KubeError, object_path
from reconciler.kubeconfig import RefusedKubeconfig
from reconciler.model.clusters import Why
from reconciler.prove.sources import engine_objects
from reconciler.prove.touched import (
    ARGOCD_GROUP,
    Json,
    Request,
    Touched,
    application_sets,
    applications,
    git_repositories,
    unheard,
    without_application,
)
from reconciler.prove.views import Collection as Objects
from reconciler.prove.views import Look, View, listing
from reconciler.settings import Platform, Proof, Settings

AT_ONCE = 8
SECONDS = (
    10.0  # for all of one kind of question; an engine's interval is the alternative
)
FORGET = 3600.0  # after which a refused permission is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One object that was asked, or in words why it, or all of a kind, was not."""

    what: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a commit of ours changed."""

    paths: frozenset[str]
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Topic:
    """What to ask of one gateway.

    `since` are the commit of a push and those of later ones: only who compared none is asked.
    """

    proof: Proof
    touched: Touched
    since: tuple[str, ...] = ()


@dataclass(slots=True)
class Asks:
    """What a process remembers of asking: monotonic seconds. Losing it costs a few requests.

    `compared` is when Applications had been compared last before they were asked, `open` are
    the pushes of which `ask_again` found that not everybody had heard.
    """

    at: dict[Request, float] = field(default_factory=dict)
    compared: dict[Request, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    refused: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def may(self, kind: str) -> bool:
        """Whether a kind of request was not refused lately."""
        return time.monotonic() - self.refused.get(kind, -FORGET) >= FORGET

    def refuse(self, kind: str, problem: str) -> Asked | None:
        """Remember a refusal; what to tell of it, once."""
        self.refused[kind] = time.monotonic()
        if kind in self.told:
            return None
        self.told.add(kind)
        return Asked(what=kind, problem=problem)

    def pause(self, request: Request, quiet: float) -> float:
        """Take the next turn of an object; the seconds until then."""
        now = time.monotonic()
        for each in [each for each, at in self.at.items() if at + quiet < now]:
            del self.at[each]
        turn = max(now, self.at.get(request, now - quiet) + quiet)
        self.at[request] = turn
        return turn - now


async def ask_to_sync(
    settings: Settings, paths: Collection[str], asks: Asks, look: Look = listing
) -> tuple[Asked, ...]:
    """Ask the engines of the gateways whose manifests are among the pushed paths.

    What could not be asked is in the outcomes; nothing is raised for it.
    """
    return await _ask(settings, tuple(_topics(settings, paths)), asks, look)


async def ask_again(
    settings: Settings, pushes: Sequence[Push], asks: Asks, look: Look = listing
) -> tuple[Asked, ...]:
    """Ask Applications anew that lost a request about one of these pushes, oldest first.

    They were compared since, but neither with its commit nor with a later one. Those of which
    not all have heard are in `asks.open` afterwards. Flux loses no request. Otherwise as
    `ask_to_sync`.
    """
    asks.open.clear()
    topics = [
        replace(topic, since=tuple(each.commit for each in pushes[at:]))
        for at, push in enumerate(pushes)
        for topic in _topics(settings, push.paths)
        if topic.proof.argocd
    ]
    return await _ask(settings, topics, asks, look)


def _topics(settings: Settings, paths: Collection[str]) -> Iterator[_Topic]:
    for gateway in settings.gateways if settings.platform is not None else ():
        proof = gateway.proof
        if isinstance(proof, Proof) and (proof.argocd or proof.flux):
            touched = Touched.of(paths, gateway.name)
            if touched.folders:
                yield _Topic(proof=proof, touched=touched)


async def _ask(
    settings: Settings, topics: Sequence[_Topic], asks: Asks, look: Look
) -> tuple[Asked, ...]:
    if settings.platform is None or not topics:
        return ()
    asking = _Asking(asks, settings.watch.quiet.total_seconds())
    try:
        await _look_and_ask(settings.platform, topics, asking, look)
    except (KubeError, RefusedKubeconfig) as exc:
        asking.outcomes.append(Asked(what="the platform cluster", problem=str(exc)))
        asks.open.update(commit for each in topics for commit in each.since[:1])
    return tuple(asking.outcomes)


async def _look_and_ask(
    platform: Platform, topics: Sequence[_Topic], asking: _Asking, look: Look
) -> None:
    now = datetime.now(UTC).isoformat()
    async with look(platform) as view:
        wanted: set[Request] = set()
        for topic in topics:
            wanted.update(await _wanted(view, topic, asking, now))
        await asking.send(view, sorted(wanted))


async def _wanted(
    view: View, topic: _Topic, asking: _Asking, now: str
) -> Iterable[Request]:
    proof, touched = topic.proof, topic.touched
    engine = "list applications" if proof.argocd else "list kustomizations"
    objects = await asking.read(engine, lambda: engine_objects(view, proof))
    if objects is None:
        asking.not_heard(topic)
        return ()
    if proof.flux:
        return git_repositories(objects, proof.flux, touched, now)
    if topic.since:
        deaf = tuple(unheard(objects, proof.argocd, touched, topic.since))
        if deaf:
            asking.not_heard(topic)
        return filter(asking.is_lost, deaf)
    found = list(applications(objects, proof.argocd, touched))
    new = without_application(objects, proof.argocd, touched)
    if new:
        sets = await asking.read("list applicationsets", lambda: _sets(view, proof))
        found += application_sets(sets or (), new)
    return found


async def _sets(view: View, proof: Proof) -> tuple[Json, ...]:
    namespaces = sorted({glob.partition("/")[0] for glob in proof.argocd})
    lists = await asyncio.gather(
        *(
            view.objects(
                Objects(
                    version=ARGOCD_GROUP, plural="applicationsets", namespace=namespace
                )
            )
            for namespace in namespaces
        )
    )
    return tuple(item for each in lists for item in each)


class _Asking:
    """One round of questions: what was asked and what could not be."""

    def __init__(self, asks: Asks, quiet: float) -> None:
        self.outcomes: list[Asked] = []
        self._asks = asks
        self._quiet = quiet
        self._slots = asyncio.Semaphore(AT_ONCE)

    def not_heard(self, topic: _Topic) -> None:
        """Note that a push is not known everywhere."""
        self._asks.open.update(topic.since[:1])

    def is_lost(self, request: Request) -> bool:
        """Whether an Application was compared since it was asked, and is not asked any more."""
        before = self._asks.compared.get(request, request.compared)
        return not request.pending and before != request.compared

    async def read(
        self, kind: str, read: Callable[[], Awaitable[tuple[Json, ...]]]
    ) -> tuple[Json, ...] | None:
        """What was read; `None` where it could not be, which is among the outcomes."""
        if not self._asks.may(kind):
            return None
        try:
            async with asyncio.timeout(SECONDS):
                return await read()
        except TimeoutError:
            self._told(kind, f"no answer within {SECONDS:g} s")
        except KubeError as exc:
            self._failed(kind, exc)
        return None

    async def send(self, view: View, requests: Sequence[Request]) -> None:
        """Ask each object, a few at once."""
        await asyncio.gather(*(self._send(view, each) for each in requests))

    async def _send(self, view: View, request: Request) -> None:
        kind = f"patch {request.plural} in {request.namespace}"
        if not self._asks.may(kind):
            return
        await asyncio.sleep(self._asks.pause(request, self._quiet))
        async with self._slots:
            if not self._asks.may(kind):  # another one was refused while this waited
                return
            try:
                async with asyncio.timeout(SECONDS):
                    await view.annotate(
                        _path(request), {request.annotation: request.value}
                    )
            except TimeoutError:
                self._told(str(request), f"no answer within {SECONDS:g} s")
            except KubeError as exc:
                self._failed(kind if exc.why is Why.FORBIDDEN else str(request), exc)
            else:
                self._asks.compared[request] = request.compared
                self.outcomes.append(Asked(what=str(request)))

    def _failed(self, what: str, exc: KubeError) -> None:
        if exc.why is not Why.FORBIDDEN:
            self._told(what, str(exc))
        elif (told := self._asks.refuse(what, str(exc))) is not None:
            self.outcomes.append(told)

    def _told(self, what: str, problem: str) -> None:
        self.outcomes.append(Asked(what=what, problem=problem))


def _path(request: Request) -> str:
    return object_path(request.version, request.plural, request.namespace, request.name)

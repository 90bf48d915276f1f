"""Which objects of Argo CD or Flux a push concerns, and how each is asked to look at Git now; pure.

Argo CD looks at Git anew for an Application that has the annotation `refresh`; its automatic sync
does the rest, and where that is off nothing is applied that a person wants to apply by hand. An
ApplicationSet is asked where a folder has no Application yet. For Flux the GitRepository is
asked: Kustomizations follow a new revision of it by themselves.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.prove.engines import clean_path, is_named, revision_of, sources

Json = Mapping[str, Any]

ARGOCD_GROUP = "argoproj.io/v1alpha1"
FLUX_SOURCES = "source.toolkit.fluxcd.io/v1"
REFRESH = "argocd.argoproj.io/refresh"
_REFRESH_SET = "argocd.argoproj.io/application-set-refresh"
_REQUESTED = "reconcile.fluxcd.io/requestedAt"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Request:
    """One object to ask: of which kind, where it is, and the annotation that asks it.

    `compared` is when an Application was compared with Git last, `pending` whether it was asked
    to be and that has not begun or not ended.
    """

    version: str
    plural: str
    namespace: str
    name: str
    annotation: str = field(compare=False)
    value: str = field(compare=False)
    compared: str = field(compare=False, default="")
    pending: bool = field(compare=False, default=False)

    def __str__(self) -> str:
        return f"{self.plural} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Folders below which a push changed something, and those in which it did so directly."""

    folders: frozenset[str]
    direct: frozenset[str]

    @classmethod
    def of(cls, paths: Iterable[str], gateway: str) -> Touched:
        """What pushed paths touch of one gateway's manifests."""
        folders, direct = set(), set()
        for path in paths:
            parts = path.split("/")[:-1]
            if parts[:2] == ["manifests", gateway]:
                direct.add("/".join(parts))
                folders |= {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
        return cls(folders=frozenset(folders), direct=frozenset(direct))

    def clusters(self) -> frozenset[str]:
        """The folders of clusters among them."""
        return frozenset(each for each in self.folders if each.count("/") == 2)

    def concerns(self, path: object, *, recurse: bool) -> bool:
        """Whether an object of an engine that applies the folder `path` has to look.

        Our files may lie in a folder of the repository, so what its path ends with counts.
        """
        clean = clean_path(path)
        if not clean:
            return recurse and bool(self.folders)
        parts = clean.split("/")
        among = self.folders if recurse else self.direct
        return any("/".join(parts[at:]) in among for at in range(len(parts)))


def applications(
    objects: Iterable[Json], globs: Sequence[str], touched: Touched
) -> Iterator[Request]:
    """The Applications that apply what was pushed."""
    for application in objects:
        if is_named(application, globs) and any(
            touched.concerns(source.get("path"), recurse=_recurses(source, application))
            for source in sources(application)
        ):
            yield _request(
                application, (ARGOCD_GROUP, "applications"), (REFRESH, "normal")
            )


def unheard(
    objects: Iterable[Json],
    globs: Sequence[str],
    touched: Touched,
    commits: Collection[str],
) -> Iterator[Request]:
    """The Applications that apply what was pushed and have seen none of these commits."""
    for application in objects:
        sync = (application.get("status") or {}).get("sync") or {}
        seen = {revision_of(sync, at) for at in range(len(sources(application)))}
        if seen.isdisjoint(commits):
            yield from applications((application,), globs, touched)


def _recurses(source: Json, application: Json) -> bool:
    """Whether files below the folder may count; only a plain directory says that they do not."""
    kind = (application.get("status") or {}).get("sourceType")
    plain = kind in (None, "", "Directory")
    return not plain or bool((source.get("directory") or {}).get("recurse"))


def without_application(
    objects: Iterable[Json], globs: Sequence[str], touched: Touched
) -> frozenset[str]:
    """Touched folders of clusters that no Application applies yet."""
    known = [
        (source.get("path"), _recurses(source, application))
        for application in objects
        if is_named(application, globs)
        for source in sources(application)
    ]
    return frozenset(
        folder
        for folder in touched.clusters()
        if not any(_within(folder, path, recurse) for path, recurse in known)
    )


def _within(folder: str, path: object, recurse: bool) -> bool:
    clean = clean_path(path)
    above = folder.split("/")
    names = ["/".join(above[:n]) for n in range(1, len(above) + 1)]
    names = names if recurse else names[-1:]
    return (recurse and not clean) or any(
        clean == name or clean.endswith(f"/{name}") for name in names
    )


def application_sets(
    objects: Iterable[Json], folders: frozenset[str]
) -> Iterator[Request]:
    """The ApplicationSets whose own generator over folders of Git would find one of these."""
    for each in objects:
        if any(
            _generates(pattern, folder)
            for pattern in _patterns(each)
            for folder in folders
        ):
            yield _request(
                each, (ARGOCD_GROUP, "applicationsets"), (_REFRESH_SET, "true")
            )


def _patterns(application_set: Json) -> Iterator[str]:
    for generator in (application_set.get("spec") or {}).get("generators") or []:
        for folder in (generator.get("git") or {}).get("directories") or []:
            if not folder.get("exclude"):
                yield clean_path(folder.get("path"))


def _generates(pattern: str, folder: str) -> bool:
    """A star is within one folder's name; the pattern may begin above our files."""
    wanted = folder.split("/")
    parts = pattern.split("/")[-len(wanted) :]
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, wanted, parts))


def git_repositories(
    kustomizations: Iterable[Json], globs: Sequence[str], touched: Touched, now: str
) -> Iterator[Request]:
    """The GitRepositories of the Kustomizations that apply what was pushed, each once.

    `now` must differ from that of earlier requests: a new value is what asks.
    """
    found: dict[tuple[str, str], Request] = {}
    for each in kustomizations:
        spec = each.get("spec") or {}
        reference = spec.get("sourceRef") or {}
        if (
            reference.get("kind") != "GitRepository"
            or spec.get("suspend")
            or not is_named(each, globs)
            or not touched.concerns(spec.get("path"), recurse=True)
        ):
            continue
        metadata = each.get("metadata") or {}
        namespace = str(reference.get("namespace") or metadata.get("namespace") or "")
        name = str(reference.get("name") or "")
        body = {"metadata": {"namespace": namespace, "name": name}}
        found[(namespace, name)] = _request(
            body, (FLUX_SOURCES, "gitrepositories"), (_REQUESTED, now)
        )
    yield from found.values()


def _request(body: Json, kind: tuple[str, str], asks: tuple[str, str]) -> Request:
    metadata = body.get("metadata") or {}
    return Request(
        version=kind[0],
        plural=kind[1],
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        annotation=asks[0],
        value=asks[1],
        compared=str((body.get("status") or {}).get("reconciledAt") or ""),
        pending=asks[0] in (metadata.get("annotations") or {}),
    )

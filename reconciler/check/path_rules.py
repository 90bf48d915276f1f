"""What may come along with a change of our folders, anywhere in the repository; pure.

People own everything outside of our folders, and a change of only that is theirs to judge. A
change that also touches the ledger or manifests may bring documents and settings, but nothing
that runs, that hides what changed, or that decides who looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.check.file_rules import collisions, folded, mode_fault
from reconciler.check.findings import Finding, finding
from reconciler.codes import Code
from reconciler.model.changes import Change, PathChange
from reconciler.printable import one_line

OURS = ("clusters/", "ports/", "hosts/", "manifests/")
SETTINGS = "wharfinger.yaml"
_FOLDERS = (*OURS, "holds/")
_PIPELINE_FOLDERS = (
    *(".github/", ".gitlab/", ".gitea/", ".forgejo/", ".circleci/", ".woodpecker/"),
    *(".buildkite/", ".azure-pipelines/", ".teamcity/", ".semaphore/", ".tekton/"),
    *(".husky/", ".githooks/", ".builds/", ".vsts-ci/", ".drone/"),
)
_PIPELINE_FILES = frozenset(
    {
        *(".gitlab-ci.yml", ".gitlab-ci.yaml", ".travis.yml", "azure-pipelines.yml"),
        *(".drone.yml", ".drone.star", ".drone.jsonnet", ".woodpecker.yml"),
        *(".woodpecker.yaml", "bitbucket-pipelines.yml", "jenkinsfile", ".build.yml"),
        *("appveyor.yml", ".appveyor.yml", "cloudbuild.yaml", "cloudbuild.json"),
        *("buildspec.yml", ".cirrus.yml", ".cirrus.star", ".pre-commit-config.yaml"),
        *("azure-pipelines.yaml", "renovate.json", ".renovaterc", ".mergify.yml"),
        *("atlantis.yaml", ".sops.yaml"),
    }
)
_REVIEW_FILES = frozenset(
    {".gitattributes", ".gitmodules", ".gitignore", "codeowners", ".lfsconfig"}
)


def paths_fit(change: Change) -> Iterator[Finding]:
    """Findings of the change's paths outside of the files that other rules judge."""
    below = [each.path.removeprefix(change.folder) for each in _inside(change)]
    ours = any(path.startswith(OURS) for path in below)
    for each in change.paths:
        if ours:
            yield from _along(each, change)
        yield from _name(each, change)
    changed = {each.path for each in change.paths if each.new is not None}
    for path, other in collisions(change.names):
        if path not in changed and other not in changed:
            continue
        if folded(path.removeprefix(change.folder)).startswith(_FOLDERS):
            what = f"differs from {other} only in case or spelling"
            yield finding(Code.NAMES_COLLIDE, _shown(path, change), what)


def _shown(path: str, change: Change) -> str:
    """A path as findings have it: below our folder, or from the root with a slash before it."""
    if path.startswith(change.folder):
        return path.removeprefix(change.folder)
    return f"/{path}"


def _inside(change: Change) -> Iterator[PathChange]:
    return (each for each in change.paths if each.path.startswith(change.folder))


def _along(each: PathChange, change: Change) -> Iterator[Finding]:
    """One path of a change that touches our folders."""
    plain = folded(each.path)
    name = plain.rpartition("/")[2]
    if _is_pipeline(plain, folded(change.folder)):
        what = "is run by CI and changes together with what we manage"
        yield finding(Code.PIPELINE_CHANGED, _shown(each.path, change), what)
    elif name in _REVIEW_FILES:
        what = (
            "decides how changes are shown or reviewed and changes with what we manage"
        )
        yield finding(Code.REVIEW_CHANGED, _shown(each.path, change), what)
    fault = mode_fault(each.new.mode) if each.new is not None else ""
    below = each.path.removeprefix(change.folder)
    if fault and not (each.path.startswith(change.folder) and _is_read(below)):
        what = f"is {fault} and comes together with what we manage"
        yield finding(Code.NO_REGULAR_FILE, _shown(each.path, change), what)


def _is_pipeline(plain: str, folder: str) -> bool:
    """Forges read such files at the root; a folder of ours may become a root."""
    for path in {plain, plain.removeprefix(folder)}:
        if path.startswith(_PIPELINE_FOLDERS) or path in _PIPELINE_FILES:
            return True
    return False


def _name(each: PathChange, change: Change) -> Iterator[Finding]:
    """Names that pretend to be ours, or that no screen shows as they are."""
    if each.new is None:
        return
    below = each.path.removeprefix(change.folder)
    if _is_read(below):
        return  # judged with the whole repository
    if f"{folded(below)}/" in _FOLDERS:
        what = "stands where a folder of ours belongs"
        yield finding(Code.NO_REGULAR_FILE, _shown(each.path, change), what)
    elif folded(below).startswith(_FOLDERS) or folded(below) == SETTINGS:
        what = "looks like one of our paths and is none"
        yield finding(Code.UNSAFE_NAME, _shown(each.path, change), what)
    elif one_line(each.path) != each.path:
        what = "has characters in its name that cannot be seen"
        yield finding(Code.UNSAFE_NAME, _shown(each.path, change), what)


def _is_read(below: str) -> bool:
    return below.startswith(_FOLDERS) or below == SETTINGS

"""The rules of the house (ARCHITECTURE.md), held against every module that there is."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reconciler"

STAGES = ("observe", "claim", "plan", "render", "repo", "review", "prove", "writeback")
PLANNERS = (
    "allocate",
    "guards",
    "holds",
    "ledger",
    "ledger_file",
)  # outside of the folder plan/
COMPOSERS = (
    "run",
    "passes",
    "live",
    "report",
    "reviewing",
    "noting",
    "settled",
    "declines",
    "rewind",
    "cli",
    "demo",
    "doctor",
    "__main__",
)
PURE_ROOMS = (
    *("model", "claim", "plan", "render", "ledger", "guards", "holds", "tenants"),
    *("names", "ports", "headers", "settings", "errors", "codes", "check"),
)
# Pure themselves, for the sake of one library or one look at the environment named there.
NEARLY_PURE = {
    "yamlio": {"io"},
    "repo.remote": {"os", "pathlib"},
    "weight": {"sys"},  # the size of a value
}
IMPURE = (
    *(
        "aiohttp",
        "asyncio",
        "builtins",
        "fcntl",
        "getpass",
        "glob",
        "http",
        "importlib",
    ),
    *("io", "logging", "multiprocessing", "os", "pathlib", "platform", "random"),
    *("secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver"),
    *("ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request"),
    *("uuid", "warnings"),
)
IMPURE_CALLS = ("now", "utcnow", "today", "fromtimestamp")
IMPURE_NAMES = ("open", "print", "input", "exec", "eval", "breakpoint")
HOMES = {
    "aiohttp": ("kube", "kubeanswer", "kubesession", "kubewatch", "rest"),
    "click": ("cli",),
    "cel_expr_python": ("policies",),
    "envoy": ("envoysync", "envoyadmin"),
    "jsonpatch": ("writeback",),
    "kubernetes": ("kubesession", "observe"),
    "prometheus_client": ("metrics",),
    "pydantic": (
        "settings",
        "settings_file",
        "settings_foundations",
        "settings_types",
        "settings_model",
        "settings_inventories",
    ),
    "pygit2": ("repo",),
    "requests": ("review",),
    "rich": ("cli",),
    "ruamel": ("yamlio",),
    "stamina": ("kube", "repo"),
    "structlog": ("log",),
    "urllib3": ("review",),  # what requests reads answers with
    "yaml": ("yamlio",),
    "yarl": ("kube", "rest"),  # aiohttp's own URLs
}
BANNED_NAMES = ("utils", "helpers", "common", "base", "manager", "core", "misc")
MODULE_LINES, TEST_LINES, FUNCTION_LINES, PARAMETERS, NESTING = 400, 500, 50, 5, 3
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While)  # `with` and `try` are only scopes

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path) -> str:
    """`plan.world`; a package is named like its folder, `reconciler` itself is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all imports, also inside of functions; ours stay absolute."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for each in node.names:
                yield node.lineno, _imported(str(node.module), each.name)


def _imported(module: str, name: str) -> str:
    """The module that `from module import name` loads: a submodule where there is one."""
    inner = f"{module}.{name}".removeprefix("reconciler").removeprefix(".")
    return f"{module}.{name}" if inner in MODULES else module


def own_imports(name: str) -> Iterator[tuple[int, str]]:
    """(line, module) of our own modules that a module imports."""
    for line, imported in imports(MODULES[name]):
        if imported == "reconciler" or imported.startswith("reconciler."):
            yield line, imported.removeprefix("reconciler").removeprefix(".")


def room(name: str) -> str:
    return name.partition(".")[0]


def stage(name: str) -> str | None:
    found = room(name)
    return "plan" if found in PLANNERS else found if found in STAGES else None


def is_pure(name: str) -> bool:
    """A module is pure when the first line of its docstring says so; that is a promise."""
    text = (ast.get_docstring(tree(MODULES[name])) or "").partition("\n")[0]
    return (
        "pure"
        in text.lower()
        .replace("-", " ")
        .replace(";", " ")
        .replace(":", " ")
        .replace(".", " ")
        .split()
        or "pure," in text
    )


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node


def at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"


def none(offenders: list[str]) -> None:
    """Fails with every offender on a line of its own."""
    if offenders:
        pytest.fail("\n".join(["", *sorted(set(offenders))]), pytrace=False)


def test_stages_do_not_import_each_other() -> None:
    none(
        [
            at(MODULES[name], line, f"stage {stage(name)} imports {imported}")
            for name in MODULES
            if stage(name) is not None
            for line, imported in own_imports(name)
            if stage(imported) not in (None, stage(name))
        ]
    )


def test_only_composers_import_composers() -> None:
    none(
        [
            at(MODULES[name], line, f"imports {imported}, which composes stages")
            for name in MODULES
            if room(name) not in COMPOSERS
            for line, imported in own_imports(name)
            if room(imported) in COMPOSERS
        ]
    )


def test_modules_that_stages_share_know_no_stage() -> None:
    shared = ("model", "errors", "settings", "settings_file", "names", "yamlio")
    none(
        [
            at(MODULES[name], line, f"imports {imported}, a stage")
            for name in MODULES
            if room(name) in shared
            for line, imported in own_imports(name)
            if stage(imported) is not None
        ]
    )


def test_imports_make_no_circle() -> None:
    graph = {
        name: {found for _, found in own_imports(name) if found != name}
        for name in MODULES
    }
    left = dict(graph)
    while left:
        free = [name for name, needed in left.items() if not needed & set(left)]
        if not free:
            break
        for name in free:
            del left[name]
    # A package's front and its rooms may name each other only through the package's front.
    knots = {name: sorted(needed & set(left)) for name, needed in left.items()}
    none(
        [
            at(MODULES[name], 1, f"in a circle with {also}")
            for name, also in knots.items()
        ]
    )


def test_rooms_that_decide_say_that_they_are_pure() -> None:
    none(
        [
            at(path, 1, "the first line of the docstring does not say that it is pure")
            for name, path in MODULES.items()
            if room(name) in PURE_ROOMS and not is_pure(name)
        ]
    )


def test_pure_modules_import_only_pure_modules() -> None:
    offenders = []
    for name in filter(is_pure, MODULES):
        allowed = NEARLY_PURE.get(name, set())
        for line, imported in imports(MODULES[name]):
            if imported.startswith("reconciler."):
                inner = imported.removeprefix("reconciler.")
                if not is_pure(inner):
                    what = f"is pure and imports {inner}, which is not"
                    offenders.append(at(MODULES[name], line, what))
            elif imported not in allowed and _is_impure(imported):
                offenders.append(
                    at(MODULES[name], line, f"is pure and imports {imported}")
                )
    none(offenders)


def _is_impure(imported: str) -> bool:
    return any(imported == each or imported.startswith(f"{each}.") for each in IMPURE)


def test_pure_modules_read_no_clock_no_chance_and_no_file() -> None:
    offenders = []
    for name in filter(is_pure, MODULES):
        for node in ast.walk(tree(MODULES[name])):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in IMPURE_CALLS:
                what = f"is pure and calls .{called.attr}()"
                offenders.append(at(MODULES[name], called.lineno, what))
            elif isinstance(called, ast.Name) and called.id in IMPURE_NAMES:
                what = f"is pure and calls {called.id}()"
                offenders.append(at(MODULES[name], called.lineno, what))
    none(offenders)


def test_third_party_packages_have_one_home() -> None:
    offenders = []
    for name, path in MODULES.items():
        for line, imported in imports(path):
            package = imported.partition(".")[0]
            if package == "reconciler" or package in sys.stdlib_module_names:
                continue
            if package not in HOMES:
                offenders.append(at(path, line, f"{package} has no home yet"))
            elif room(name) not in HOMES[package]:
                homes = ", ".join(HOMES[package])
                offenders.append(at(path, line, f"{package} is at home in {homes}"))
    none(offenders)


def test_modules_are_small() -> None:
    limits = {path: MODULE_LINES for path in MODULES.values()}
    limits |= {path: TEST_LINES for path in (ROOT / "tests").rglob("*.py")}
    none(
        [
            at(path, limit, f"has {lines} lines, the limit is {limit}")
            for path, limit in limits.items()
            if (lines := len(path.read_bytes().splitlines())) > limit
        ]
    )


def test_functions_are_short_and_take_few_parameters() -> None:
    offenders = []
    for path in MODULES.values():
        for each in functions(path):
            lines = (each.end_lineno or each.lineno) - each.lineno + 1
            if lines > FUNCTION_LINES:
                what = f"{each.name} has {lines} lines, the limit is {FUNCTION_LINES}"
                offenders.append(at(path, each.lineno, what))
            count = _parameters(each)
            if count > PARAMETERS and not _is_command(each):
                what = (
                    f"{each.name} takes {count} parameters, the limit is {PARAMETERS}"
                )
                offenders.append(at(path, each.lineno, what))
    none(offenders)


def _parameters(function: Function) -> int:
    given = function.args
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs])


def _is_command(function: Function) -> bool:
    """click passes every option of a command as a parameter of its own."""
    return any("command" in ast.unparse(each) for each in function.decorator_list)


def test_blocks_are_not_nested_deeply() -> None:
    none(
        [
            at(
                path,
                each.lineno,
                f"{each.name} nests {depth} blocks, the limit is {NESTING}",
            )
            for path in MODULES.values()
            for each in functions(path)
            if (depth := _depth(each)) > NESTING
        ]
    )


def _depth(node: ast.AST) -> int:
    """Nested blocks below a node; `elif` is no deeper, inner functions count on their own."""
    deepest = 0
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, Function):
                continue
            is_elif = (
                field == "orelse" and isinstance(child, ast.If) and len(value) == 1
            )
            here = isinstance(child, BLOCKS) and not (
                isinstance(node, ast.If) and is_elif
            )
            deepest = max(deepest, here + _depth(child))
    return deepest


def test_names_say_what_is_inside() -> None:
    none(
        [
            at(path, 1, f"{part} says nothing about what is inside")
            for name, path in MODULES.items()
            for part in name.split(".")
            if part in BANNED_NAMES
        ]
    )


def test_modules_and_public_functions_say_what_they_are() -> None:
    offenders = []
    for path in MODULES.values():
        if ast.get_docstring(tree(path)) is None:
            offenders.append(at(path, 1, "has no docstring"))
        for node in tree(path).body:
            named = isinstance(node, (ast.ClassDef, *Function.__args__))
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                offenders.append(at(path, node.lineno, f"{node.name} has no docstring"))
    none(offenders)


def test_broad_catches_are_in_one_place() -> None:
    offenders = []
    for name, path in MODULES.items():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler) or name == "cli":
                continue
            caught = "" if node.type is None else ast.unparse(node.type)
            if caught in ("", "Exception", "BaseException"):
                offenders.append(at(path, node.lineno, "catches everything"))
    none(offenders)


def test_nothing_is_left_for_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error")
    none(
        [
            at(path, number, word)
            for path in [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            for word in words
            if word in line
        ]
    )


def test_every_command_is_one_file_and_one_line() -> None:
    files = {name.replace("-", "_") for name in COMMANDS}
    with_command = {
        name.removeprefix("cli.")
        for name, path in MODULES.items()
        if name.startswith("cli.") and any(e.name == "command" for e in functions(path))
    }
    assert with_command == files

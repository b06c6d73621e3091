"""The shape of the code: sizes, imports and public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"casync": ROOT, "casync_server": ROOT / "server", "casync_cli": ROOT / "cli"}
TREES = ["casync", "server", "cli", "tests", "benchmarks"]
FILES = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))
OURS = [path for path in FILES if path.relative_to(ROOT).parts[0] not in ("tests", "benchmarks")]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

COMMAND = {"run"}
"""The function of a command's module."""

# These import late on purpose: a command or a script loads only what it uses.
LATE = ("cli/casync_cli/", "casync/__init__.py", "casync/ops/download/fetcher.py")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """The top-level packages that one import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0]


def test_the_files_are_found() -> None:
    assert len(OURS) > 40
    assert {path.relative_to(ROOT).parts[0] for path in FILES} >= {"casync", "server", "cli"}


def test_files_are_short_and_named_by_their_concept() -> None:
    long = [shown(path) for path in FILES if len(path.read_text().splitlines()) > 400]
    nameless = [shown(path) for path in FILES if path.stem in NAMES_THAT_SAY_NOTHING]
    assert (long, nameless) == ([], [])


def test_modules_say_what_they_are() -> None:
    assert [shown(path) for path in OURS if not ast.get_docstring(tree_of(path))] == []


def test_our_packages_are_imported_at_the_top() -> None:
    late = [
        (shown(path), node.lineno, name)
        for path in OURS
        if not shown(path).startswith(LATE)
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node)
        if name in PACKAGES
    ]
    assert late == []


def test_packages_are_imported_by_their_own_names() -> None:
    suspicious = re.compile(r"import\b.*\b(server|cli)\b|from (server|cli)\b")
    wrong = [
        (shown(path), name)
        for path in FILES
        if suspicious.search(path.read_text())
        for node in ast.walk(tree_of(path))
        for name in imported(node)
        if name in ("server", "cli")
    ]
    assert wrong == []


def registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a router calls it, and no other code."""
    return any(ast.unparse(decorator).startswith("router.") for decorator in node.decorator_list)


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module's own statements define for others."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not registered(node):
                yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from defined(node.body)


def lists_its_names(path: Path) -> bool:
    """Whether `__all__` of a module has what the module defines for others, once each."""
    tree = tree_of(path)
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    visible = {name for name in defined(tree.body) if not name.startswith("_")}
    if not listed:
        # A module of constants is public as a whole. Commands show what verbs.py reads.
        constants = {name for name in visible if name.isupper()}
        return path.name == "__init__.py" or visible - constants <= COMMAND
    if len(listed[0]) != len(set(listed[0])):
        return False
    if path.name == "__init__.py":
        return True
    brought = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return visible <= set(listed[0]) <= visible | brought


def test_all_lists_the_public_names() -> None:
    assert [shown(path) for path in OURS if not lists_its_names(path)] == []


def test_tests_are_named_by_sentences() -> None:
    coded = re.compile(r"test_[a-z]\d+_")
    wrong = [
        (shown(path), node.name)
        for path in TESTS
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and coded.match(node.name)
    ]
    assert wrong == []


HOMONYMS: dict[str, str] = {}
"""Public names that two modules give to two things, each with the reason."""


def types_of(path: Path) -> Iterator[str]:
    """The public classes and type aliases that a module defines."""
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            yield ast.unparse(node.target)


def test_no_two_types_of_ours_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in OURS:
        for name in types_of(path):
            if not name.startswith("_"):
                homes.setdefault(name, []).append(shown(path))
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in HOMONYMS} == {}
    assert set(HOMONYMS) <= set(shared)


def test_floors_are_kept() -> None:
    lint = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert "0 broken" in lint.stdout

"""The shape of the code: sizes, imports and public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
LATE = ("cli/casync_cli/", "casync/__init__.py")


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


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_file_is_short_and_named_by_its_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in NAMES_THAT_SAY_NOTHING


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_our_packages_are_imported_at_the_top(path: Path) -> None:
    if shown(path).startswith(LATE):
        return
    late = [
        (node.lineno, name)
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node)
        if name in PACKAGES
    ]
    assert late == []


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_packages_are_imported_by_their_own_names(path: Path) -> None:
    names = {name for node in ast.walk(tree_of(path)) for name in imported(node)}
    assert not names & {"server", "cli"}


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


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_all_lists_the_public_names(path: Path) -> None:
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
        assert path.name == "__init__.py" or visible - constants <= COMMAND
        return
    assert len(listed[0]) == len(set(listed[0]))
    if path.name != "__init__.py":
        brought = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert visible <= set(listed[0]) <= visible | brought


@pytest.mark.parametrize("path", TESTS, ids=shown)
def test_a_test_is_named_by_a_sentence(path: Path) -> None:
    coded = re.compile(r"test_[a-z]\d+_")
    named = [node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    assert [name for name in named if coded.match(name)] == []


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

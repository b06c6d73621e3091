"""The packages of the code and who imports whom, drawn from the imports themselves.

`python -m tests.support.package_graph` prints the drawing of ARCHITECTURE.md. An arrow that others
imply is left out, so an arrow means "is built on", directly or by what stands between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import grimp

ROOTS = ("casync", "casync_server", "casync_cli")
EVERYWHERE = {"errors", "limits", "ids", "sizes", "escape"}
"""Modules of the library that anything may import: arrows to them say nothing."""

Graph = Mapping[str, frozenset[str]]


def package_graph() -> Graph:
    """Each package with those that its modules import. A program's own packages count as one."""
    imports = grimp.build_graph(*ROOTS, cache_dir=None)
    graph: dict[str, set[str]] = defaultdict(set)
    for module in sorted(imports.modules):
        home = _package(module)
        graph[home] |= {
            _package(other) for other in imports.find_modules_directly_imported_by(module)
        }
    return {
        package: frozenset(others - {package} - EVERYWHERE)
        for package, others in graph.items()
        if package not in EVERYWHERE
    }


def _package(module: str) -> str:
    root, *path = module.split(".")
    if root != "casync":
        return root
    if not path:
        return "casync"
    own = path[:2] in (["store", "bucket"], ["store", "lmdb"]) or path[0] == "remote"
    return "/".join(path[: 2 if own else 1])


def reduced(graph: Graph) -> Graph:
    """The graph without arrows that longer ways imply."""
    below: dict[str, frozenset[str]] = {}

    def reach(package: str) -> frozenset[str]:
        if package not in below:
            direct = graph.get(package, frozenset())
            below[package] = direct.union(*(reach(other) for other in direct))
        return below[package]

    return {
        package: frozenset(
            other for other in others if not any(other in reach(via) for via in others - {other})
        )
        for package, others in graph.items()
    }


def drawing() -> Iterator[str]:
    """The lines of a Mermaid flow chart."""
    yield "flowchart TD"
    for package, others in sorted(reduced(package_graph()).items()):
        for other in sorted(others):
            yield f"    {_node(package)} --> {_node(other)}"


def _node(package: str) -> str:
    return f'{package.replace("/", "_")}["{package}"]'


if __name__ == "__main__":
    print("\n".join(drawing()))

"""Every error has an exit status, and the tree in the docstring of errors.py is correct."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from casync_cli.exit_codes import STATUS, exit_status

from casync import errors
from casync.errors import CasyncError

LINE = re.compile(r"^    ([ │├└─]*)(\w+Error)\s+([a-z-]+)(?:\s+exit (\d+))?")


def tree(kind: type[CasyncError] = CasyncError) -> Iterator[type[CasyncError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


def drawn() -> Iterator[tuple[str, str, str, int]]:
    """Name, parent, code and exit status of each line; the status is inherited."""
    above: list[tuple[str, int]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        del above[depth:]
        status = int(match[4]) if match[4] else above[-1][1]
        yield match[2], above[-1][0] if above else "Exception", match[3], status
        above.append((match[2], status))


def test_the_table_is_complete_and_has_nothing_else() -> None:
    assert {kind.code for kind in tree()} == set(STATUS)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))


def test_all_errors_are_public() -> None:
    assert {kind.__name__ for kind in tree()} == set(errors.__all__)


def test_the_tree_in_the_docstring_has_the_classes_and_their_parents() -> None:
    classes = {(k.__name__, k.__base__.__name__ if k.__base__ else "", k.code) for k in tree()}
    assert {(name, parent, code) for name, parent, code, _ in drawn()} == classes


@pytest.mark.parametrize(("name", "status"), [(name, status) for name, _, _, status in drawn()])
def test_the_tree_in_the_docstring_has_the_exit_statuses(name: str, status: int) -> None:
    assert STATUS[getattr(errors, name).code] == status


def test_an_error_has_the_status_of_its_code() -> None:
    assert exit_status(errors.NoNameError("x")) == 9
    assert exit_status(CasyncError("x")) == 1

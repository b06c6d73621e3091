"""The error tree: drawn in the docstring, true in the code."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from casync import errors
from casync.errors import CasyncError, UnreachableError

_LINE = re.compile(
    r"^ {4}(?P<rails>[│├└─ ]*)(?P<name>[A-Z]\w+) +(?P<code>[a-z-]+)(?: +exit (?P<exit>\d+))?"
)


def exceptions() -> dict[str, type[CasyncError]]:
    found = {}
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, CasyncError)
            found[name] = value
    return found


CLASSES = exceptions()


def parent_of(cls: type[CasyncError]) -> str:
    assert cls.__base__ is not None
    return cls.__base__.__name__


def drawn() -> list[tuple[str, str, str, bool]]:
    """(class, parent, code, has an exit status) of each line of the drawing."""
    assert errors.__doc__
    above: list[str] = []
    found = []
    for line in errors.__doc__.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        depth = len(match["rails"]) // 4
        above[depth:] = [match["name"]]
        parent = above[depth - 1] if depth else "Exception"
        found.append((match["name"], parent, match["code"], match["exit"] is not None))
    return found


def test_the_drawing_is_the_tree() -> None:
    tree = {(name, parent_of(cls), cls.code) for name, cls in CLASSES.items()}
    assert {(name, parent, code) for name, parent, code, _ in drawn()} == tree


def test_every_branch_below_the_root_has_its_exit_status() -> None:
    for name, parent, _, has_exit in drawn():
        assert has_exit == (parent in ("Exception", "CasyncError")), name


def test_codes_are_unique_and_written_as_words_with_hyphens() -> None:
    codes = [cls.code for cls in CLASSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("cls", CLASSES.values())
def test_a_message_and_its_next_step_survive_a_process_boundary(cls: type[CasyncError]) -> None:
    error = cls("disk is full", next_step="Make room.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (str(copy), copy.message, copy.next_step) == (
        "disk is full",
        "disk is full",
        "Make room.",
    )


def test_a_server_may_say_when_to_retry() -> None:
    assert UnreachableError("busy").retry_after == 0.0
    assert UnreachableError("busy", retry_after=2.5).retry_after == 2.5

"""Excludes paths of a folder: .gitignore patterns and regular expressions."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from casync.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["Exclusion", "excludes", "pattern_of"]

_SPECIAL: Final = re.compile(rb"[\\*?\[ ]")


def pattern_of(path: bytes) -> str:
    """The pattern that excludes this path alone."""
    return os.fsdecode(b"/" + _SPECIAL.sub(rb"\\\g<0>", path))


def excludes(excluded: Callable[[bytes, bool], bool], path: bytes) -> bool:
    """Whether a file, or one of the folders that it is in, is excluded."""
    parts = path.split(b"/")
    folders = (b"/".join(parts[:count]) for count in range(1, len(parts)))
    return any(excluded(folder, True) for folder in folders) or excluded(path, False)


class Exclusion:
    """Decides by paths relative to the prepared folder.

    Args:
        globs: Patterns with git's rules: `*.o`, `/build/`, `**/cache`, `!keep.o`; later ones win.
            What lies in an excluded folder cannot be included again.
        regexes: Python regular expressions, searched anywhere in the path.

    Raises:
        UsageError: One of them is not valid.
    """

    def __init__(self, globs: Sequence[str] = (), regexes: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            # Users need not know what `[[` may mean in a later Python.
            warnings.simplefilter("ignore", FutureWarning)
            self._compile(globs, regexes)

    def _compile(self, globs: Sequence[str], regexes: Sequence[str]) -> None:
        self._spec: GitIgnoreSpec | None = None
        try:
            if globs:
                from pathspec import GitIgnoreSpec  # slow to import

                self._spec = GitIgnoreSpec.from_lines(globs)
        except (ValueError, re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"not a valid .gitignore pattern: {error}") from error
        self._regexes: list[re.Pattern[str]] = []
        for text in regexes:
            try:
                self._regexes.append(re.compile(text))
            except (re.error, OverflowError, RecursionError) as error:
                raise UsageError(f"not a valid regular expression: {text}: {error}") from error

    def __bool__(self) -> bool:
        """Whether anything may be excluded at all."""
        return self._spec is not None or bool(self._regexes)

    def __call__(self, path: bytes, is_folder: bool) -> bool:
        """Whether a path is excluded, with everything in it."""
        if not self:
            return False
        text = os.fsdecode(path)
        if any(regex.search(text) for regex in self._regexes):
            return True
        return self._spec is not None and self._spec.match_file(text + "/" * is_folder)

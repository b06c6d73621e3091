"""What to leave out of a folder: patterns as in a .gitignore, and regular expressions."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence

import pathspec

from casync.errors import UsageError

__all__ = ["Exclusion"]


class Exclusion:
    """Decides by paths below the folder that is prepared.

    Args:
        globs: Patterns with git's rules: `*.o`, `/build/`, `**/cache`, `!keep.o`; later ones win.
            What lies in a folder that is left out cannot be brought back.
        regexes: Python's regular expressions, searched anywhere in the path.

    Raises:
        UsageError: One of them means nothing.
    """

    def __init__(self, globs: Sequence[str] = (), regexes: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            # What `[[` may mean in a later Python is no news for users.
            warnings.simplefilter("ignore", FutureWarning)
            self._compile(globs, regexes)

    def _compile(self, globs: Sequence[str], regexes: Sequence[str]) -> None:
        try:
            self._spec = pathspec.GitIgnoreSpec.from_lines(globs) if globs else None
        except (ValueError, re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"not a pattern as in .gitignore: {error}") from error
        self._regexes: list[re.Pattern[str]] = []
        for text in regexes:
            try:
                self._regexes.append(re.compile(text))
            except (re.error, OverflowError, RecursionError) as error:
                raise UsageError(f"not a regular expression: {text}: {error}") from error

    def __call__(self, path: bytes, is_folder: bool) -> bool:
        """Whether something is left out, and all that is in it."""
        if self._spec is None and not self._regexes:
            return False
        text = os.fsdecode(path)
        if any(regex.search(text) for regex in self._regexes):
            return True
        return self._spec is not None and self._spec.match_file(text + "/" * is_folder)

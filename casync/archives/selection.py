"""Selects members of an archive by their paths, as AIStore's modes of an archive regex do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from casync.errors import UsageError

__all__ = ["MODES", "SelectionMode", "member_selection", "sample_key"]

SelectionMode: TypeAlias = Literal["prefix", "suffix", "substr", "regex", "wdskey"]
"""How a text selects paths.

- `prefix`, `suffix` and `substr`: The path begins with it, ends with it, or has it in it.
- `regex`: The regular expression matches anywhere in the path.
- `wdskey`: It is the key of the WebDataset sample that the path belongs to.
"""

MODES: Final[tuple[SelectionMode, ...]] = ("prefix", "suffix", "substr", "regex", "wdskey")


def sample_key(path: bytes) -> bytes:
    """The key of a WebDataset sample: the path up to the first dot of its last name.

    `train/7.seg.png` and `train/7.txt` are of the sample `train/7`, as the package webdataset has
    it; a path that ends at the last dot, as AIStore has it, splits such a sample. A name that
    begins with a dot is of no sample: the key is empty.
    """
    folder, slash, name = path.rpartition(b"/")
    stem, dot, _ = name.partition(b".")
    return folder + slash + stem if stem and dot else b""


def member_selection(mode: SelectionMode, text: str) -> Callable[[bytes], bool]:
    """Selects paths of members.

    Args:
        mode: How.
        text: What paths are compared with; a slash at its beginning does not count for `prefix`
            and `wdskey`, since paths of members have none.

    Raises:
        UsageError: A regular expression is no valid one.
    """
    wanted = text.encode(errors="surrogateescape")
    if mode == "prefix":
        start = wanted.lstrip(b"/")
        return lambda path: path.startswith(start)
    if mode == "suffix":
        return lambda path: path.endswith(wanted)
    if mode == "substr":
        return lambda path: wanted in path
    if mode == "wdskey":
        key = wanted.lstrip(b"/")
        return lambda path: bool(key) and sample_key(path) == key
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a regular expression: {error}") from error
    return lambda path: pattern.search(path.decode(errors="surrogateescape")) is not None

"""Words for commands that other programs use for the same: `show job ID`, `start download`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["translated"]

_JOB: Final = re.compile(r"dnl-[0-9a-z]{0,9}", re.ASCII)
_KIND: Final = "download"
"""The kind of a job, which may stand before its id. No name and no id is this word."""


def translated(words: Sequence[str]) -> list[str]:
    """A command line in words of ours.

    Args:
        words: The command and what follows it.
    """
    match list(words):
        case ["start" | "stop" | "wait" as verb, *rest]:
            return translated(["job", verb, *rest])
        case ["show", "job", *rest]:
            return translated(["job", "show", *rest])
        case ["job", "start", str(kind), *rest] if kind == _KIND:
            is_job = bool(rest) and _JOB.fullmatch(rest[0])
            return ["job", "start", *rest] if is_job else [_KIND, *rest]
        case ["job", "show" | "stop" | "rm" | "wait" as verb, str(kind), *rest] if kind == _KIND:
            return ["job", verb, *rest]
        case same:
            return same

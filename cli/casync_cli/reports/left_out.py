"""Prints members that are left out of what a command makes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from casync.sizes import format_count

if TYPE_CHECKING:
    from casync.ops.archive.extract_plan import LeftOutMember
    from casync_cli.output import Output

__all__ = ["left_out_names", "say_left_out"]


def say_left_out(output: Output, number: int, names: Sequence[LeftOutMember]) -> None:
    """Names members that are left out, and counts all of them.

    Args:
        output: Prints it.
        number: How many there are.
        names: The first of them.
    """
    for name, reason in names:
        output.say(f"left out: {os.fsdecode(name)}: {reason}")
    more = f", the first {len(names)} of them are named above" if number > len(names) else ""
    output.say(f"warning: {format_count(number, 'member')} left out{more}")


def left_out_names(names: Sequence[LeftOutMember]) -> list[dict[str, str]]:
    """The same for JSON."""
    return [{"path": os.fsdecode(name), "reason": reason} for name, reason in names]

"""Selections of members of archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.errors import UsageError

if TYPE_CHECKING:
    from casync.ops.archive.list_members import Selection

__all__ = ["parse_selection"]


def parse_selection(
    prefix: str | None,
    suffix: str | None,
    substr: str | None,
    regex: str | None,
    wdskey: str | None,
    *,
    shadowed: bool = False,
) -> Selection:
    """The selection that one of the options makes; all members without one.

    Raises:
        UsageError: There are several, or one is empty.
    """
    from casync.archives.selection import MODES
    from casync.ops.archive.list_members import Selection

    texts = dict(zip(MODES, (prefix, suffix, substr, regex, wdskey), strict=True))
    given = [(mode, text) for mode, text in texts.items() if text is not None]
    if len(given) > 1:
        names = " and ".join(f"--{mode}" for mode, _ in given)
        raise UsageError(f"{names} do not go together", next_step="Give one of them.")
    if not given:
        return Selection(shadowed=shadowed)
    ((mode, text),) = given
    if not text:
        raise UsageError(f"--{mode} is empty", next_step="Leave it out for all members.")
    return Selection(mode, text, shadowed)

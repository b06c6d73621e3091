"""The rule of hard links in archives, for all that reads them.

A hard link leads to the last member before it that has the path which it names, or else to the
next one. What that is a hard link to, it is itself. Programs write links to the file, so a chain
is rare, and a long one is made to cost time.
"""

from __future__ import annotations

from typing import Final

from casync.archives.member import shown
from casync.errors import NotFoundError, UnsupportedError

__all__ = ["FOLDER", "ITSELF", "MAX_CHAIN", "NOTHING", "leads_nowhere", "too_long"]

MAX_CHAIN: Final = 40
"""Hard links that lead to hard links; as many as Linux follows symbolic ones."""

NOTHING: Final = "is not in the archive"
FOLDER: Final = "is a folder"
ITSELF: Final = "leads back to it"


def leads_nowhere(path: bytes, target: bytes, problem: str) -> NotFoundError:
    """The error of a hard link that has no file.

    Args:
        path: Its path.
        target: What it leads to.
        problem: What that is: one of the texts above.
    """
    return NotFoundError(f"{shown(path)} is a hard link to {shown(target)}, which {problem}")


def too_long(path: bytes) -> UnsupportedError:
    """The error of a hard link at the beginning of too long a chain."""
    return UnsupportedError(
        f"{shown(path)} is a hard link to a hard link, and so on for more than {MAX_CHAIN} links"
    )

"""The numbers of users and groups of this machine, for access control lists that have names."""

from __future__ import annotations

import grp
import pwd
from functools import cache

from casync.access.progress import Progress

__all__ = ["KnownOwners"]


class KnownOwners:
    """Looks names up, each once.

    Args:
        progress: Is told of each name that is unknown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.user = cache(self._user)
        self.group = cache(self._group)

    def _user(self, name: str) -> int | None:
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            self._note_unknown("user", name)
            return None

    def _group(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            self._note_unknown("group", name)
            return None

    def _note_unknown(self, kind: str, name: str) -> None:
        self._progress.note(
            f"there is no {kind} {name} here; entries for it in access control lists are left out"
        )

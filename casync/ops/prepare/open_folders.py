"""Opens and leaves folders of a tree builder, as paths come in the order of a walk."""

from __future__ import annotations

from casync.fs.scan import Excluded
from casync.fs.target.staging import STAGING
from casync.limits import MAX_TREE_DEPTH
from casync.objects.tree import Meta
from casync.ops.prepare.tree_builder import TreeBuilder, name_of

__all__ = ["STAGING_REASON", "OpenFolders"]

STAGING_REASON = "pulls use this name for what is not complete"


class OpenFolders:
    """The folders on the way to the present path. Begins with the root.

    Args:
        builder: Builds the tree.
        excluded: Selects paths to leave out.
        meta: The metadata of the root; None if the source has none.
    """

    def __init__(self, builder: TreeBuilder, excluded: Excluded, meta: Meta | None = None) -> None:
        self._builder = builder
        self._excluded = excluded
        self._skipped = b""  # what paths in a folder that is left out begin with
        self._open = [b""]
        builder.enter(b"", meta)

    def go_to(self, path: bytes) -> bool:
        """Opens the folders that lead to a path; returns False if it lies in one that is left out.

        Raises:
            CasyncError: What the store raises.
        """
        if self._skipped and path.startswith(self._skipped):
            return False
        self._skipped = b""
        while not path.startswith(self._open[-1]):
            self._leave()
        while b"/" in (rest := path[len(self._open[-1]) :]):
            if not self.enter(self._open[-1] + rest.partition(b"/")[0]):
                return False
        return True

    def enter(self, folder: bytes, meta: Meta | None = None) -> bool:
        """Opens a folder in the innermost open one, or returns False if it is left out.

        Args:
            folder: Its path.
            meta: Its metadata; None if the source has none.
        """
        inside = folder + b"/"
        reason = ""
        if name_of(folder) == STAGING:
            reason = STAGING_REASON
        elif len(self._open) >= MAX_TREE_DEPTH:
            reason = f"more than {MAX_TREE_DEPTH} folders inside each other"
        is_excluded = self._excluded(folder, True)
        if is_excluded or reason:
            self._skipped = inside
            if not is_excluded:
                self._builder.leave_out(folder, reason)
            return False
        self._open.append(inside)
        self._builder.enter(folder, meta)
        return True

    def finish(self) -> None:
        """Leaves all folders. Raises as `go_to`."""
        while self._open:
            self._leave()

    def _leave(self) -> None:
        self._open.pop()
        self._builder.leave()

"""The second walk of a pull into a folder: hard links, deletions, and the metadata of folders.

Every change in a folder changes its time, so the metadata of folders comes last, that of inner
folders first. The walk also writes the scan cache for the next run.
"""

from __future__ import annotations

import os

from casync.fs.beneath import open_beneath
from casync.fs.cursor import Cursor, look
from casync.fs.entries import Inside, attributes_of, meta_of
from casync.fs.identity import identity_of
from casync.fs.removal import remove
from casync.fs.scan_cache import ScanWriter
from casync.fs.target.staging import STAGING, Moment
from casync.objects.tree import File, Folder, Leaf
from casync.objects.tree_walk import Step
from casync.ops.pull_folder.place import FolderPlace
from casync.ops.pull_folder.plan import FolderPlan
from casync.ops.pull_folder.settled import SettledWriter
from casync.ops.pull_folder.survey import CERTAIN, LEFT_OUT, is_in_state

__all__ = ["FolderFinish"]


class FolderFinish:
    """The second walk of one pull.

    Args:
        plan: The plan.
        place: The folder. Its staging folder is removed at the end.
        delete: Whether to remove entries that the tree does not have.
        scan_writer: Writes the scan cache; None to keep the last one.
        settled_writer: Notes settled folders; None for no notes.
    """

    def __init__(
        self,
        plan: FolderPlan,
        place: FolderPlace,
        *,
        delete: bool,
        scan_writer: ScanWriter | None,
        settled_writer: SettledWriter | None,
    ) -> None:
        self._plan = plan
        self._place = place
        self._root = place.root
        self._staging = place.staging
        self._delete = delete
        self._scan_writer = scan_writer
        self._settled_writer = settled_writer
        self._now = Moment(0, 0)
        self._number = -1
        self._open: list[tuple[Folder, list[bytes]]] = []  # with the names ahead, last first

    def run(self) -> None:
        """Runs the walk.

        Raises:
            WriteError, NoSpaceError: A change failed.
        """
        if self._plan.has_hard_links:
            self._link_all()
        if self._is_noting:
            self._now = self._staging.moment()
        with Cursor(self._root) as cursor:
            for step in self._plan.steps:
                with self._place.writing(step.path):
                    self._step(cursor, step)

    @property
    def _is_noting(self) -> bool:
        return self._scan_writer is not None or self._settled_writer is not None

    def _link_all(self) -> None:
        """Makes hard links, before folders get modes that may forbid entering them."""
        number = -1
        with Cursor(self._root) as cursor:
            for path, entry, _ in self._plan.steps:
                if entry is None or isinstance(entry, Folder):
                    if path:
                        cursor.leave() if entry is None else cursor.enter(entry.name)
                    continue
                number += 1
                if entry.first is not None and self._plan.marks[number] != LEFT_OUT:
                    with self._place.writing(path):
                        self._link(path, entry.first, cursor.look(entry.name))

    def _step(self, cursor: Cursor, step: Step) -> None:
        path, entry, is_settled = step
        if entry is None:
            self._leave(cursor, path)
            return
        self._pass(cursor, entry.name)
        if isinstance(entry, Folder):
            if is_settled:
                if self._settled_writer is not None:
                    self._settled_writer.pass_over(path, entry)
                return
            if path:
                cursor.enter(entry.name)
            if self._settled_writer is not None:
                self._settled_writer.enter(path, entry)
            self._open.append((entry, cursor.names()[::-1] if self._delete else []))
            return
        self._number += 1
        mark = self._plan.marks[self._number]
        if not self._is_noting:
            return
        if not self._remember(cursor, path, entry, mark) and self._settled_writer is not None:
            self._settled_writer.spoil()

    def _pass(self, cursor: Cursor, name: bytes) -> None:
        """Removes entries that precede the tree's next name and are not in the tree."""
        names = self._open[-1][1] if self._open else []
        while names and names[-1] <= name:
            last = names.pop()
            if last != name:
                self._remove(cursor, last)

    def _remove(self, cursor: Cursor, name: bytes) -> None:
        path = cursor.path + b"/" + name if cursor.path else name
        if path != STAGING:
            remove(self._root, path)
            self._place.publish_queue.touch(cursor.path)

    def _link(self, path: bytes, first: bytes, there: os.stat_result | None) -> None:
        """Makes a hard link to a file that is in place, unless it exists already."""
        folder, _, name = first.rpartition(b"/")
        fd = open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
        try:
            status = look(fd, name)
            if status is not None and there is not None and os.path.samestat(status, there):
                return
            fresh = self._staging.fresh_name(path)
            os.link(name, fresh, src_dir_fd=fd, dst_dir_fd=self._staging.fd, follow_symlinks=False)
        finally:
            os.close(fd)
        self._place.publish_queue.place(fresh, path)

    def _remember(self, cursor: Cursor, path: bytes, entry: Leaf, mark: int) -> bool:
        """Notes an entry for the next run. Returns whether it is certainly as in the tree.

        It is not if it changed after it was written or compared, or could change at this moment
        and still look the same.
        """
        if not mark & CERTAIN or entry.first is not None:
            return False
        status = cursor.look(entry.name)
        if status is None or not is_in_state(status, mark) or not self._now.is_after(status):
            return False
        attributes = attributes_of(Inside(cursor.fd, entry.name))
        if self._scan_writer is not None and isinstance(entry, File):
            seen = File(entry.name, meta_of(status, attributes), None, entry.content)
            self._scan_writer.add(path, identity_of(status), seen)
        if self._plan.policy.differences_with(entry, status, attributes):
            return False
        if self._settled_writer is not None:
            self._settled_writer.add(entry, status)
        return True

    def _leave(self, cursor: Cursor, path: bytes) -> None:
        folder, names = self._open.pop()
        for name in reversed(names):
            self._remove(cursor, name)
        if not path:
            self._staging.remove()
        fd = cursor.fd
        if self._plan.policy.differences(folder, os.fstat(fd), fd):
            self._plan.policy.apply(folder, fd)
        if self._settled_writer is not None:
            self._settled_writer.leave()
        if path:
            cursor.leave()

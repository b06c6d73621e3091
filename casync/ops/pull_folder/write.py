"""The first walk of a pull into a folder: makes folders and files, but no hard links.

The walk yields the chunks of the files in order. Files are written in the staging folder; entries
without bytes are made there at once. All of them move to their places in batches.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator

from casync.access.progress import Progress
from casync.access.supply import Supply
from casync.access.tree_load import Tree
from casync.fs.beneath import open_child
from casync.fs.cursor import Cursor
from casync.fs.target.folder import FolderSink
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Run, runs
from casync.objects.tree import Device, File, Folder, Leaf, Link, Pipe
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull_folder.place import FolderPlace
from casync.ops.pull_folder.plan import FolderPlan
from casync.ops.pull_folder.survey import ABSENT, LEFT_OUT, UNDRESSED, mark_of
from casync.planning.windows import Window, tile

__all__ = ["FolderWriting"]


class FolderWriting:
    """The first walk of one pull. To the rebuilder it is the content of all files to write.

    Args:
        plan: The plan, whose marks are kept up to date.
        tree: The tree.
        place: The folder.
    """

    def __init__(self, plan: FolderPlan, tree: Tree, place: FolderPlace) -> None:
        self._plan = plan
        self._tree = tree
        self._place = place
        self._staging = place.staging
        self._publish_queue = place.publish_queue
        self._sink = FolderSink(
            place.root, place.path, place.staging, place.publish_queue, plan.policy
        )

    @property
    def length(self) -> int:
        """Plain bytes of all files to write."""
        return self._plan.length

    @property
    def params(self) -> ChunkerParams:
        """The chunk sizes that they were cut with."""
        return self._tree.params

    def part(self, offset: int, length: int) -> str:
        """A part of a file, for messages. A chunk belongs to one file."""
        return self._sink.part(offset, length)

    def run(self, supplies: list[Supply], workers: int, progress: Progress) -> Counter[str]:
        """Makes everything but hard links. Returns the plain bytes from each source.

        Raises:
            CasyncError: A chunk is missing, or writing failed.
        """
        given = Rebuilder(
            self,
            self._sink,
            supplies,
            keeper=None,
            workers=workers,
            kept_label="staged",
            progress=progress,
        ).run()
        self._publish_queue.flush()
        return given

    def windows(self, *, distinct: bool) -> Iterator[Window]:
        """The content of all files to write. Iterating it also makes everything else."""
        return tile(self._runs(), self.params.max_size)

    def _runs(self) -> Iterator[tuple[int, Run]]:
        number = -1
        with Cursor(self._place.root, opens_up=True) as cursor:
            for path, entry in self._tree.tour():
                if entry is None:
                    if path:
                        cursor.leave()
                elif isinstance(entry, Folder):
                    if path:
                        self._enter(cursor, path, entry)
                else:
                    number += 1
                    if self._is_settled(cursor, entry, number):
                        continue
                    if isinstance(entry, File) and entry.content.length:
                        start = self._sink.add(path, entry, number)
                        for offset, run in runs(entry.content, self._tree.node):
                            yield start + offset, run
                    else:
                        self._make(path, entry, number)

    def _enter(self, cursor: Cursor, path: bytes, entry: Folder) -> None:
        """Enters a folder. Creates it if it is missing, and makes it writable for this user."""
        with self._place.writing(path):
            status = cursor.look(entry.name)
            if status is not None and not stat.S_ISDIR(status.st_mode):
                os.unlink(entry.name, dir_fd=cursor.fd)
                status = None
            if status is None:
                os.mkdir(entry.name, 0o700, dir_fd=cursor.fd)
                self._publish_queue.touch(cursor.path)
            cursor.enter(entry.name)

    def _is_settled(self, cursor: Cursor, entry: Leaf, number: int) -> bool:
        """Whether nothing must be made now. Sets the metadata of an entry that stays."""
        mark = self._plan.marks[number]
        if mark == LEFT_OUT or entry.first is not None:
            return True
        if mark == ABSENT:
            return False
        if not mark & UNDRESSED:
            return True
        with self._place.writing(cursor.path + b"/" + entry.name):
            try:
                fd = open_child(cursor.fd, entry.name, os.O_RDONLY)
            except PermissionError:  # an empty file that cannot be read is made again
                return False
            try:
                if mark_of(os.fstat(fd)) != mark & ~UNDRESSED:
                    return False  # it changed after the comparison
                self._plan.policy.apply(entry, fd)
                self._plan.marks[number] = mark_of(os.fstat(fd))
            finally:
                os.close(fd)
        return True

    def _make(self, path: bytes, entry: Leaf, number: int) -> None:
        """Makes an entry without bytes."""
        folder, name = self._staging.fd, self._staging.fresh_name(path)
        with self._place.writing(path):
            if isinstance(entry, File):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
            elif isinstance(entry, Link):
                os.symlink(entry.target, name, dir_fd=folder)
            elif isinstance(entry, Pipe):
                os.mkfifo(name, 0o600, dir_fd=folder)
            elif not self._make_device(name, entry):
                self._plan.marks[number] = LEFT_OUT
                return
            self._plan.policy.apply(entry, self._staging.thing(name))
        self._publish_queue.add(name, path, number)

    def _make_device(self, name: bytes, entry: Device) -> bool:
        kind = stat.S_IFBLK if entry.block else stat.S_IFCHR
        device = os.makedev(entry.major, entry.minor)
        try:
            os.mknod(name, kind | 0o600, device, dir_fd=self._staging.fd)
        except PermissionError:  # root without CAP_MKNOD, as in containers
            self._plan.policy.skipped["devices"] += 1
            return False
        return True

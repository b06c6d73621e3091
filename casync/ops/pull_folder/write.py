"""The first walk of a pull into a folder: makes folders and files, but no hard links.

The walk yields the contents of the files in order. Files are written in the staging folder; entries
without bytes are made there at once. All of them move to their places in batches.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from casync.access.progress import Progress
from casync.access.supply import Supply
from casync.access.tree_load import Tree
from casync.fs.beneath import open_child
from casync.fs.cursor import Cursor
from casync.fs.target.folder import FolderSink
from casync.objects.node import Content
from casync.objects.tree import Device, File, Folder, Leaf, Link, Pipe
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.work import Work
from casync.ops.pull_folder.place import FolderPlace
from casync.ops.pull_folder.plan import FolderPlan
from casync.ops.pull_folder.seeds import tree_portions
from casync.ops.pull_folder.survey import ABSENT, CERTAIN, LEFT_OUT, UNDRESSED, is_in_state, mark_of

__all__ = ["PART_CHUNKS", "FolderWriting"]

PART_CHUNKS: Final = 1 << 14
"""Chunks that are planned together, each perhaps a file that waits to be finished."""


class FolderWriting:
    """The first walk of one pull: the contents of all files to write, end to end.

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

    def run(
        self, seeds: Seeds, supplies: list[Supply], workers: int, progress: Progress
    ) -> tuple[Counter[str], dict[Path, int]]:
        """Makes everything but hard links.

        Returns:
            The plain bytes from each source, and those of seeds by path.

        Raises:
            CasyncError: A chunk is missing, or writing failed.
        """
        tree = self._tree
        work = Work(
            portions=tree_portions(tree, self._contents(), seeds, part_chunks=PART_CHUNKS),
            length=self._plan.length,
            hole=tree.params.max_size,
            part=self._sink.part,
            read_seed=seeds.read,
            supplies=supplies,
            kept_label="staged",
        )
        rebuilder = Rebuilder(work, self._sink, workers=workers, progress=progress)
        given = rebuilder.run()
        self._publish_queue.flush()
        return given, seeds.paths(rebuilder.used)

    def _contents(self) -> Iterator[tuple[int, Content]]:
        """The contents of all files to write. Iterating them also makes everything else."""
        number = -1
        with Cursor(self._place.root, opens_up=True) as cursor:
            for path, entry, is_settled in self._plan.steps:
                if is_settled:
                    continue
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
                        yield self._sink.add(path, entry, number), entry.content
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
                if not is_in_state(os.fstat(fd), mark):
                    return False  # it changed after the comparison
                self._plan.policy.apply(entry, fd)
                self._plan.marks[number] = mark_of(os.fstat(fd)) | mark & CERTAIN
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

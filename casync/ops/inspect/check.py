"""Checks a copy on disk, a file or a folder, against a manifest. Changes nothing.

Every file is read, whatever the scan cache knows. In folders the check covers what a pull sets
without `--exact`: bytes, kinds, links, modes without setuid, times, `user.` attributes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from casync.access.compare import Comparer
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.errors import NotFoundError, UsageError, WriteError
from casync.fs.target.metadata import MetadataPolicy
from casync.fs.target.root import open_target
from casync.ids import ManifestId
from casync.objects.tree import File
from casync.ops.pull_folder.step_file import StepFile
from casync.ops.pull_folder.survey import Difference, Survey
from casync.ops.pull_folder.tree_shape import HardLinks, shape_of

__all__ = ["Checked", "check_file", "check_folder"]


class Checked(NamedTuple):
    """The result of a check.

    Attributes:
        manifest: The manifest that contains the file or folder.
        ok_files: Files that are right.
        ok_bytes: Their plain bytes.
        wrong_files: Files of the manifest that are missing or differ.
        wrong_bytes: Their plain bytes according to the manifest.
        differences: Paths that differ, including folders, links and extra entries.
        seconds: Duration.
    """

    manifest: ManifestId
    ok_files: int
    ok_bytes: int
    wrong_files: int
    wrong_bytes: int
    differences: int
    seconds: float


def check_folder(
    tree: Tree,
    path: Path,
    tell: Callable[[bytes, list[str]], None],
    progress: Progress = SILENT,
) -> Checked:
    """Compares a folder with a tree.

    Args:
        tree: The tree, loaded.
        path: The folder.
        tell: Called with each path that differs, and its `Difference.wrong`.
        progress: Advances by bytes that are right.

    Raises:
        NotFoundError: There is nothing at `path`.
        WriteError: `path` is not a folder, or something in it cannot be read.
        NoObjectError, IntegrityError: The tree cannot be read, or is malformed.
    """
    started = time.monotonic()
    counts = _Counts(tell)
    shape = shape_of(tree)
    progress.start("checking", shape.length)
    with open_target(path, make=False) as root, closing(StepFile()) as steps:
        if root is None:
            raise NotFoundError(f"there is no folder {path}")
        steps.fill(tree.tour())
        Survey(
            tree,
            steps,
            root,
            MetadataPolicy(exact=False),
            HardLinks(steps, shape),
            last=None,
            tell=counts.take,
            progress=progress,
        ).run()
    return counts.result(tree.id, started)


def check_file(
    outline: Outline,
    path: Path,
    tell: Callable[[bytes, list[str]], None],
    progress: Progress = SILENT,
) -> Checked:
    """Compares a file, or the beginning of a block device, with the content of a manifest.

    Raises:
        NotFoundError: There is nothing at `path`.
        UsageError: It is neither a file nor a block device.
        WriteError: It cannot be opened.
        NoObjectError, IntegrityError: A node cannot be read.
    """
    started = time.monotonic()
    length = outline.length
    progress.start("checking", length)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise WriteError(f"cannot read {path}: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISBLK(status.st_mode):
        os.close(fd)
        raise UsageError(f"{path} is neither a file nor a block device")
    comparer = Comparer(outline.node, outline.params.max_size, progress)
    is_longer = stat.S_ISREG(status.st_mode) and status.st_size != length
    try:
        same = comparer.compare(fd, outline.content).result() and not is_longer
    finally:
        comparer.close()
    counts = _Counts(tell)
    counts.count(os.fsencode(path), length, [] if same else ["content"])
    return counts.result(outline.id, started)


class _Counts:
    def __init__(self, tell: Callable[[bytes, list[str]], None]) -> None:
        self._tell = tell
        self._files = [0, 0]  # right and wrong
        self._bytes = [0, 0]
        self._differences = 0

    def take(self, found: Difference) -> None:
        if isinstance(found.entry, File):
            self.count(found.path, found.entry.content.length, found.wrong)
        elif found.wrong:
            self._differ(found.path, found.wrong)

    def count(self, path: bytes, length: int, wrong: list[str]) -> None:
        self._files[bool(wrong)] += 1
        self._bytes[bool(wrong)] += length
        if wrong:
            self._differ(path, wrong)

    def _differ(self, path: bytes, wrong: list[str]) -> None:
        self._differences += 1
        self._tell(path, wrong)

    def result(self, manifest: ManifestId, started: float) -> Checked:
        return Checked(
            manifest=manifest,
            ok_files=self._files[False],
            ok_bytes=self._bytes[False],
            wrong_files=self._files[True],
            wrong_bytes=self._bytes[True],
            differences=self._differences,
            seconds=time.monotonic() - started,
        )

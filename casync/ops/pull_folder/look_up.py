"""Looks up what to pull, a file or a folder, and checks the target before chunks are fetched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from casync.access.endpoints import Endpoints, place_of
from casync.access.locate import FoundMember, load, locate_for_pull
from casync.access.outline import ObjectLoader, Outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.errors import UsageError
from casync.fs.target.place import TargetPlace, inspect_place
from casync.names.name import Ref
from casync.ops.pull.member import MemberToPull
from casync.ops.pull.old_nodes import NodesByDelta, likely_versions
from casync.ops.pull.wanted import PullOptions, WantedFile
from casync.ops.pull_folder.plan import FolderOptions

__all__ = ["WantedTree", "look_up"]


class WantedTree(NamedTuple):
    """A folder to pull.

    Attributes:
        tree: The folder.
        loader: Loads the folder; None if it is loaded.
        target: Path of the folder, which need not exist; None to pull only into the store.
    """

    tree: Tree
    target: Path | None
    loader: ObjectLoader | None


def look_up(
    ref: Ref,
    target: Path | BinaryIO | None,
    endpoints: Endpoints,
    options: PullOptions,
    folder_options: FolderOptions = FolderOptions(),
    progress: Progress = SILENT,
) -> WantedFile | WantedTree | MemberToPull:
    """Finds what `ref` leads to, and loads its nodes, and its folders if they go to the store.

    Nodes of a file travel as deltas against old versions where that pays. `progress` advances while
    the index of an archive is made.

    Raises:
        UsageError: The target or the options do not fit a file, a folder or a member of an archive.
        WriteError: The target cannot be written.
        CasyncError: As `locate_for_pull` and `load`.
    """
    since = time.monotonic()
    place: Path | TargetPlace | BinaryIO | None = target
    if isinstance(target, Path) and not target.is_dir():
        place = inspect_place(target, in_place=options.in_place)  # before anything is fetched

    @cache
    def old_versions() -> Sequence[Outline]:
        path = place.path if isinstance(place, TargetPlace) else None
        return likely_versions(path, options.seed_paths, endpoints.memory)

    by_delta = [
        (place_of(server), NodesByDelta(server, old_versions, endpoints.memory, options.delta))
        for server in endpoints.servers
    ]
    loader = ObjectLoader(endpoints.store, [*endpoints.others, *by_delta])
    is_expected = options.expect_sha256 is not None
    found = locate_for_pull(ref, endpoints, loader, progress, is_expected=is_expected)
    if isinstance(found, Tree):
        folder = _place_of_folder(target, options)
        if folder is None or options.cache:  # everything of it goes to the store
            load(found, loader)
            return WantedTree(found, folder, None)
        return WantedTree(found, folder, loader)
    if folder_options != FolderOptions():
        raise UsageError(f"{ref} is a file; --delete, --max-delete and --exact are for folders")
    if isinstance(place, Path):
        place = inspect_place(place, in_place=options.in_place)  # which refuses a folder
    if isinstance(found, FoundMember):
        if place is None or options.cache:
            raise UsageError(
                f"{ref} is a member of an archive, which the store does not have by itself",
                next_step="Write it with -o OUT, without --cache; or pull the archive.",
            )
        return MemberToPull(found, place, since, loader)
    return WantedFile(found, place, since, loader)


def _place_of_folder(target: Path | BinaryIO | None, options: PullOptions) -> Path | None:
    """The target of a folder.

    Raises:
        UsageError: The target or an option does not fit a folder.
    """
    if options.in_place:
        raise UsageError("--in-place is for files; in a folder each file is replaced as a whole")
    if options.expect_sha256 is not None:
        raise UsageError("a folder has no SHA-256; --expect is for files")
    if target is not None and not isinstance(target, Path):
        raise UsageError(
            "a folder cannot be written to a stream", next_step="Give a folder with -o DIR."
        )
    return target

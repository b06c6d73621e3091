"""What a prepare did."""

from __future__ import annotations

from typing import NamedTuple

from casync.ids import ManifestId
from casync.names.name import NameRecord

__all__ = ["FolderPrepared", "LeftOut", "Prepared"]


class Prepared(NamedTuple):
    """What was prepared.

    Attributes:
        manifest: The hash.
        length: Bytes of the content.
        chunks: Chunks that it has, repeats included.
        new: Chunks that the store did not have.
        reused: All others.
        stored: Bytes that were added to the store.
        unchanged: The file is remembered as it is, and was not read. `chunks` and what follows
            it are 0 then.
        name: The version that the name got.
        seconds: How long it took.
    """

    manifest: ManifestId
    length: int
    chunks: int
    new: int
    reused: int
    stored: int
    unchanged: bool
    name: NameRecord | None
    seconds: float


class LeftOut(NamedTuple):
    """Something that is not in the tree although it should be, and why."""

    path: bytes
    reason: str


class FolderPrepared(NamedTuple):
    """What was prepared.

    Attributes:
        manifest: The hash.
        files: Regular files, each name counted.
        folders: Folders, the one itself included.
        others: Links, devices and pipes.
        length: Bytes of the files, hard links counted once.
        unchanged: Files that were as they had been the last time, and not read.
        chunks: Chunks of what was read, those of folders and repeats included.
        new: Those that the store did not have.
        stored: Bytes that were added to the store.
        left_out: What could not be read.
        sockets: Sockets, which have no place in a tree.
        name: The version that the name got.
        seconds: How long it took.
    """

    manifest: ManifestId
    files: int
    folders: int
    others: int
    length: int
    unchanged: int
    chunks: int
    new: int
    stored: int
    left_out: list[LeftOut]
    sockets: int
    name: NameRecord | None
    seconds: float

"""The results of preparing."""

from __future__ import annotations

from typing import NamedTuple

from casync.ids import ManifestId
from casync.names.name import NameRecord

__all__ = ["FolderPrepared", "LeftOut", "Prepared"]


class Prepared(NamedTuple):
    """The result of preparing a file.

    Attributes:
        manifest: The hash.
        length: Bytes of the content.
        chunks: Chunks of the content, with repeats.
        new: Chunks that the store lacked.
        reused: The other chunks.
        stored: Bytes added to the store.
        unchanged: Whether the file is remembered and unchanged, so that it was not read. `chunks`,
            `new`, `reused` and `stored` are 0 then.
        name: The version of the name.
        seconds: Duration.
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
    """A path that could not be read and is not in the tree, and the reason."""

    path: bytes
    reason: str


class FolderPrepared(NamedTuple):
    """The result of preparing a folder.

    Attributes:
        manifest: The hash.
        files: Regular files, with all hard links.
        folders: Folders, including the root.
        others: Symbolic links, devices and pipes.
        length: Bytes of the files, without further hard links.
        added: Files that the folder did not have when it was last prepared or pulled.
        changed: Files whose content or metadata changed since then.
        unchanged: Files that did not, most of which were not read. These three count a file with
            hard links once.
        chunks: Chunks of everything that was read, including folders and repeats.
        new: Chunks that the store lacked.
        new_length: Their plain bytes.
        stored: Bytes added to the store.
        left_out: Paths that could not be read.
        sockets: Sockets, which trees do not contain.
        leftovers: Files and folders that interrupted pulls have left behind, which are left out.
        bounded_times: Entries whose time is outside 1677 to 2262, and kept as the nearest one.
        name: The version of the name.
        seconds: Duration.
    """

    manifest: ManifestId
    files: int
    folders: int
    others: int
    length: int
    added: int
    changed: int
    unchanged: int
    chunks: int
    new: int
    new_length: int
    stored: int
    left_out: list[LeftOut]
    sockets: int
    leftovers: int
    bounded_times: int
    name: NameRecord | None
    seconds: float

"""`casync://` for fsspec, and so for pandas, pyarrow and polars: names, trees and archives.

`NAME` is a file; `NAME/-/PATH` is in a folder or an archive, as in the URLs of a server. fsspec and
its users split paths at slashes and take parents from them, and urllib takes `:` for a port; no ref
has a component `-`. `NAME@3` selects a version. A link in an archive is the file that it leads
to there; other links, devices and pipes have the type `other`, and `find` leaves them out.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import Any, Final

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from casync.access.archive import Archive
from casync.access.content_file import Readable
from casync.access.locate import Located, locate, open_archive_at, open_file, reach
from casync.access.member_indexes import indexes_of
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.member import Member, MemberKind
from casync.errors import NotFoundError, UnsupportedError, UsageError
from casync.limits import MAX_TREE_PATH, MIB
from casync.names.name import Ref, parse_ref
from casync.objects.tree import Entry, File, Folder
from casync.training.process_source import ProcessSource

__all__ = ["CasyncFileSystem"]

_BELOW: Final = b"/" + b"\xff" * MAX_TREE_PATH
"""After the path of a folder, a path that is behind all in it."""

_MAX_LINKS: Final = 40
"""Links in a row, as in Linux."""


class CasyncFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What a store or a server has, read-only.

    Args:
        store: The folder of a store; or
        server: the URL of a server.
        token: The server's token.
        options: As of every file system of fsspec.
    """

    protocol = "casync"
    root_marker = ""

    def __init__(self, store: str = "", server: str = "", token: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.source = ProcessSource(os.fspath(store), server, token)
        self._indexes = indexes_of(self.source)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return str(os.fspath(path)).removeprefix("casync://").strip("/")

    @classmethod
    def _parent(cls, path: str) -> str:
        return str(cls._strip_protocol(path)).rpartition("/")[0]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size and type of one path.

        Raises:
            FileNotFoundError: There is nothing.
        """
        path = self._strip_protocol(path)
        ref, inside = _split(path)
        try:
            if ref:
                content = self._locate(ref, inside).content
                if isinstance(content, Tree):
                    return _row(path, None)
                if content is not None and inside != "":
                    return _row(path, content.length)
                if content is not None and next(self._members(ref, ""), None) is not None:
                    return _row(path, None)
                return _other(path)
        except UsageError:
            opened = self._archive(ref, inside)
            if opened is None:
                return _other(path)
            archive, rest = opened
            member = archive.find(rest) if rest else None
            if member is not None and member.kind is not MemberKind.FOLDER:
                return _member_row(path, _followed(archive, member))
        except NotFoundError as error:
            if inside is not None or next(self.source.names(ref + "/"), None) is None:
                raise FileNotFoundError(error.message) from error
        return _row(path, None)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The names below a name, or the entries of a folder.

        Raises:
            FileNotFoundError: There is nothing.
        """
        path = self._strip_protocol(path)
        ref, inside = _split(path)
        rows = self._names(ref) if inside is None else self._entries(path, ref, inside)
        if not rows:
            row = self.info(path)
            rows = [] if row["type"] == "directory" else [row]
        return rows if detail else [row["name"] for row in rows]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """All files below a path. What cannot be read as a file is left out."""
        found = super().find(path, maxdepth, withdirs, detail=True, **options)
        rows = {name: row for name, row in found.items() if row["type"] != "other"}
        return rows if detail else list(rows)

    def _names(self, ref: str) -> list[dict[str, Any]]:
        above = ref + "/" if ref else ""
        rows: dict[str, dict[str, Any]] = {}
        for record in self.source.names(above):
            first, slash, _ = record.name.removeprefix(above).partition("/")
            if slash or above + first not in rows:
                name = above + first
                rows[name] = _row(name, None) if slash else self.info(name)
        if ref and self._is_tree(ref):
            rows[ref + "/-"] = _row(ref + "/-", None)
        return list(rows.values())

    def _is_tree(self, ref: str) -> bool:
        try:
            return isinstance(self._locate(ref, None).content, Tree)
        except NotFoundError:
            return False

    def _entries(self, path: str, ref: str, inside: str) -> list[dict[str, Any]]:
        try:
            content = reach(_ref(ref, inside), self.source).located.content
        except NotFoundError as error:
            raise FileNotFoundError(error.message) from error
        if isinstance(content, Tree):
            return [_entry(path, entry) for entry in content.entries(content.root.content)]
        return [{**row, "name": f"{path}/{row['name']}"} for row in self._members(ref, inside)]

    def _members(self, ref: str, inside: str | None) -> Iterator[dict[str, Any]]:
        """What is in a folder of an archive; nothing if there is no such folder."""
        opened = self._archive(ref, inside)
        if opened is None:
            return
        archive, rest = opened
        for name, member in _children(archive, rest + b"/" if rest else b""):
            if member is None:
                yield _row(os.fsdecode(name), None)
            else:
                yield _member_row(os.fsdecode(name), _followed(archive, member))

    def _archive(self, ref: str, inside: str | None) -> tuple[Archive, bytes] | None:
        """The archive that a path leads into, and the rest of the path; None if into none."""
        whole = _ref(ref, inside)
        found = reach(whole, self.source)
        if not isinstance(found.located.content, Outline) or not (found.rest or inside == ""):
            return None
        try:
            return open_archive_at(whole, found, self.source, self._indexes), found.rest
        except (NotFoundError, UsageError):
            return None

    def _locate(self, ref: str, inside: str | None) -> Located:
        return locate(_ref(ref, inside), self.source, indexes=self._indexes)

    def content(self, path: str) -> Readable:
        """The bytes of a file.

        Raises:
            FileNotFoundError, IsADirectoryError: There is none.
        """
        ref, inside = _split(self._strip_protocol(path))
        try:
            return open_file(_ref(ref, inside), self.source, indexes=self._indexes)
        except NotFoundError as error:
            raise FileNotFoundError(error.message) from error
        except UsageError as error:
            opened = self._archive(ref, inside)
            linked = opened and _linked(*opened)
            if linked is None:
                raise IsADirectoryError(error.message) from error
            return linked

    def _open(self, path: str, mode: str = "rb", **options: Any) -> _CasyncFile:
        if mode != "rb":
            raise UnsupportedError("casync:// is read-only")
        return _CasyncFile(self, path, self.content(path), **options)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes of a file, or of a range; negative offsets count from its end."""
        content = self.content(path)
        first, last, _step = slice(start, end).indices(content.length)
        return b"".join(content.read(first, last)) if first < last else b""


def _children(archive: Archive, above: bytes) -> Iterator[tuple[bytes, Member | None]]:
    """The names right below a path in an archive; None stands for a folder."""
    folders: set[bytes] = set()
    after: bytes | None = b""
    while after is not None:
        start, after = after, None
        for member in archive.members(above, after=start):
            name, slash, _ = member.path.removeprefix(above).partition(b"/")
            if not slash and member.kind is not MemberKind.FOLDER:
                if not member.shadowed:
                    yield name, member
                continue
            if name not in folders:
                folders.add(name)
                yield name, None
            if slash:
                after = above + name + _BELOW
                break


def _followed(archive: Archive, member: Member) -> Member | None:
    """What a member leads to in its archive, over links of both kinds; None if to nothing."""
    path = member.path
    for _ in range(_MAX_LINKS):
        try:
            found = archive.find(path)
        except (NotFoundError, UnsupportedError):
            return None
        if found is None or found.kind is not MemberKind.SYMLINK:
            return found
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target))
        if path.startswith((b"/", b"..")):
            return None
    return None


def _linked(archive: Archive, path: bytes) -> Readable | None:
    """The file that a symbolic link leads to; None if there is no link, or it leads to none."""
    member = archive.find(path) if path else None
    there = None if member is None else _followed(archive, member)
    return None if there is None else archive.open(there.path)


def _member_row(name: str, member: Member | None) -> dict[str, Any]:
    if member is None or member.kind is not MemberKind.FILE:
        return _other(name)
    return _row(name, member.length)


class _CasyncFile(AbstractBufferedFile):  # type: ignore[misc]
    """One version of a file: it stays the same when its name moves on."""

    DEFAULT_BLOCK_SIZE = 4 * MIB

    def __init__(
        self,
        fs: CasyncFileSystem,
        path: str,
        content: Readable,
        block_size: Any = None,
        **given: Any,
    ) -> None:
        self.content = content
        options = {key: given[key] for key in ("cache_type", "cache_options") if given.get(key)}
        super().__init__(fs, path, "rb", block_size or "default", size=content.length, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return b"".join(self.content.read(start, end)) if start < end else b""


def _split(path: str) -> tuple[str, str | None]:
    """A ref, and the path inside it; None if there is none."""
    if path.endswith("/-"):
        return path[:-2], ""
    ref, separator, inside = path.partition("/-/")
    return ref, inside if separator else None


def _ref(ref: str, inside: str | None) -> Ref:
    return parse_ref(f"{ref}:{inside}" if inside else ref)


def _row(name: str, size: int | None) -> dict[str, Any]:
    return {"name": name, "size": size or 0, "type": "directory" if size is None else "file"}


def _other(name: str) -> dict[str, Any]:
    return {**_row(name, 0), "type": "other"}


def _entry(path: str, entry: Entry) -> dict[str, Any]:
    name = f"{path}/{os.fsdecode(entry.name)}"
    if isinstance(entry, Folder):
        return _row(name, None)
    if isinstance(entry, File):
        return _row(name, entry.content.length)
    return _other(name)

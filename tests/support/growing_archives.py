"""Archives that grow: ours and those of others, in a store in memory."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import msgspec

from casync.access.archive import open_archive
from casync.access.content_file import FileBytes
from casync.access.member_indexes import PassingIndexes, StoredIndexes
from casync.access.outline import Outline, open_outline
from casync.archives.index import MemberIndex
from casync.archives.writing.gzip_writer import TGZ_END
from casync.fs.source.file import open_source
from casync.ids import ManifestId
from casync.names.name import parse_name
from casync.objects.chunker import ChunkerParams
from casync.ops.archive.added_members import OnDuplicate
from casync.ops.archive.append import Appended, AppendOptions, append_to_archive
from casync.ops.archive.files_input import FilesInput
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.memory.store import MemoryStore

PARAMS = ChunkerParams(64, 256, 1024)
MTIME = 1_650_000_001
OLD = {
    "a/1": random.Random(1).randbytes(300_000),
    "b": b"text " * 20_000,
    "empty": b"",
    "z" * 120: b"long name",
}
REPLACE = AppendOptions(on_duplicate=OnDuplicate.REPLACE)
KEEP = AppendOptions(on_duplicate=OnDuplicate.KEEP)
CREATE = AppendOptions(creates=True)
FORMATS = ["tar", "tgz", "zip", "msgpack"]


def tar_of(mode: str = "w:", **options: object) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in OLD.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), MTIME
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zip_of(method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in OLD.items():
            archive.writestr(name, data)
        archive.comment = b"a comment"
    return made.getvalue()


FOREIGN: dict[str, tuple[str, bytes]] = {
    "tar of GNU": ("tar", tar_of(format=tarfile.GNU_FORMAT)),
    "tar of pax": ("tar", tar_of(format=tarfile.PAX_FORMAT)),
    "tar without an end": ("tar", tar_of().rstrip(b"\0") + bytes(5)),
    "tar with large blocks": ("tar", tar_of() + bytes(1 << 20)),
    "tgz": ("tgz", tar_of("w:gz")),
    "tgz of two gzip members": (
        "tgz",
        gzip.compress(tar_of()[:100_000]) + gzip.compress(tar_of()[100_000:]),
    ),
    "tgz that ends as ours": ("tgz", gzip.compress(tar_of()) + TGZ_END),
    "zip": ("zip", zip_of()),
    "zip, deflated": ("zip", zip_of(zipfile.ZIP_DEFLATED)),
    "zip after other bytes": ("zip", b"#!/bin/sh\n" * 1000 + zip_of()),
    "msgpack": ("msgpack", msgspec.msgpack.encode(OLD)),
    "msgpack of many": (
        "msgpack",
        msgspec.msgpack.encode(OLD | {f"n/{number}": b"%d" % number for number in range(60)}),
    ),
}


class World:
    """A store and a folder with files to append."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.folder = folder

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (MTIME, MTIME))
        return path

    def put(self, name: str, data: bytes) -> None:
        source = open_source(io.BytesIO(data))
        options = PrepareOptions(params=PARAMS, name=parse_name(name), workers=1)
        prepare(source, self.store, options)

    def made(self, form: str) -> str:
        """An archive of ours with the old members."""
        self.put(f"ours.{form}", b"")
        for number, (name, data) in enumerate(OLD.items()):
            self.add(f"ours.{form}", self.file(f"old/{number}", data), name)
        return f"ours.{form}"

    def add(
        self, name: str, path: Path, place: str = "", options: AppendOptions = AppendOptions()
    ) -> Appended:
        given = FilesInput([path], place.encode() or None)
        return append_to_archive(parse_name(name), given, self.store, options)

    def outline(self, name: str) -> Outline:
        newest = self.store.upcoming(parse_name(name))[1]
        assert newest is not None
        return open_outline(ManifestId(newest.manifest), self.store)

    def content(self, name: str) -> bytes:
        outline = self.outline(name)
        return b"".join(FileBytes(outline, self.store).read(0, outline.length))

    def check(self, name: str) -> None:
        """The content is cut as ever, and the index that was kept is that of the archive."""
        outline = self.outline(name)
        again = MemoryStore()
        whole = io.BytesIO(self.content(name))
        cut = prepare(open_source(whole), again, PrepareOptions(params=outline.params, workers=1))
        assert cut.manifest == outline.id
        content = self.store.member_index(outline.content.id)
        kept = open_archive(outline, self.store, StoredIndexes(self.store), name)
        fresh = open_archive(outline, self.store, PassingIndexes(), name)
        assert kept is not None
        assert fresh is not None
        assert [*kept.members()] == [*fresh.members()]
        if content is not None:
            assert said(kept.index) == said(fresh.index)
        for one in kept.members():
            if not one.shadowed and one.kind == 0:
                data = b"".join(kept.content_of(one).read(0, one.length))
                assert len(data) == one.length


def said(index: MemberIndex) -> tuple[object, ...]:
    return index.kind, index.length, index.count, index.last


def read(form: str, data: bytes) -> dict[str, bytes]:
    """What a reader of Python finds; later members win."""
    if form == "msgpack":
        return dict(msgspec.msgpack.decode(data))
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {one.filename: archive.read(one) for one in archive.infolist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {}
        for info in tar:
            opened = tar.extractfile(info)
            found[info.name] = b"" if opened is None else opened.read()
        return found

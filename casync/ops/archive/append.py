"""Appends to an archive in a store: a new version of its name, which shares all earlier chunks.

The name moves only if its newest version is still the one that was appended to. Otherwise the
append is done again, on top of what another one made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from casync.access.archive import Archive, open_archive
from casync.access.member_indexes import indexes_of, reader_of
from casync.access.naming import unsigned_after
from casync.access.outline import Outline, open_outline
from casync.access.progress import SILENT, Progress
from casync.archives.detect import detect
from casync.archives.writing.new_format import NewFormat, new_format_of
from casync.errors import (
    LostRaceError,
    NoNameError,
    SourceChangedError,
    UnsupportedError,
    UsageError,
)
from casync.ids import ManifestId
from casync.names.name import Name, NameRecord
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.ops.archive.added_members import AddedMembers, OnDuplicate
from casync.ops.archive.create import ArchiveInput, ArchivePlan, create_archive, plan_archive
from casync.ops.archive.grown_archive import GrownArchive
from casync.ops.prepare.file import PrepareOptions
from casync.store.writable import WritableStore

__all__ = ["AppendOptions", "Appended", "append_to_archive"]

_FORMATS: Final = {
    ("tar", ""): NewFormat.TAR,
    ("tar", "gzip"): NewFormat.TGZ,
    ("zip", ""): NewFormat.ZIP,
    ("msgpack", ""): NewFormat.MSGPACK,
}


@dataclass(frozen=True, slots=True)
class AppendOptions:
    """How to append.

    Attributes:
        on_duplicate: What happens to members that are there already.
        creates: Whether an archive that is missing is made.
        expected: The version that must be the newest one, 0 for none; None accepts any.
    """

    on_duplicate: OnDuplicate = OnDuplicate.ERROR
    creates: bool = False
    expected: int | None = None


class Appended(NamedTuple):
    """The result of appending.

    Attributes:
        record: The version of the name.
        plan: What was added.
        replaced: Old members that new ones replace.
        kept: Members that were there already, and were not added.
        length: Bytes of the archive.
        new: Chunks that the store lacked.
        stored: Bytes added to the store.
    """

    record: NameRecord
    plan: ArchivePlan
    replaced: int
    kept: int
    length: int
    new: int
    stored: int


def append_to_archive(
    name: Name,
    given: ArchiveInput,
    store: WritableStore,
    options: AppendOptions = AppendOptions(),
    progress: Progress = SILENT,
) -> Appended:
    """Adds members to the archive that a name points to.

    Args:
        name: The name.
        given: The members, whose paths differ.
        store: The store.
        options: How to append.
        progress: Advances by every byte of new members, and of an archive that is compressed again.

    Raises:
        NoNameError: There is no archive of that name, and none shall be made.
        LostRaceError: The newest version is not the expected one.
        UsageError: It is no archive; the format has no room for a member; a member is there.
        UnsupportedError: Archives of its kind cannot grow.
        MalformedError: It is a damaged archive.
        SourceChangedError: A member changed while it was read, twice.
        NoObjectError, IntegrityError: An object of the archive is missing or damaged.
        NoSpaceError, WriteError: The store cannot be written.
        CasyncError: As `ArchiveInput.members`.
    """
    changed = False
    while True:
        newest = store.upcoming(name)[1]
        _check_version(name, newest, options.expected)
        if newest is None and not options.creates:
            raise NoNameError(f"there is no archive {name}", next_step="--create makes it.")
        try:
            return _append(name, newest, given, store, options, progress)
        except LostRaceError:
            if options.expected is not None:
                raise
            progress.note(f"{name} has a newer version by now; appending to that")
        except SourceChangedError as error:
            if changed:
                raise
            changed = True
            progress.note(f"{error.message}; reading it again")


def _check_version(name: Name, newest: NameRecord | None, expected: int | None) -> None:
    version = 0 if newest is None else newest.version
    if expected not in (None, version):
        raise LostRaceError(
            f"name {name} is at version {version}, not at {expected}",
            next_step=f"`casync name log {name}` shows what it points to now.",
        )


def _append(
    name: Name,
    newest: NameRecord | None,
    given: ArchiveInput,
    store: WritableStore,
    options: AppendOptions,
    progress: Progress,
) -> Appended:
    if newest is None:
        return _create(name, None, DEFAULT_PARAMS, given, store, progress)
    outline = open_outline(ManifestId(newest.manifest), store)
    if outline.manifest.kind != "file":
        raise UsageError(f"{name} is a folder, not an archive")
    if not outline.length:
        return _create(name, newest, outline.params, given, store, progress)
    archive, made = _open(name, outline, store, progress)
    added = AddedMembers(given, archive, name, options.on_duplicate)
    plan = plan_archive(made, added)
    replaced, kept = [*added.replaced], added.kept
    if plan.files + plan.folders + plan.links == 0:
        return Appended(newest, plan, 0, kept, outline.length, 0, 0)
    grown = GrownArchive(archive, made, outline, store, progress)
    record, length = grown.write(name, newest, added, plan, replaced)
    return Appended(record, plan, len(replaced), kept, length, grown.new, grown.stored)


def _open(
    name: Name, outline: Outline, store: WritableStore, progress: Progress
) -> tuple[Archive, NewFormat]:
    label = name.rpartition("/")[2]
    kind = detect(reader_of(outline, store), label)
    if kind is None:
        raise UsageError(
            f"{name} is not an archive", next_step="Append to a tar, tgz, zip or msgpack."
        )
    made = _FORMATS.get((kind.format, kind.layer))
    if made is None:
        raise UnsupportedError(
            f"{name} is {kind}, to which nothing can be appended",
            next_step="Append to a tar, tgz, zip or msgpack.",
        )
    archive = open_archive(outline, store, indexes_of(store), label, progress=progress)
    assert archive is not None
    return archive, made


def _create(
    name: Name,
    newest: NameRecord | None,
    params: ChunkerParams,
    given: ArchiveInput,
    store: WritableStore,
    progress: Progress,
) -> Appended:
    """Makes an archive where there is none, or where there is an empty file."""
    made = new_format_of(name)
    plan = plan_archive(made, given)
    version = 0 if newest is None else newest.version
    options = PrepareOptions(params=params, name=name, signer=unsigned_after(version))
    done = create_archive(made, given, plan, store, options, progress)
    assert done.name is not None
    return Appended(done.name, plan, 0, 0, done.length, done.new, done.stored)

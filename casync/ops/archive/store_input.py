"""Files and trees of a store as members of an archive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from casync.access.archive import Archive
from casync.access.locate import Located, WalkedPath, nothing_at, open_archive_at, reach
from casync.access.member_indexes import indexes_of
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.member import Member, MemberKind, place_of_text
from casync.archives.plain_bytes import PlainBytes
from casync.archives.selection import member_selection
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import NoObjectError, NotFoundError, UsageError
from casync.ids import ManifestId
from casync.names.name import Name, Ref, parse_ref
from casync.objects.node import Content
from casync.objects.tree import File
from casync.ops.archive.chosen import Choice, member_content
from casync.ops.archive.list_members import EVERYTHING, Selection
from casync.ops.archive.member_input import members_of_archive
from casync.ops.archive.tree_members import content_reader, member_of, members_of_tree
from casync.store.base import ManifestSource

__all__ = ["StoreInput", "WantedMember", "names_below", "refs_of_texts", "whole_refs"]

_OPEN: Final = 8
"""Archives that are open at once."""


class WantedMember(NamedTuple):
    """What a ref leads to, and the path that it gets.

    Attributes:
        ref: The ref.
        path: The path of a file; empty for the hash.
        folder: Where the entries of a folder are put; empty for the top of the archive.
        is_whole: Whether a folder is all of the archive, with all that its tree holds.
    """

    ref: Ref
    path: bytes
    folder: bytes
    is_whole: bool = False


class _Inside(NamedTuple):
    """A member of an archive."""

    archive: Archive
    member: Member


class StoreInput:
    """What refs lead to: each file is a member, and each entry of a tree or of an archive is one.

    A ref to an archive is that file; with an empty path, or one that ends in a slash, its members.

    Args:
        store: Resolves the refs.
        wanted: Gives the refs, from the first one each time that it is called.
        label: What messages call it.
        selection: Selects members by their paths below what a ref leads to.
        skips_missing: Whether refs that lead to nothing are passed over.

    Attributes:
        label: What messages call it.
        missing: Refs that led to nothing, as of the last walk.
        left_out: Devices and pipes in archives, as of the last walk.
        has_distinct_paths: Never: refs may lead to members of one path.
    """

    has_distinct_paths = False

    def __init__(
        self,
        store: ManifestSource,
        wanted: Callable[[], Iterable[WantedMember]],
        label: str,
        *,
        selection: Selection = EVERYTHING,
        skips_missing: bool = False,
    ) -> None:
        self.label = label
        self.missing = self.left_out = 0
        self._store = store
        self._wanted = wanted
        self._selection = selection
        self._matches = member_selection(selection.mode, selection.text)
        self._indexes = indexes_of(store)
        self._archives: OrderedDict[Content, Archive] = OrderedDict()
        self._plain = PlainBytes()
        self._skips_missing = skips_missing

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """Resolves the refs, one after the other.

        Raises:
            NotFoundError: A ref leads to nothing.
            UsageError: A ref leads to a link, a device or a pipe, or its members are wanted and it
                is no archive.
            NoObjectError, IntegrityError: An object is missing or damaged, or members of archives
                have far more plain bytes than archives have.
        """
        self.missing = self.left_out = 0
        self._plain = PlainBytes(sum(one.length for one in self._archives))
        for one in self._wanted():
            try:
                found = self._find(one.ref)
            except NoObjectError:
                raise
            except NotFoundError:
                if not self._skips_missing:
                    raise
                self.missing += 1
                continue
            below = one.folder + b"/" if one.folder else b""
            match found:
                case Choice():
                    yield from members_of_archive(
                        found, kinds, below=below, leave_out=self._leave_out, plain=self._plain
                    )
                case _Inside(archive, member):
                    self._plain.take(member.length, member.path)
                    yield from self._chosen(_of_member(one.path, archive, member))
                case Located():
                    yield from self._of_located(one, found, below, kinds)

    def _find(self, ref: Ref) -> Located | _Inside | Choice:
        """What a ref leads to. Headers of members are not read."""
        found = reach(ref if ref.path else ref.whole, self._store)
        located, rest = found
        is_all = (ref.path is not None and not ref.path.rstrip("/")) or (ref.path or "").endswith(
            "/"
        )
        if not isinstance(located.content, Outline) or not (rest or is_all):
            return located
        archive = self._archive(ref, found, located.content)
        member = archive.find(rest) if rest else None
        if member is None or member.kind is MemberKind.FOLDER:
            if rest and member is None and not any(archive.members(rest + b"/")):
                raise nothing_at(ref, found, archive)
            return Choice(archive, rest, self._selection)
        archive.require_file(member)
        return _Inside(archive, member)

    def _archive(self, ref: Ref, found: WalkedPath, outline: Outline) -> Archive:
        """The archive at a ref, opened once for many refs into it."""
        archive = self._archives.get(outline.content)
        if archive is None:
            archive = open_archive_at(ref, found, self._store, self._indexes)
            self._plain.add(outline.length)
        self._archives[outline.content] = archive
        self._archives.move_to_end(outline.content)
        if len(self._archives) > _OPEN:
            self._archives.popitem(last=False)
        return archive

    def _of_located(
        self, wanted: WantedMember, found: Located, below: bytes, kinds: frozenset[MemberKind]
    ) -> Iterator[MemberWithBytes]:
        match found.content:
            case Tree() as tree:
                if self._selection.text:  # what a hard link leads to may not be selected
                    kinds -= {MemberKind.HARDLINK}
                is_whole = wanted.is_whole and not self._selection.text
                for one in members_of_tree(
                    tree, self._store, kinds, below=below, is_whole=is_whole
                ):
                    yield from self._chosen((one.member, one.content()), below)
            case Outline() as outline:
                path = wanted.path or found.manifest.hex().encode()
                member = NewMember(path, length=outline.length)
                if isinstance(found.entry, File):
                    member = member_of(path, found.entry)
                read = content_reader(lambda: outline, self._store)
                yield from self._chosen((member, read(0, member.length)))
            case _:
                raise UsageError(f"{wanted.ref} is a link, device or pipe, not a file or folder")

    def _leave_out(self, _path: bytes) -> None:
        self.left_out += 1

    def _chosen(self, one: MemberWithBytes, below: bytes = b"") -> Iterator[MemberWithBytes]:
        if not self._selection.text or self._matches(one[0].path[len(below) :]):
            yield one


def _of_member(path: bytes, archive: Archive, member: Member) -> MemberWithBytes:
    new = NewMember(path, length=member.length, mode=member.mode, mtime=member.mtime)
    return new, member_content(archive, member)


def whole_refs(refs: Sequence[Ref], *, portable: bool = False) -> Iterator[WantedMember]:
    """Refs of a command line: a file gets its name, and a folder gives its entries.

    A file inside a folder or an archive gets its path there.

    Args:
        refs: The refs.
        portable: Whether a single folder loses its owners, as several do, and is not exported.
    """
    for ref in refs:
        yield WantedMember(ref, _path(ref), b"", is_whole=len(refs) == 1 and not portable)


def refs_of_texts(texts: Iterable[tuple[str, str | None]]) -> Iterator[WantedMember]:
    """Refs as texts, each with the path that it shall get, or None for its own.

    Raises:
        UsageError: A text is not a ref, or a path leads out of the archive.
    """
    for number, (text, path) in enumerate(texts, 1):
        try:
            ref = parse_ref(text)
            place = _path(ref) if path is None else place_of_text(path)
        except UsageError as error:
            raise UsageError(
                f"entry {number}: {error.message}", next_step=error.next_step
            ) from error
        yield WantedMember(ref, place, place)


def names_below(store: ManifestSource, prefix: str, but: Name) -> Iterator[WantedMember]:
    """All names that begin with a prefix, but that of the archive itself."""
    for record in store.names(prefix):
        if record.name != but:
            ref = Ref(manifest=ManifestId(record.manifest))
            path = record.name.encode()
            yield WantedMember(ref, path, path)


def _path(ref: Ref) -> bytes:
    if ref.path:
        return place_of_text(ref.path)
    return (ref.name or "").encode()

"""Files and trees of a store as members of an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from casync.access.archive import MemberContent
from casync.access.locate import Located, locate
from casync.access.member_indexes import indexes_of
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.member import MemberKind, member_path
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import NoObjectError, NotFoundError, UsageError
from casync.ids import ManifestId
from casync.names.name import Name, Ref, parse_ref
from casync.objects.tree import File
from casync.ops.archive.tree_members import content_reader, member_of, members_of_tree
from casync.store.base import ManifestSource

__all__ = ["StoreInput", "WantedMember", "names_below", "refs_of_texts", "whole_refs"]


class WantedMember(NamedTuple):
    """What a ref leads to, and the path that it gets.

    Attributes:
        ref: The ref.
        path: The path of a file; empty for the hash.
        folder: Where the entries of a folder are put; empty for the top of the archive.
    """

    ref: Ref
    path: bytes
    folder: bytes


class StoreInput:
    """What refs lead to: each file is a member, and each entry of a tree is one.

    Args:
        store: Resolves the refs.
        wanted: Gives the refs, from the first one each time that it is called.
        label: What messages call it.
        skips_missing: Whether refs that lead to nothing are passed over.
        has_distinct_paths: Whether no two members can have one path.

    Attributes:
        label: What messages call it.
        missing: Refs that led to nothing, as of the last walk.
        left_out: Always 0.
        has_distinct_paths: As given.
    """

    left_out = 0

    def __init__(
        self,
        store: ManifestSource,
        wanted: Callable[[], Iterable[WantedMember]],
        label: str,
        *,
        skips_missing: bool = False,
        has_distinct_paths: bool = False,
    ) -> None:
        self.label = label
        self.missing = 0
        self.has_distinct_paths = has_distinct_paths
        self._store = store
        self._wanted = wanted
        self._indexes = indexes_of(store)
        self._skips_missing = skips_missing

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """Resolves the refs, one after the other.

        Raises:
            NotFoundError: A ref leads to nothing.
            UsageError: A ref leads to a link, a device or a pipe.
            NoObjectError, IntegrityError: An object is missing or damaged.
        """
        self.missing = 0
        for one in self._wanted():
            try:
                found = locate(one.ref, self._store, indexes=self._indexes)
            except NoObjectError:
                raise
            except NotFoundError:
                if not self._skips_missing:
                    raise
                self.missing += 1
                continue
            yield from self._members_of(one, found, kinds)

    def _members_of(
        self, wanted: WantedMember, found: Located, kinds: frozenset[MemberKind]
    ) -> Iterator[MemberWithBytes]:
        match found.content:
            case Tree() as tree:
                below = wanted.folder + b"/" if wanted.folder else b""
                for one in members_of_tree(tree, self._store, kinds, below=below):
                    yield one.member, one.content()
            case Outline() as outline:
                path = wanted.path or found.manifest.hex().encode()
                member = NewMember(path, length=outline.length)
                if isinstance(found.entry, File):
                    member = member_of(path, found.entry)
                read = content_reader(lambda: outline, self._store)
                yield member, read(0, member.length)
            case MemberContent() as inside:
                mode, mtime = inside.member.mode, inside.member.mtime
                member = NewMember(wanted.path, length=inside.length, mode=mode, mtime=mtime)
                yield member, inside.read(0, inside.length)
            case None:
                raise UsageError(f"{wanted.ref} is a link, device or pipe, not a file or folder")


def whole_refs(refs: Iterable[Ref]) -> Iterator[WantedMember]:
    """Refs of a command line: a file gets its name, and a folder gives its entries.

    A file inside a folder or an archive gets its path there.
    """
    for ref in refs:
        yield WantedMember(ref, _path(ref), b"")


def refs_of_texts(texts: Iterable[tuple[str, str | None]]) -> Iterator[WantedMember]:
    """Refs as texts, each with the path that it shall get, or None for its own.

    Raises:
        UsageError: A text is not a ref, or a path leads out of the archive.
    """
    for text, path in texts:
        ref = parse_ref(text)
        place = _path(ref) if path is None else member_path(path.encode())
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
        return member_path(ref.path.encode(errors="surrogateescape"))
    return (ref.name or "").encode()

"""Diffs two folders or two files by their manifests, without reading chunks of files.

Folders with equal content are not walked, so the cost depends on the differences only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.objects.chunk_runs import runs
from casync.objects.node import Run
from casync.objects.tree import Entry, File, Folder

__all__ = ["Change", "changes", "differing_ranges"]


class Change(NamedTuple):
    """One path that differs between two folders.

    Attributes:
        path: The path.
        old: The old entry; None if it was added.
        new: The new entry; None if it was removed.
        what: If it is in both, what changed: `kind`, `content`, `target`, `device`, `link`,
            `mode`, `owner`, `attributes`, `time`.
    """

    path: bytes
    old: Entry | None
    new: Entry | None
    what: list[str]


class _Pair:
    """Two folders of one path, read side by side."""

    def __init__(self, path: bytes, old: Iterator[Entry], new: Iterator[Entry]) -> None:
        self.path = path
        self._old, self._new = old, new
        self._first, self._second = next(old, None), next(new, None)

    def take(self) -> tuple[Entry | None, Entry | None] | None:
        """The entries of the next name in each folder; None at the end."""
        old, new = self._first, self._second
        if old is None and new is None:
            return None
        if old is None or (new is not None and new.name < old.name):
            old = None
        elif new is None or old.name < new.name:
            new = None
        if old is not None:
            self._first = next(self._old, None)
        if new is not None:
            self._second = next(self._new, None)
        return old, new


def changes(old: Tree, new: Tree) -> Iterator[Change]:
    """All changes in the order of paths, folders before their entries.

    Raises:
        NoObjectError, IntegrityError: A tree cannot be read. Earlier changes are right.
    """
    what = _differences(old.root, new.root)
    if what:
        yield Change(b"", old.root, new.root, what)
    todo = [_pair(b"", old, old.root, new, new.root)]
    while todo:
        taken = todo[-1].take()
        if taken is None:
            todo.pop()
            continue
        one, two = taken
        entry = one or two
        assert entry is not None
        path = todo[-1].path + b"/" + entry.name if todo[-1].path else entry.name
        what = _differences(one, two) if one is not None and two is not None else []
        if what or one is None or two is None:
            yield Change(path, one, two, what)
        todo.append(_pair(path, old, one, new, two))


def _pair(path: bytes, old: Tree, one: Entry | None, new: Tree, two: Entry | None) -> _Pair:
    """The entries of two folders; none where there is no folder, or if both are equal."""
    was = one.content if isinstance(one, Folder) else None
    becomes = two.content if isinstance(two, Folder) else None
    if was == becomes:
        was = becomes = None
    return _Pair(
        path,
        old.entries(was) if was is not None else iter(()),
        new.entries(becomes) if becomes is not None else iter(()),
    )


def _differences(old: Entry, new: Entry) -> list[str]:
    """What differs between two entries of one name, apart from the entries of folders."""
    if type(old) is not type(new):
        return ["kind"]
    found = [
        label
        for label, field in (("target", "target"), ("link", "first"), ("device", "block"),
                             ("device", "major"), ("device", "minor"))
        if getattr(old, field, None) != getattr(new, field, None)
    ]  # fmt: skip
    if isinstance(old, File) and isinstance(new, File) and old.content != new.content:
        found.append("content")
    one, two = old.meta, new.meta
    if one.mode != two.mode:
        found.append("mode")
    if (one.uid, one.gid, one.user, one.group) != (two.uid, two.gid, two.user, two.group):
        found.append("owner")
    if one.attributes != two.attributes:
        found.append("attributes")
    if one.mtime_ns != two.mtime_ns:
        found.append("time")
    return list(dict.fromkeys(found))


def differing_ranges(old: Outline, new: Outline) -> Iterator[tuple[int, int]]:
    """The ranges in which two files differ, as (start, end), rounded to bounds of chunks.

    The end of the longer file counts as different.

    Raises:
        NoObjectError, IntegrityError: A node cannot be read. Earlier ranges are right.
    """
    begun: int | None = None
    for start, _, is_same in _stretches(old, new):
        if is_same and begun is not None:
            yield begun, start
            begun = None
        elif not is_same and begun is None:
            begun = start
    shorter, longer = sorted((old.length, new.length))
    if begun is None and shorter < longer:
        begun = shorter
    if begun is not None:
        yield begun, longer


def _stretches(old: Outline, new: Outline) -> Iterator[tuple[int, int, bool]]:
    """The common length, in stretches that lie within one run of chunks on each side."""
    ones, twos = runs(old.content, old.node), runs(new.content, new.node)
    one, two = next(ones, None), next(twos, None)
    at = 0
    while one is not None and two is not None:
        end = min(_end(one), _end(two))
        yield at, end, _is_same(old, one, new, two)
        at = end
        if _end(one) == end:
            one = next(ones, None)
        if _end(two) == end:
            two = next(twos, None)


def _end(found: tuple[int, Run]) -> int:
    offset, run = found
    return offset + run.length * run.times


def _is_same(old: Outline, one: tuple[int, Run], new: Outline, two: tuple[int, Run]) -> bool:
    """Whether the ids of two overlapping runs prove that they have the same bytes there."""
    (first, was), (second, becomes) = one, two
    if old.is_hole(was.id, was.length) and new.is_hole(becomes.id, becomes.length):
        return True
    in_step = (first - second) % was.length == 0
    return (was.id, was.length) == (becomes.id, becomes.length) and in_step

"""Computes what a disk may hold after a power failure, from a log of calls.

The model: what was synced is there. Of what was not, each block of data may be there or not, by
itself; a file may have grown without its data; names of one folder change in order, each folder
by itself, and independently of data. A write through O_DSYNC is there when the call returns. So a
rename may be there before the data of the file, and a new file's name may be missing although the
file was synced: POSIX asks for an fsync of the folder, and so do we.

It works on bytes alone, whatever the files mean.
"""

from __future__ import annotations

import os
import posixpath
import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from tests.crash.recorder import Op

__all__ = [
    "Disk",
    "Link",
    "State",
    "Tree",
    "UnmodelledError",
    "crash_states",
    "harshest_state",
    "read_tree",
    "write_tree",
]


class Link(NamedTuple):
    """A symbolic link."""

    text: str


Tree = dict[str, bytes | Link | None]
"""Paths relative to the root, with the bytes of files, links, and None for folders."""

_MAPPED: Final = "lock.mdb"
"""LMDB's lock file is written through a mapping, and is meaningless after a power failure."""


class UnmodelledError(Exception):
    """The log has a call that the model does not support."""


class _Change(NamedTuple):
    """A change to a file that was not synced. A certain one is on the disk by itself."""

    kind: str
    offset: int
    length: int
    data: bytes
    certain: bool


class _File:
    def __init__(self, data: bytes = b"") -> None:
        self.durable = bytearray(data)
        self.pending: list[_Change] = []

    def change(self, change: _Change) -> None:
        if self.pending or not change.certain:
            self.pending.append(change)
        if change.certain:
            _apply(self.durable, change)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def after(self, policy: str, rng: random.Random) -> bytes:
        """The bytes after a failure in which `policy` decides about each pending block."""
        data = bytearray(self.durable)
        block = {"blocks": 4096, "torn": 512}.get(policy, 0)
        for change in self.pending:
            if change.certain or policy == "all":
                _apply(data, change)
            elif block and change.kind == "w":
                _apply_some(data, change, block, rng)
            elif block and rng.random() < 0.5:
                _apply(data, change)
        return bytes(data)


def _apply(data: bytearray, change: _Change) -> None:
    end = change.offset + change.length
    if change.kind == "t":
        del data[change.offset :]
        data.extend(bytes(max(change.offset - len(data), 0)))
        return
    if change.kind == "z":
        end = min(end, len(data))
        data[change.offset : end] = bytes(max(end - change.offset, 0))
        return
    data.extend(bytes(max(end - len(data), 0)))
    if change.kind == "w":
        data[change.offset : end] = change.data


def _apply_some(data: bytearray, change: _Change, block: int, rng: random.Random) -> None:
    end = change.offset + change.length
    start = change.offset
    while start < end:
        stop = min(start - start % block + block, end)
        if rng.random() < 0.5:
            part = change.data[start - change.offset : stop - change.offset]
            _apply(data, _Change("w", start, len(part), part, certain=True))
        elif len(data) < stop and rng.random() < 0.5:
            data.extend(bytes(stop - len(data)))  # grown, but the data is lost
        start = stop


class _Folder:
    def __init__(self) -> None:
        self.durable: dict[str, _Node] = {}
        self.now: dict[str, _Node] = {}
        self.pending: list[dict[str, _Node | None]] = []

    def change(self, entries: dict[str, _Node | None]) -> None:
        """Sets or (None) removes names, all at once."""
        self.pending.append(entries)
        _set(self.now, entries)

    def sync(self) -> None:
        self.durable = dict(self.now)
        self.pending.clear()

    def sync_all(self) -> None:
        self.sync()
        for node in self.now.values():
            if isinstance(node, _Folder):
                node.sync_all()

    def after(self, policy: str, rng: random.Random) -> dict[str, _Node]:
        keep = {"none": 0, "all": len(self.pending)}.get(policy)
        if keep is None:
            keep = rng.randint(0, len(self.pending))
        entries = dict(self.durable)
        for change in self.pending[:keep]:
            _set(entries, change)
        return entries


_Node: TypeAlias = _File | _Folder | Link


def _set(entries: dict[str, _Node], change: dict[str, _Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class Disk:
    """Everything below a root, as programs see it and as the disk holds it.

    Args:
        root: The real folder. What is in it now counts as durable.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        self._files: dict[int, _File] = {}
        self._top = self._load(Path(self._root))

    def _load(self, path: Path) -> _Folder:
        folder = _Folder()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    folder.durable[entry.name] = Link(os.readlink(entry.path))
                elif entry.is_dir():
                    folder.durable[entry.name] = self._load(Path(entry.path))
                else:
                    file = self._files.setdefault(
                        entry.inode(), _File(Path(entry.path).read_bytes())
                    )
                    folder.durable[entry.name] = file
        folder.now = dict(folder.durable)
        return folder

    def do(self, op: Op) -> None:
        """Takes the next call.

        Raises:
            UnmodelledError: It cannot be replayed.
        """
        if op.kind in "AF":
            return
        if op.kind == "?":
            raise UnmodelledError(f"no model for a call on {op.path} {op.other}")
        if op.kind in "wWtzek":
            self._write(op)
        elif op.kind == "s":
            self._sync(op)
        elif op.kind == "S":
            self._top.sync_all()
            for file in self._files.values():
                file.sync()
        else:
            self._name(op)

    def _write(self, op: Op) -> None:
        kind = op.kind.lower()
        if kind == "k" or op.path.endswith(_MAPPED):
            return
        file = self._files[op.inode]
        file.change(_Change(kind, op.offset, op.length, op.data, certain=op.kind == "W"))

    def _sync(self, op: Op) -> None:
        if op.inode in self._files:
            self._files[op.inode].sync()
            return
        node = self._find(op.path)
        if not isinstance(node, _Folder):
            raise UnmodelledError(f"sync of {op.path}")
        node.sync()

    def _name(self, op: Op) -> None:
        folder, name = self._place(op.path)
        if op.kind == "c":
            self._files[op.inode] = _File()
            folder.change({name: self._files[op.inode]})
        elif op.kind == "m":
            folder.change({name: _Folder()})
        elif op.kind == "y":
            folder.change({name: Link(op.other)})
        elif op.kind == "u":
            folder.change({name: None})
        else:
            other, new_name = self._place(op.other)
            node = folder.now[name]
            if op.kind == "l":
                other.change({new_name: node})
            elif other is folder:
                folder.change({name: None, new_name: node})
            else:
                # Harsher than a journal: the old name may vanish before the new one appears.
                other.change({new_name: node})
                folder.change({name: None})

    def _find(self, path: str) -> _Node:
        node: _Node = self._top
        relative = posixpath.relpath(posixpath.normpath(path), self._root)
        if relative.startswith(".."):
            raise UnmodelledError(f"{path} is outside")
        for part in [] if relative == "." else relative.split("/"):
            if not isinstance(node, _Folder) or part not in node.now:
                raise UnmodelledError(f"{path} is not there")
            node = node.now[part]
        return node

    def _place(self, path: str) -> tuple[_Folder, str]:
        head, name = posixpath.split(posixpath.normpath(path))
        folder = self._find(head)
        if not isinstance(folder, _Folder):
            raise UnmodelledError(f"{head} is no folder")
        return folder, name

    def now(self) -> Tree:
        """The files as programs see them."""
        return self.after("all", "all", random.Random(0))

    def after(self, data: str, names: str, rng: random.Random) -> Tree:
        """The files after a power failure now.

        Args:
            data: Which blocks that were not synced are there: `none`, `all`, or at random `blocks`
                of 4096 bytes or `torn` ones of 512.
            names: Which changes of folders: `none`, `all` or `some` at random.
            rng: Decides.
        """
        tree: Tree = {}
        # A file with two names is one file.
        seen: dict[int, bytes] = {}

        def walk(folder: _Folder, base: str) -> None:
            for name, node in sorted(folder.after(names, rng).items()):
                path = base + name
                if isinstance(node, _Folder):
                    tree[path] = None
                    walk(node, path + "/")
                elif isinstance(node, Link):
                    tree[path] = node
                elif name != _MAPPED:
                    if id(node) not in seen:
                        seen[id(node)] = node.after(data, rng)
                    tree[path] = seen[id(node)]

        walk(self._top, "")
        return tree


class State(NamedTuple):
    """One possible state after a failure.

    Attributes:
        label: How to find it again.
        tree: What is on the disk.
        answered: What had been written to stdout by then.
    """

    label: str
    tree: Tree
    answered: bytes


_EDGES: Final = [("none", "none"), ("none", "all"), ("all", "none"), ("all", "all")]
_MIXED: Final = [("blocks", "all"), ("torn", "all"), ("blocks", "some"), ("torn", "some")]


def crash_states(disk: Disk, ops: Sequence[Op], seed: int, rounds: int) -> Iterator[State]:
    """All distinct states, for a failure after each call.

    Args:
        disk: As it was before the first call; all calls are done to it.
        ops: The calls.
        seed: Decides about blocks.
        rounds: Random states of each kind after each call.
    """
    seen: set[bytes] = set()
    answered = b""
    for number, op in enumerate([None, *ops]):
        if op is not None:
            disk.do(op)
            answered += op.data if op.kind == "A" else b""
        policies = [*_EDGES, *_MIXED * rounds]
        for turn, (data, names) in enumerate(policies):
            label = f"seed {seed} after call {number} ({op.kind if op else '-'}), {data} data, "
            label += f"{names} names, turn {turn}"
            tree = disk.after(data, names, random.Random(f"{seed} {number} {turn}"))
            key = _digest(tree, answered)
            if key not in seen:
                seen.add(key)
                yield State(label, tree, answered)


def harshest_state(disk: Disk, ops: Sequence[Op]) -> Tree:
    """The state after all of `ops` with only what was synced."""
    for op in ops:
        disk.do(op)
    return disk.after("none", "none", random.Random(0))


def _digest(tree: Tree, answered: bytes) -> bytes:
    digest = blake2b(answered, digest_size=16)
    for path, data in tree.items():
        if isinstance(data, Link):
            digest.update(f"\0{path}\0@{data.text}".encode())
            continue
        digest.update(f"\0{path}\0{-1 if data is None else len(data)}\0".encode())
        digest.update(data or b"")
    return digest.digest()


def write_tree(tree: Tree, root: Path) -> None:
    """Writes a tree below `root`, which exists."""
    for path, data in tree.items():
        if data is None:
            (root / path).mkdir()
        elif isinstance(data, Link):
            (root / path).symlink_to(data.text)
        else:
            (root / path).write_bytes(data)


def read_tree(root: Path) -> Tree:
    """The files below `root`, in the form of `Disk.now`."""
    tree: Tree = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            tree[str(path.relative_to(root))] = Link(os.readlink(path))
        elif path.is_dir():
            tree[str(path.relative_to(root))] = None
        elif path.name != _MAPPED:
            tree[str(path.relative_to(root))] = path.read_bytes()
    return tree

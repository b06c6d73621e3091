"""Appending to archives: what is read afterwards, what is stored, and the index that is kept."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from casync.archives.writing.new_format import NewFormat
from casync.errors import (
    CasyncError,
    LostRaceError,
    MalformedError,
    NoNameError,
    SourceChangedError,
    UnsupportedError,
    UsageError,
)
from casync.names.name import Name, parse_name
from casync.names.name_update import NameUpdate
from casync.ops.archive.append import AppendOptions, append_to_archive
from casync.ops.archive.create import ArchiveInput, create_archive, plan_archive
from casync.ops.archive.files_input import FilesInput, StreamInput
from casync.ops.archive.folder_input import FolderInput
from casync.ops.prepare.file import PrepareOptions
from casync.store.base import Batch, Committed
from casync.store.memory.store import MemoryStore
from tests.support.growing_archives import (
    CREATE,
    FOREIGN,
    FORMATS,
    KEEP,
    OLD,
    PARAMS,
    REPLACE,
    World,
    read,
    tar_of,
    zip_of,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_added_one_after_the_other(world: World, form: str) -> None:
    """A4"""
    name = world.made(form)
    assert read(form, world.content(name)) == OLD
    world.check(name)
    for number in range(30):
        data = random.Random(number).randbytes(number * 777)
        world.add(name, world.file(f"new-{number:03}", data))
        if number % 7 == 0:
            world.check(name)
    found = read(form, world.content(name))
    assert len(found) == len(OLD) + 30
    assert found["new-029"] == random.Random(29).randbytes(29 * 777)


@pytest.mark.parametrize("kind", FOREIGN)
def test_archives_of_others_grow(world: World, kind: str) -> None:
    """A4"""
    form, data = FOREIGN[kind]
    name = f"foreign.{form}"
    world.put(name, data)
    before = read(form, data + bytes(2048) if form == "tar" else data)
    for number in range(3):
        world.add(name, world.file(f"new-{number}", b"%d" % number * 1000))
        world.check(name)
    found = read(form, world.content(name))
    assert found == before | {f"new-{number}": b"%d" % number * 1000 for number in range(3)}
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(world.content(name))) as archive:
            assert archive.comment == b"a comment"


@pytest.mark.parametrize("form", FORMATS)
def test_earlier_chunks_are_shared(world: World, form: str) -> None:
    """A4"""
    name = f"large.{form}"
    world.put(name, b"")
    world.add(name, world.file("large", random.Random(3).randbytes(8_000_000)))
    for _ in range(3):
        data = os.urandom(10_000)
        done = world.add(name, world.file(f"new-{data[:8].hex()}", data))
        assert done.stored < 40_000  # with the nodes on the way to what is new
        assert done.new < 20_000 // PARAMS.min_size
    world.check(name)


def test_a_short_header_of_messagepack_is_made_longer_and_the_rest_is_shared(world: World) -> None:
    """A4"""
    old = {"large": random.Random(4).randbytes(4_000_000)}
    world.put("a.msgpack", msgspec.msgpack.encode(old))
    done = world.add("a.msgpack", world.file("new", b"new"))
    assert done.stored < 30_000
    assert read("msgpack", world.content("a.msgpack")) == old | {"new": b"new"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_path_that_is_there_is_an_error_replaced_or_kept(world: World, form: str) -> None:
    """A4"""
    name = world.made(form)
    path = world.file("b", b"new")
    before = world.content(name)
    with pytest.raises(UsageError, match=rf"{name} has a member b already"):
        world.add(name, path)
    kept = world.add(name, path, options=KEEP)
    assert (kept.kept, kept.plan.files) == (1, 0)
    assert world.content(name) == before
    given = FilesInput([path, world.file("c", b"more")])
    some = append_to_archive(parse_name(name), given, world.store, KEEP)
    assert (some.kept, some.plan.files) == (1, 1)
    world.check(name)
    for data in (b"second", b"third"):
        done = world.add(name, world.file("b", data), options=REPLACE)
        world.check(name)
        found = read(form, world.content(name))
        assert found == OLD | {"b": data, "c": b"more"}
    assert done.replaced == (2 if form in ("tar", "tgz") else 1)


@pytest.mark.parametrize("form", FORMATS)
def test_folders_go_in_with_what_is_below_them(world: World, form: str) -> None:
    """A4"""
    name = world.made(form)
    world.file("folder/deep/1", b"one")
    world.file("folder/2", b"two")
    (world.folder / "folder/link").symlink_to("2")
    os.link(world.folder / "folder/2", world.folder / "folder/same")
    done = world.add(name, world.folder / "folder")
    world.check(name)
    found = read(form, world.content(name))
    assert found["folder/deep/1"] == b"one"
    assert found["folder/2"] == b"two"
    assert found["folder/same"] == b"two"
    assert ("folder/link" in found) == (form != "msgpack")
    assert done.plan.folders == (0 if form == "msgpack" else 2)
    world.file("folder/3", b"three")
    for path in ("deep/1", "2", "same", "link"):
        (world.folder / "folder" / path).unlink()
    again = world.add(name, world.folder / "folder")
    assert (again.plan.files, again.plan.folders) == (1, 0)
    world.check(name)


def test_a_hard_link_does_not_lead_to_what_was_kept(world: World) -> None:
    """A4"""
    name = world.made("tar")
    world.add(name, world.file("x/1", b"old"), "x/1")
    world.file("x/1", b"new")
    os.link(world.folder / "x/1", world.folder / "x/2")
    world.add(name, world.folder / "x", options=KEEP)
    found = read("tar", world.content(name))
    assert (found["x/1"], found["x/2"]) == (b"old", b"new")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("options", [AppendOptions(), REPLACE, KEEP])
def test_a_member_that_could_not_be_extracted_is_refused(
    world: World, form: str, options: AppendOptions
) -> None:
    """A4"""
    name = world.made(form)
    path = world.file("new", b"new")
    before = world.content(name)
    with pytest.raises(UsageError, match="has b, which is not a folder"):
        world.add(name, path, "b/below", options)
    with pytest.raises(UsageError, match="has a/1 below it"):
        world.add(name, path, "a", options)
    assert world.content(name) == before


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_is_made_where_there_is_none_or_an_empty_file(world: World, form: str) -> None:
    """A4"""
    path = world.file("empty", b"")
    with pytest.raises(NoNameError):
        world.add(f"new.{form}", path)
    world.add(f"new.{form}", path, options=CREATE)
    world.put(f"void.{form}", b"")
    world.add(f"void.{form}", path)
    for name in (f"new.{form}", f"void.{form}"):
        assert read(form, world.content(name)) == {"empty": b""}
        world.check(name)


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_without_members_grows(world: World, form: str) -> None:
    """A4"""
    (world.folder / "nothing").mkdir()
    name = f"a.{form}"
    plan = plan_archive(NewFormat(form), nothing := FolderInput(world.folder / "nothing"))
    options = PrepareOptions(name=parse_name(name))
    create_archive(NewFormat(form), nothing, plan, world.store, options)
    assert read(form, world.content(name)) == {}
    world.add(name, world.file("x", b"x"))
    assert read(form, world.content(name)) == {"x": b"x"}
    world.check(name)


def test_a_stream_is_a_member(world: World) -> None:
    """A4"""
    given = StreamInput(io.BytesIO(b"streamed"), b"a/b")
    append_to_archive(parse_name("a.tar"), given, world.store, CREATE)
    assert read("tar", world.content("a.tar")) == {"a/b": b"streamed"}


class RacedStore(MemoryStore):
    """Lets others be faster."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self.before: Callable[[], None] | None = before

    def commit(self, batch: Batch) -> Committed:
        if batch.names and self.before is not None:
            before, self.before = self.before, None
            before()
        return super().commit(batch)


@pytest.mark.parametrize("form", FORMATS)
def test_a_lost_race_is_run_again(world: World, form: str) -> None:
    """A4"""
    name = world.made(form)
    store = RacedStore(lambda: None)
    store.__dict__.update(world.store.__dict__)
    world.store = store
    faster = world.file("faster", b"faster")

    def overtake() -> None:
        world.add(name, faster)

    store.before = overtake
    world.add(name, world.file("slower", b"slower"))
    assert read(form, world.content(name)) == OLD | {"faster": b"faster", "slower": b"slower"}
    world.check(name)

    def again() -> None:
        world.add(name, faster, "again")

    store.before = again
    newest = store.upcoming(parse_name(name))[1]
    assert newest is not None
    with pytest.raises(LostRaceError):
        world.add(name, faster, "third", AppendOptions(expected=newest.version))
    with pytest.raises(LostRaceError):
        world.add(name, faster, "third", AppendOptions(expected=newest.version))
    world.add(name, faster, "third", AppendOptions(expected=newest.version + 1))
    with pytest.raises(LostRaceError):
        world.add(name, faster, "4", AppendOptions(expected=0, creates=True))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("text.txt", b"no archive" * 1000, UsageError),
        ("text.tar", b"no archive" * 1000, MalformedError),
        ("a.zip", tar_of(), UsageError),
        ("short.tar", tar_of()[:200_000], MalformedError),
        ("short.tgz", tar_of("w:gz")[:200_000], MalformedError),
        ("short.zip", zip_of()[:200_000], MalformedError),
        ("short.msgpack", msgspec.msgpack.encode(OLD)[:-10], MalformedError),
        ("joined.tar", tar_of() + tar_of(), MalformedError),
        ("void.txt", b"", UsageError),
    ],
)
def test_what_is_no_whole_archive_stays_as_it_is(
    world: World, name: str, data: bytes, kind: type[CasyncError]
) -> None:
    """A4"""
    world.put(name, data)
    with pytest.raises(kind):
        world.add(name, world.file("x", b"x"))
    assert world.content(name) == data


def test_zstd_and_lz4_cannot_grow(world: World) -> None:
    """A4"""
    import lz4.frame
    import zstandard

    for name, data in (
        ("a.tar.zst", zstandard.compress(tar_of())),
        ("a.tar.lz4", lz4.frame.compress(tar_of())),
    ):
        world.put(name, data)
        with pytest.raises(UnsupportedError, match="nothing can be appended"):
            world.add(name, world.file("x", b"x"))


def test_what_is_not_a_file_is_refused(world: World) -> None:
    """A4"""
    name = world.made("tar")
    os.mkfifo(world.folder / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        world.add(name, world.folder / "pipe")
    with pytest.raises(CasyncError, match="there is no file"):
        world.add(name, world.folder / "missing")
    with pytest.raises(UsageError, match="several members would have the path b"):
        FilesInput([world.file("a/b", b""), world.file("b", b"")])


def test_a_link_that_is_given_is_followed(world: World) -> None:
    """A4"""
    name = world.made("msgpack")
    world.file("target", b"what it leads to")
    (world.folder / "link").symlink_to("target")
    world.add(name, world.folder / "link")
    assert read("msgpack", world.content(name))["link"] == b"what it leads to"


class Changing:
    """A member whose length is wrong the first times."""

    label, missing, left_out, has_distinct_paths = "changing", 0, 0, True

    def __init__(self, inner: ArchiveInput, times: int) -> None:
        self._inner = inner
        self._times = times

    def members(self, kinds: frozenset[object]) -> Iterator[tuple[object, object]]:
        for member, content in self._inner.members(kinds):  # type: ignore[arg-type]
            yield member, self._changed(content)

    def _changed(self, content: object) -> Iterator[bytes]:
        self._times -= 1
        yield from (b"" if self._times >= 0 else content)  # type: ignore[misc]


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_changes_is_read_again_and_once_only(world: World, form: str) -> None:
    """A4"""
    name = parse_name(world.made(form))
    given = FilesInput([world.file("x", b"x")])
    append_to_archive(name, Changing(given, 1), world.store)  # type: ignore[arg-type]
    assert read(form, world.content(name))["x"] == b"x"
    before = world.content(name)
    other = FilesInput([world.file("y", b"y")])
    with pytest.raises(SourceChangedError):
        append_to_archive(name, Changing(other, 2), world.store)  # type: ignore[arg-type]
    assert world.content(name) == before


def test_a_name_that_is_set_back_can_grow_again(world: World) -> None:
    """A4"""
    name = Name(world.made("tar"))
    first = world.outline(name)
    world.add(name, world.file("x", b"x"))
    world.store.set_name(NameUpdate(name, first.id))
    world.add(name, world.file("y", b"y"))
    assert read("tar", world.content(name)) == OLD | {"y": b"y"}

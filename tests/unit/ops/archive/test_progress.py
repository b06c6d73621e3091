"""What archives show while they are made, grown and indexed."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.access.archive import open_archive
from casync.access.member_indexes import PassingIndexes
from casync.archives.writing.new_format import NewFormat
from casync.names.name import Name, parse_name
from casync.ops.archive.append import append_to_archive
from casync.ops.archive.create import create_archive, plan_archive
from casync.ops.archive.files_input import FilesInput
from casync.ops.archive.folder_input import FolderInput
from casync.ops.prepare.file import PrepareOptions
from tests.support.growing_archives import FOREIGN, FORMATS, World

SIZE = 3_000_000


class Phases:
    """A progress that adds up the bytes of each phase."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, int] = {}
        self._what = ""

    def start(self, what: str, total: int | None) -> None:
        self._what = what
        self.totals[what] = total
        self.done[what] = 0

    def advance(self, count: int) -> None:
        self.done[self._what] += count

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_that_is_made_advances_by_the_bytes_of_its_members(
    world: World, form: str
) -> None:
    """A3"""
    for number in range(3):
        world.file(f"in/{number}", bytes([number]) * SIZE)
    given, made, progress = FolderInput(world.folder / "in"), NewFormat(form), Phases()
    plan = plan_archive(made, given)
    options = PrepareOptions(name=Name(f"a.{form}"), workers=1)
    create_archive(made, given, plan, world.store, options, progress)
    assert progress.totals["archiving"] == progress.done["archiving"] == 3 * SIZE


@pytest.mark.parametrize("form", FORMATS)
def test_an_append_advances_by_the_bytes_of_new_members(world: World, form: str) -> None:
    """A4"""
    name, progress = world.made(form), Phases()
    given = FilesInput([world.file("new", b"new" * SIZE)])
    append_to_archive(parse_name(name), given, world.store, progress=progress)
    assert progress.totals["appending"] == progress.done["appending"] == 3 * SIZE


def test_a_tgz_of_others_that_grows_advances_by_all_of_its_bytes(world: World) -> None:
    """A4"""
    world.put("a.tgz", FOREIGN["tgz"][1])
    progress = Phases()
    given = FilesInput([world.file("new", b"new" * SIZE)])
    append_to_archive(parse_name("a.tgz"), given, world.store, progress=progress)
    stored = len(FOREIGN["tgz"][1])
    assert progress.totals["indexing the archive"] == stored
    assert progress.done["indexing the archive"] == stored
    total = progress.totals["compressing again"]
    assert total is not None
    # The zeros at its end are new ones.
    assert 0 <= total - progress.done["compressing again"] <= 20 * 512


@pytest.mark.parametrize("form", FORMATS)
def test_an_index_that_is_made_advances_by_the_bytes_of_the_archive(
    world: World, form: str
) -> None:
    """A2"""
    name, progress = world.made(form), Phases()
    outline = world.outline(name)
    open_archive(outline, world.store, PassingIndexes(), name, progress=progress)
    assert progress.totals == progress.done == {"indexing the archive": outline.length}

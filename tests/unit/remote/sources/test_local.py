"""Local folders as sources: nothing outside of them is read, and changes are noticed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.errors import DeniedError, NotFoundError, SourceChangedError, UsageError
from casync.remote.sources.base import RemoteSource
from casync.remote.sources.open import Sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "d").mkdir(parents=True)
    (folder / "d" / "file").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"outside")
    return folder


@pytest.fixture
def source(folder: Path) -> Iterator[RemoteSource]:
    with Sources() as sources:
        yield sources.open(f"{folder}/")[0]


def test_links_lead_nowhere(source: RemoteSource, folder: Path) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "inner").symlink_to("d/file")
    (folder / "out").symlink_to("../other")
    (folder / "top").symlink_to("/")
    assert [one.key for one in source.list_below("")] == ["d/file"]
    for key in ("link", "inner", "out/file", "top/etc/passwd"):
        assert source.find(key) is None
        with pytest.raises(NotFoundError):
            source.open(key)
    for prefix in ("out/", "top/"):
        with pytest.raises((NotFoundError, DeniedError)):
            source.list_folder(prefix)


def test_a_link_that_is_named_itself_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "latest").symlink_to("folder/d/file")
    with Sources() as sources:
        source, key = sources.open(f"{tmp_path}/link/")
        assert [one.key for one in source.list_below(key)] == ["d/file"]
        source, key = sources.open(f"{tmp_path}/latest")
        found = source.find(key)
        assert found is not None
        assert found.size == 6


@pytest.mark.parametrize(
    "key", ["../secret", "d/../../secret", "/etc/passwd", "d//file", "d/./file", "a\0b"]
)
def test_what_is_not_a_path_below_the_folder_is_refused(source: RemoteSource, key: str) -> None:
    for ask in (source.find, source.open):
        with pytest.raises(UsageError):
            ask(key)


def test_only_regular_files_are_objects(source: RemoteSource, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "s"))
        assert [one.key for one in source.list_below("")] == ["d/file"]
        for key in ("pipe", "s", "d"):
            assert source.find(key) is None
            with pytest.raises(NotFoundError):
                source.open(key)


def test_names_that_are_not_text_are_keys(source: RemoteSource, folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\xc3\xa9\n")).write_bytes(b"1")
    keys = [one.key for one in source.list_folder("").objects]
    assert keys == ["\udcff\u00e9\n"]
    assert source.find(keys[0]) is not None


def test_a_change_while_a_file_is_read_is_noticed(source: RemoteSource, folder: Path) -> None:
    """D11."""
    file = folder / "d" / "file"
    for change in (b"longer than before", b"short", b"inside"):
        file.write_bytes(b"inside")
        answer = source.open("d/file")
        assert answer is not None
        with answer:
            file.write_bytes(change)
            os.utime(file, (1, 1))
            with pytest.raises(SourceChangedError) as raised:
                list(answer.blocks())
        assert raised.value.fault == "changed"


def test_a_file_that_was_written_just_now_is_not_taken_for_unchanged(
    source: RemoteSource, folder: Path
) -> None:
    """D11: the clock of file systems is coarse."""
    os.utime(folder / "d" / "file")
    found = source.find("d/file")
    assert found is not None
    assert found.token == b""
    answer = source.open("d/file", unless=found.validators)
    assert answer is not None
    answer.close()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with Sources() as sources, pytest.raises(NotFoundError):
        sources.open(f"{tmp_path}/nothing/")

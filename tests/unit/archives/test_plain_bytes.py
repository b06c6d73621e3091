"""The bound on what archives unpack to."""

from __future__ import annotations

import io
import zipfile

import pytest

import casync
from casync.archives import plain_bytes
from casync.archives.plain_bytes import PlainBytes
from casync.archives.zip import Zip
from casync.errors import MalformedError
from casync.limits import FREE_UNPACKED_BYTES, MAX_UNPACKED_RATIO, MIB
from casync.store.memory import MemoryStore
from tests.support.archive_bytes import BytesReader
from tests.support.serving import put_file


def zeros(length: int = 8 * MIB) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(length))
        archive.writestr("small", b"small")
    return out.getvalue()


@pytest.fixture
def little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_bytes, "FREE_UNPACKED_BYTES", MIB)


def test_archives_have_so_many_plain_bytes_together() -> None:
    bound = PlainBytes(100)
    bound.add(50)
    bound.take(FREE_UNPACKED_BYTES)
    bound.take(MAX_UNPACKED_RATIO * 150)
    with pytest.raises(MalformedError, match=r"1 B of .* bomb"):
        bound.take(1, b"last")


@pytest.mark.usefixtures("little_is_free")
def test_the_end_of_a_deflated_bomb_is_not_looked_for() -> None:
    """A range costs what is before it, so a short answer would cost minutes."""
    archive = BytesReader(zeros())
    member = next(one for one in Zip().scan(archive) if one.path == b"zeros")
    assert b"".join(Zip().read(archive, member, MIB, MIB + 9)) == bytes(9)
    with pytest.raises(MalformedError, match="bomb"):
        next(Zip().read(archive, member, member.length - 1, member.length))


@pytest.mark.usefixtures("little_is_free")
def test_a_bomb_does_not_go_into_memory() -> None:
    """A1"""
    store = MemoryStore()
    put_file(store, zeros(), name="a.zip")
    assert list(casync.batch(["a.zip:small"], store)) == [("a.zip:small", b"small")]
    with pytest.raises(MalformedError, match="bomb"):
        list(casync.batch(["a.zip:zeros"], store))
    with pytest.raises(MalformedError, match="bomb"):
        list(casync.members("a.zip", store))

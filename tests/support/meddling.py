"""Files that change during a prepare, and what a failed prepare may leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from casync.fs.source.base import Hole, Span
from casync.fs.source.file import FileSource
from casync.limits import KIB
from casync.store.base import ObjectStore
from tests.support.preparing import noise


def assert_nothing_published(store: ObjectStore) -> None:
    assert list(store.manifests()) == []
    assert list(store.names()) == []
    assert list(store.remembered()) == []


class Meddled(FileSource):
    """A file that changes in the middle of each of its first `times` reads."""

    def __init__(self, path: Path, times: int) -> None:
        super().__init__(path)
        self.path = path
        self.times = times

    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        return super().blocks(16 * KIB)  # which asks for spans

    def spans(self, size: int) -> Iterator[Span | Hole]:
        for number, span in enumerate(super().spans(size)):
            if number == 12 and self.times:
                self.times -= 1
                self.meddle()
            yield span

    def meddle(self) -> None:
        with self.path.open("r+b") as file:
            file.write(noise(100, 1000 + self.times))


class Replaced(Meddled):
    def meddle(self) -> None:
        other = self.path.with_name("other")
        other.write_bytes(noise(self.path.stat().st_size, 2))
        other.replace(self.path)


class Shrunk(Meddled):
    lost = 1

    def meddle(self) -> None:
        os.truncate(self.path, self.path.stat().st_size - self.lost)

"""The bench page: complete, self-contained, and safe for any file name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from casync_cli.bench.map import draw_map
from casync_cli.bench.page import render
from casync_cli.bench.report import Bench, share

from casync.access.progress import SILENT
from casync.objects.chunker import ChunkerParams
from casync.ops.bench import BenchInput, look, measure
from casync.planning.origins import OriginMap
from casync.planning.stretches import REPEAT, WANTED, ZERO, Stretch
from casync.store.memory import MemoryStore
from tests.support.pulling import noise

HOSTILE = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "\"'&amp;<b>",
    "\n\x1b[31m\u202e\udcff",
]
VOID = {"meta", "rect", "path", "br"}


class Reader(HTMLParser):
    """Parses a page as a browser would, and fails on malformed HTML."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def bench(folder: Path, old: bytes, new: bytes) -> Bench:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    before, after = look(folder / "old", SILENT), look(folder / "new", SILENT)
    trials = [
        measure(before, after, ChunkerParams.from_average(size), folder, _Kept().make, SILENT)
        for size in (1024, 4096)
    ]
    return Bench(before, after, trials, folder)


class _Kept:
    """Stores in memory."""

    def __init__(self) -> None:
        self._made: dict[Path, MemoryStore] = {}

    @contextmanager
    def make(self, path: Path) -> Iterator[MemoryStore]:
        yield self._made.setdefault(path, MemoryStore())


@pytest.fixture
def usual(tmp_path: Path) -> Bench:
    old = noise(1, 200_000)
    return bench(tmp_path, old, old[:90_000] + noise(2, 5_000) + old[90_000:] + bytes(50_000))


def test_the_page_says_what_was_measured(usual: Bench) -> None:
    text = " ".join(Reader(render(usual)).texts)
    for wanted in (
        "travel with deltas",
        "1 KiB",
        "4 KiB",
        "Recommended",
        "old",
        "new",
        "not in the old file",
    ):
        assert wanted in text


def test_the_page_loads_nothing(usual: Bench) -> None:
    page = render(usual)
    read = Reader(page)
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use"}
    attributes = {name for _, attrs in read.tags for name in attrs}
    assert not attributes & {"src", "href", "srcset", "action", "data", "xlink:href", "style"}
    assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import|//", page)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(usual: Bench, name: str) -> None:
    plain = [tag for tag, _ in Reader(render(usual)).tags]
    given = BenchInput(Path(name), usual.new.length, usual.new.data)
    page = render(usual._replace(old=given, new=given, folder=Path(name)))
    page.encode()
    assert [tag for tag, _ in Reader(page).tags] == plain
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\udc80-\udcff]", page)


@pytest.mark.parametrize(("old", "new"), [(b"", b""), (b"", b"x"), (b"x", b""), (b"x", b"x")])
def test_the_smallest_files_have_a_page(tmp_path: Path, old: bytes, new: bytes) -> None:
    page = render(bench(tmp_path, old, new))
    assert not re.search(r"\bnan\b|\binf\b", page)
    assert Reader(page).tags


# -- The map --------------------------------------------------------------------------------------


def areas(drawn: str) -> dict[str, float]:
    """The area of each origin, in cells."""
    found: dict[str, float] = {}
    for origin, path in re.findall(r'<path class="(\w+)" d="([^"]*)"', drawn):
        steps = re.findall(r"M\d+ \d+h(\d+)v(\d+)h-\d+z", path)
        found[origin] = found.get(origin, 0) + sum(int(w) * int(h) / 100 for w, h in steps)
    return found


def test_the_map_shows_each_origin_by_its_share() -> None:
    origins = OriginMap(2048 * 1000, 2048)
    origins.add(Stretch(0, 1_000_000, 0))
    origins.add(Stretch(1_000_000, 500_500, 0))
    origins.add(Stretch(1_500_500, 500_000, WANTED))
    origins.add(Stretch(2_000_500, 47_500, ZERO))
    drawn = draw_map(origins)
    found = areas(drawn)
    assert sum(found.values()) == pytest.approx(2048)
    wanted = {"same": 1000, "moved": 500.5, "travel": 500, "zero": 47.5}
    assert found == pytest.approx(wanted, abs=0.1)
    assert len(Reader(drawn).tags) == 1 + 16 * 2 + len(re.findall("<(?:path|rect|title)", drawn))


def test_a_single_new_byte_is_visible() -> None:
    origins = OriginMap(1 << 40, 2048)
    origins.add(Stretch(0, (1 << 40) - 1, 0))
    origins.add(Stretch((1 << 40) - 1, 1, WANTED))
    assert areas(draw_map(origins))["travel"] > 0.05
    assert "0.1 % not in the old file" in draw_map(origins)


def test_tooltips_cover_every_line_once() -> None:
    origins = OriginMap(1_000_000, 300)
    origins.add(Stretch(0, 300_000, 0))
    origins.add(Stretch(300_000, 700_000, REPEAT))
    for line in draw_map(origins).split("<svg")[1:]:
        spans = [(int(x), int(w)) for x, w in re.findall(r'x="(\d+)" width="(\d+)"', line)]
        ends = [x + w for x, w in spans]
        assert [x for x, _ in spans] == [0, *ends[:-1]]
    assert len(draw_map(OriginMap(0, 300))) < 50


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (1, 1, "100 %"),
        (1, 3, "33.3 %"),
        (13, 1000, "1.3 %"),
        (1, 10_000, "0.01 %"),
        (1, 10**9, "<0.01 %"),
        (3, 2, "150 %"),
    ],
)
def test_shares_are_short(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text

"""Progress: texts of bars and lines, and when they are drawn."""

from __future__ import annotations

import threading

import pytest
from casync_cli.progress import Gauge, Meter, NotesOnly, bar_text, line_text

MIB = 1 << 20


class Screen:
    def __init__(self) -> None:
        self.bars: list[str] = []
        self.lines: list[str] = []
        self.drawn = threading.Event()

    def bar(self, text: str) -> None:
        self.bars.append(text)
        self.drawn.set()

    def say(self, text: str) -> None:
        self.lines.append(text)
        self.drawn.set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(screen: Screen, clock: Clock, *, as_bar: bool) -> Meter:
    return Meter(screen, as_bar=as_bar, columns=lambda: 80, clock=clock)


@pytest.mark.parametrize(
    ("gauge", "text"),
    [
        (Gauge("finishing", 0, None, 0), "finishing"),
        (Gauge("reading", 0, 0, 9), "reading: 0 B of 0 B"),
        (Gauge("reading", 30 * MIB, None, 3), "reading: 30.0 MiB, 10.0 MiB/s"),
        (
            Gauge("pulling", 25 * MIB, 100 * MIB, 5),
            "pulling: 25.0 MiB of 100 MiB (25%), 5.00 MiB/s, 15.0 s left",
        ),
        (Gauge("pulling", MIB, MIB, 2), "pulling: 1.00 MiB of 1.00 MiB (100%), 512 KiB/s"),
        (Gauge("growing", 2 * MIB, MIB, 0), "growing: 2.00 MiB of 1.00 MiB (100%)"),
    ],
)
def test_lines(gauge: Gauge, text: str) -> None:
    assert line_text(gauge) == text


def test_a_bar_shows_the_share() -> None:
    text = bar_text(Gauge("pulling", 50, 100, 0), 80)
    assert text == "pulling  [##########----------]  50%  50 B of 100 B"


def test_a_bar_without_a_total_has_no_share() -> None:
    assert bar_text(Gauge("reading", 5, None, 0), 80) == "reading  5 B"


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (90, "{bar}  25.0 MiB of 100 MiB  5.00 MiB/s  15.0 s left"),
        (80, "{bar}  25.0 MiB of 100 MiB  5.00 MiB/s"),
        (60, "{bar}  25.0 MiB of 100 MiB"),
        (50, "{bar}  5.00 MiB/s"),
        (40, "{bar}"),
        (30, "pulling  25.0 MiB of 100 MiB"),
        (25, "pulling  5.00 MiB/s"),
        (5, "pull"),
    ],
)
def test_a_bar_leaves_out_whole_fields_that_do_not_fit(columns: int, shown: str) -> None:
    bar = "pulling  [#####---------------]  25%"
    text = bar_text(Gauge("pulling", 25 * MIB, 100 * MIB, 5), columns)
    assert text == shown.format(bar=bar)


@pytest.mark.parametrize("columns", [1, 2, 10, 40])
def test_a_bar_never_wraps(columns: int) -> None:
    gauge = Gauge("pulling", 25 * MIB, 100 * MIB, 5)
    assert len(bar_text(gauge, columns)) < max(columns, 2)


def test_a_phase_starts_at_nothing() -> None:
    screen, clock = Screen(), Clock()
    progress = meter(screen, clock, as_bar=False)
    progress.start("reading", 100)
    progress.advance(60)
    clock.now = 5.0
    progress.start("writing", None)
    progress.advance(7)
    progress.show()
    assert screen.lines == ["writing: 7 B"]


def test_nothing_is_shown_before_a_phase() -> None:
    screen = Screen()
    meter(screen, Clock(), as_bar=True).show()
    assert screen.bars == []


def test_a_note_is_a_line_at_once() -> None:
    screen = Screen()
    meter(screen, Clock(), as_bar=True).note("hard link broken")
    assert screen.lines == ["hard link broken"]


def test_notes_are_shown_without_progress() -> None:
    screen = Screen()
    progress = NotesOnly(screen)
    progress.start("reading", 10)
    progress.advance(10)
    progress.note("chunk sizes differ")
    assert (screen.lines, screen.bars) == (["chunk sizes differ"], [])


def test_counting_from_many_threads_loses_nothing() -> None:
    screen = Screen()
    progress = meter(screen, Clock(), as_bar=False)
    progress.start("reading", None)

    def count() -> None:
        for _ in range(5000):
            progress.advance(1)

    workers = [threading.Thread(target=count) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    progress.show()
    assert screen.lines == ["reading: 39.1 KiB"]


def test_the_thread_draws_and_the_end_removes_the_bar() -> None:
    screen = Screen()
    with Meter(screen, as_bar=True, columns=lambda: 80) as progress:
        progress.start("reading", 10)
        progress.advance(5)
        assert screen.drawn.wait(30)
    assert "reading" in screen.bars[0]
    assert screen.bars[-1] == ""


def test_a_short_command_draws_nothing() -> None:
    screen = Screen()
    with Meter(screen, as_bar=False, columns=lambda: 80) as progress:
        progress.start("reading", 10)
    assert screen.lines == []

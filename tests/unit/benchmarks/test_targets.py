import pytest

from benchmarks.report import render
from benchmarks.sheet import OURS, Results, Sheet
from benchmarks.targets import CASYNC, CURL, DELTAS, LOCAL, PLAIN, Target, targets
from benchmarks.update_targets import BEFORE


def _target(beginning: str) -> Target:
    (found,) = (target for target in targets() if target.what.startswith(beginning))
    return found


def _transfer() -> Results:
    sheet = Sheet("transfer")
    case = "vm, updated in place"
    sheet.add(f"{case}: in place", OURS, seconds=1.4, received=90e6, sent=10e6)
    sheet.add(f"{case}: hash the old data", "b3sum", seconds=0.2)
    sheet.add(f"{case}: loopback", CURL, seconds=2.0, received=1000e6)
    sheet.add(f"{case}: seed", "xdelta3", received=100e6)
    sheet.add(f"{case}: seed", PLAIN, received=108e6, sent=2e6)
    sheet.add(f"{case}: seed", DELTAS, received=99e6, sent=4e6, manifest=3200, new_chunks=100)
    sheet.add(f"{case}: cold", CASYNC, seconds=12.0)
    sheet.add(f"{case}: cold", OURS, seconds=3.0)
    sheet.add(f"{case}: cold", CURL, seconds=4.0)
    return {"transfer": sheet}


@pytest.mark.parametrize("target", list(targets()), ids=lambda target: target.what)
def test_a_target_without_a_measurement_is_neither_met_nor_missed(target: Target) -> None:
    assert target.value({}) is None
    assert target.met({}) is None
    assert target.met({name: Sheet(name) for name in ("prepare", "transfer", "small")}) is None


@pytest.mark.parametrize(
    ("beginning", "value", "met"),
    [
        ("cold pull: faster than casync", 4.0, True),
        ("cold pull: time", 0.75, False),
        ("delta pull in place", 1.4 / (0.2 + 0.2 + 0.3), True),
        ("bytes, plain chunks, vm, updated in", 1.1, True),
        ("bytes, deltas, vm, updated in", 1.03, False),
        ("manifest bytes with deltas, vm, updated in", 1.0, True),
    ],
)
def test_ratios_of_pulls(beginning: str, value: float, met: bool) -> None:
    target = _target(beginning)
    assert target.value(_transfer()) == pytest.approx(value)
    assert target.met(_transfer()) is met


def test_a_download_is_compared_with_the_faster_one_of_its_peers() -> None:
    sheet = Sheet("downloads")
    files = "200 files of 5 MB"
    sheet.add(f"new: {files}", OURS, seconds=3.0)
    sheet.add(f"new: {files}", "rclone", seconds=2.0)
    target = _target(f"download, {files}: time")
    assert target.value({"downloads": sheet}) is None, "aria2c could be the faster one"
    sheet.add(f"new: {files}", "aria2c", seconds=2.5)
    assert target.value({"downloads": sheet}) == 1.5
    assert target.met({"downloads": sheet}) is False


def test_the_cpu_of_a_download_is_compared_with_preparing_the_same_bytes() -> None:
    sheet = Sheet("downloads")
    files = "200 files of 5 MB"
    sheet.add(f"new: {files}", OURS, seconds=9.0, cpu=3.0)
    target = _target(f"download, {files}: CPU")
    assert target.value({"downloads": sheet}) is None
    sheet.add(f"new: {files}", LOCAL, seconds=1.0, cpu=2.5)
    assert target.value({"downloads": sheet}) == 1.2
    assert target.met({"downloads": sheet}) is False


def test_a_download_of_nothing_new_is_compared_with_rclone() -> None:
    sheet = Sheet("downloads")
    files = "20,000 files of 20 KB"
    sheet.add(f"again: {files}", OURS, seconds=0.5)
    sheet.add(f"again: {files}", "rclone", seconds=2.0)
    target = _target(f"download, {files}, nothing new")
    assert target.value({"downloads": sheet}) == 0.25
    assert target.met({"downloads": sheet})


def test_cpu_and_memory_of_downloads_are_shown_as_ratios() -> None:
    sheet = Sheet("downloads")
    sheet.add("new", OURS, seconds=2.0, cpu=4.0, memory=100 << 20)
    sheet.add("new", "rclone", seconds=1.0, cpu=1.0, memory=75 << 20)
    text = render({"downloads": sheet}, {}, "")
    assert "| | time, of ours | CPU, of ours | memory, of ours | s | CPU s | memory MiB |" in text
    assert "| rclone | 0.50 | 0.25 | 0.75 | 1.00 | 1.00 | 75 |" in text


def test_memory_is_compared_with_a_bound_and_with_itself() -> None:
    sheet = Sheet("sizes")
    for gib, memory in ((1, 200 << 20), (8, 210 << 20)):
        sheet.add(f"prepare: {gib} GiB", OURS, memory=memory)
    assert _target("memory of prepare, 8").value({"sizes": sheet}) == 210
    assert _target("memory of prepare: 8").met({"sizes": sheet})
    assert _target("memory of pull, 8").met({"sizes": sheet}) is None


def test_the_start_up_time_is_subtracted_for_small_inputs() -> None:
    sheet = Sheet("small")
    sheet.add("small: start-up", OURS, seconds=0.25)
    sheet.add("small: 1 KiB", OURS, seconds=0.375)
    target = _target("prepare, 1 KiB: beyond")
    assert target.value({"small": sheet}) == 0.125
    assert target.met({"small": sheet}) is False


def test_the_document_says_what_was_met_missed_and_not_measured() -> None:
    text = render(_transfer(), {}, "What was tried.")
    assert "| cold pull: faster than casync (C) | ≥ 4.00 x | 4.00 x | met |" in text
    assert "| ≤ 0.50 x | 0.75 x | **missed** |" in text
    assert "| not measured |  |" in text
    assert "What was tried." in text


def test_an_earlier_state_is_shown_for_comparison() -> None:
    was = Sheet("transfer", {"commit": "abc"})
    was.add("vm, updated in place: cold", OURS, seconds=7.5)
    was.add("no longer measured", OURS, seconds=7.5)
    text = render(_transfer(), {"transfer": was}, "")
    assert "| vm, updated in place: cold | 7.50 | 3.00 | 2.50 |" in text
    assert "no longer" not in text


def test_cpu_of_an_earlier_command_counts_both_sides() -> None:
    sheet = Sheet("updates")
    case = "vm, updated in place: cold"
    sheet.add(case, OURS, cpu=2.0, server_cpu=0.8)
    target = _target(f"{case}: CPU")
    assert target.value({"updates": sheet}) is None
    sheet.add(case, BEFORE, cpu=3.0, server_cpu=1.0)
    assert target.value({"updates": sheet}) == pytest.approx(0.7)


def test_deltas_are_compared_with_whole_chunks_on_a_slow_link() -> None:
    sheet = Sheet("slow")
    sheet.add("vm, rebuilt", OURS, seconds=3.9, least_seconds=2.7)
    sheet.add("vm, rebuilt", PLAIN, seconds=4.4, least_seconds=4.0)
    link = "100 Mbit/s, 40 ms, vm, rebuilt"
    assert _target(f"{link}, plain chunks").value({"slow": sheet}) == pytest.approx(1.1)
    assert _target(f"{link}: time with deltas").met({"slow": sheet})

import pytest

from benchmarks.sheet import OURS, Sheet, turns


def _sheet() -> Sheet:
    sheet = Sheet("prepare", {"date": "today"})
    for value in (3.0, 1.0, 2.0):
        sheet.add("new", OURS, seconds=value, stored=None)
    sheet.add("new", "borg", seconds=5.0)
    return sheet


def test_the_median_counts_and_the_extremes_are_kept() -> None:
    sheet = _sheet()
    assert sheet.get("new", OURS, "seconds") == 2.0
    assert sheet.spread("new", OURS, "seconds") == (1.0, 3.0)


def test_a_ratio_is_how_often_ours_fits_into_the_others() -> None:
    assert _sheet().ratio("new", "borg", "seconds") == 2.5


def test_missing_measurements_are_none_and_not_zero() -> None:
    sheet = _sheet()
    assert sheet.get("new", OURS, "stored") is None
    assert sheet.ratio("new", "restic", "seconds") is None
    assert sheet.ratio("known", "borg", "seconds") is None


def test_ours_comes_first_whatever_the_order_of_the_runs() -> None:
    sheet = Sheet("prepare")
    sheet.add("new", "borg", seconds=1.0)
    sheet.add("new", f"{OURS}, plain", seconds=1.0)
    assert sheet.contenders("new") == [f"{OURS}, plain", "borg"]


def test_a_stored_sheet_reads_back_equal() -> None:
    sheet = _sheet()
    sheet.note("a sentence")
    sheet.note("a sentence")
    again = Sheet.from_json(sheet.to_json())
    assert again == sheet
    assert again.notes == ["a sentence"]


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a casync"):
        Sheet.from_json('{"schema": "casync.pull/1"}')


def test_each_contender_is_first_in_some_round() -> None:
    rounds = [turns("abc", number) for number in range(4)]
    assert rounds == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert turns([], 3) == []

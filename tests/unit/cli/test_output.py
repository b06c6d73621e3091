"""Data and messages: where they go, in which form."""

from __future__ import annotations

import io
import json

import pytest
from casync_cli.output import Output
from casync_cli.parsing.raw_options import CommonOptions

EVIL = "\x1b]0;owned\x07[red]x[/red]"
SHOWN = "\\x1b]0;owned\\x07[red]x[/red]"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(5, "gone")


def make(
    *, terminal: bool = False, colour: bool = False, **common: bool
) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    return (
        Output(out, err, CommonOptions(store=None, config=None, **common), colour=colour),
        out,
        err,
    )


def test_programs_get_tabs_and_people_spaces() -> None:
    output, out, _ = make()
    output.row("a", "b c", "")
    assert out.getvalue() == "a\tb c\t\n"
    output, out, _ = make(terminal=True)
    output.row("a", "b c", "")
    assert out.getvalue() == "a  b c\n"


def test_tables_have_exact_values_for_programs() -> None:
    rows = [("length", "2048", "2.00 KiB"), ("id", "x", "x")]
    output, out, _ = make()
    output.table(rows)
    assert out.getvalue() == "length\t2048\nid\tx\n"
    output, out, _ = make(terminal=True)
    output.table(rows)
    assert out.getvalue() == "length:  2.00 KiB\nid:      x\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_data_is_escaped(terminal: bool) -> None:
    output, out, _ = make(terminal=terminal)
    output.row(EVIL)
    assert out.getvalue() == SHOWN + "\n"


def test_messages_and_errors_are_escaped() -> None:
    output, _, err = make()
    output.say(EVIL)
    output.error("remote", EVIL, EVIL, 5)
    output.trace(f"line\n{EVIL}")
    assert err.getvalue() == f"{SHOWN}\ncasync: {SHOWN}. {SHOWN}\nline\n{SHOWN}\n"


def test_documents_are_one_line_of_ascii() -> None:
    output, out, _ = make(json=True)
    output.document("casync.test/1", {"name": EVIL + "\udcff", "list": [{"n": 1}], "none": None})
    assert out.getvalue().isascii()
    assert "\x1b" not in out.getvalue()
    assert json.loads(out.getvalue()) == {
        "schema": "casync.test/1",
        "name": EVIL + "\\xff",
        "list": [{"n": 1}],
        "none": None,
    }


def test_errors_are_json_when_data_is() -> None:
    output, out, err = make(json=True)
    output.error("no-name", "no name x", "Try y.", 9)
    assert out.getvalue() == ""
    assert json.loads(err.getvalue()) == {
        "schema": "casync.error/1",
        "code": "no-name",
        "message": "no name x",
        "next_step": "Try y.",
        "exit_status": 9,
    }


def test_an_error_is_one_sentence_and_its_next_step() -> None:
    output, _, err = make(quiet=True)
    output.error("x", "it failed", "", 1)
    output.error("x", "it failed.", "Try again.", 1)
    assert err.getvalue() == "casync: it failed\ncasync: it failed. Try again.\n"


def test_quiet_drops_messages_and_verbose_adds_details() -> None:
    for common, expected in [
        ({}, "talk\n"),
        ({"verbose": True}, "talk\ndetail\n"),
        ({"quiet": True}, ""),
        ({"quiet": True, "verbose": True}, ""),
    ]:
        output, _, err = make(**common)
        output.say("talk")
        output.detail("detail")
        assert err.getvalue() == expected


def test_colour_is_used_only_on_terminals_that_support_it() -> None:
    output, _, err = make(terminal=True, colour=True)
    output.error("x", "bad", "", 1)
    assert err.getvalue() == "\x1b[31mcasync:\x1b[0m bad\n"
    for terminal, colour in [(True, False), (False, True)]:
        output, _, err = make(terminal=terminal, colour=colour)
        output.error("x", "bad", "", 1)
        assert err.getvalue() == "casync: bad\n"


def test_a_bar_is_removed_for_messages_and_data() -> None:
    output, out, err = make(terminal=True)
    output.bar("50%")
    output.say("note")
    output.row("data")
    assert err.getvalue() == "\r\x1b[K50%\r\x1b[Knote\n50%\r\x1b[K"
    assert out.getvalue() == "data\n"


def test_bars_of_several_lines_are_replaced_together() -> None:
    output, _, err = make(terminal=True)
    output.bar("one\ntwo\nthree")
    output.bar("one\ntwo")
    output.say("note")
    output.bar("")
    parts = err.getvalue().split("\r")
    assert parts == [
        "",
        "\x1b[Kone\ntwo\nthree",
        "\x1b[2A\x1b[Jone\ntwo",
        "\x1b[1A\x1b[Jnote\none\ntwo",
        "\x1b[1A\x1b[J",
    ]


def test_removing_no_bar_writes_nothing() -> None:
    output, _, err = make()
    output.bar("")
    assert err.getvalue() == ""


def test_messages_that_cannot_be_written_are_dropped() -> None:
    output = Output(io.StringIO(), Broken(), CommonOptions())
    output.say("x")
    output.error("x", "x", "", 1)
    output.bar("x")

"""Output of the program: data on stdout, messages on stderr, optionally JSON.

All untrusted text is escaped here, when it is shown.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import BinaryIO, Final, TextIO

from casync.errors import CasyncError
from casync.escape import escape, keep_exact, keep_unicode
from casync_cli.columns import Column, Listing, fold
from casync_cli.parsing.raw_options import CommonOptions
from casync_cli.streams import ClosedPipeError

__all__ = ["Output"]

_RED: Final = "\x1b[31m"
_PLAIN: Final = "\x1b[0m"
_ERASE: Final = "\r\x1b[K"
_ERASE_LINES: Final = "\r\x1b[{above}A\x1b[J"


class Output:
    """The output streams of one command.

    Args:
        stdout: Stream for data. The command fails if data cannot be written.
        stderr: Stream for messages. Failures to write them are ignored.
        common: Options for JSON, quiet and verbose output. They are read at each use, because
            errors may occur before all options are parsed.
        colour: Whether a terminal supports colours.
    """

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        common: CommonOptions,
        *,
        colour: bool = False,
    ) -> None:
        self._common = common
        self._colour = colour
        self._stdout = stdout
        self._stderr = stderr
        self._outlives_reader = False
        self._bar = ""
        self._lock = threading.Lock()

    @property
    def json_mode(self) -> bool:
        """Whether data is written as one JSON document."""
        return self._common.json

    @property
    def to_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self._stdout.isatty()

    @property
    def talks_to_terminal(self) -> bool:
        """Whether stderr is a terminal."""
        return self._stderr.isatty()

    @property
    def bar_columns(self) -> int:
        """Characters of a line on the terminal of stderr."""
        return _size_of(self._stderr).columns

    @property
    def bar_rows(self) -> int:
        """Lines of the terminal of stderr."""
        return _size_of(self._stderr).lines

    @property
    def binary(self) -> BinaryIO:
        """Stdout as a binary stream, for content."""
        return self._stdout.buffer

    def outlive_reader(self) -> None:
        """From now on a reader that closes the pipe ends nothing: what it misses is lost.

        For commands that have more to do, or whose exit status says more than their output.
        """
        self._outlives_reader = True

    def row(self, *fields: str) -> None:
        """Writes a line of data, separated by tabs; by two spaces on a terminal."""
        if self.to_terminal:
            self._write(fold([escape(field) for field in fields], _size_of(self._stdout).columns))
        else:
            self._write("\t".join(map(keep_exact, fields)) + "\n")

    def listing(self, *columns: Column) -> Listing:
        """A listing with these columns."""
        return Listing(
            columns, self._write, _size_of(self._stdout).columns if self.to_terminal else None
        )

    def table(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Writes lines from (label, exact value, value for people); aligned on a terminal."""
        width = max(len(label) for label, _, _ in rows)
        for label, exact, pleasant in rows:
            if self.to_terminal:
                self.row(f"{label}:".ljust(width + 1), pleasant)
            else:
                self.row(label, exact)

    def document(self, schema: str, fields: Mapping[str, object]) -> None:
        """Writes the JSON document of a command. Sizes are integers, times RFC 3339 in UTC."""
        self._write(_encode(schema, fields))

    def document_of_rows(
        self, schema: str, fields: Mapping[str, object], key: str, rows: Iterable[object]
    ) -> None:
        """As `document`, with an array as its last field, whose rows are written as they come.

        Nothing is written if there is an error before the first of them.
        """
        rest = iter(rows)
        first = list(islice(rest, 1))
        head = _encode(schema, fields).rstrip("}\n")
        self._write(f'{head}, "{key}": [')
        for number, row in enumerate(chain(first, rest)):
            self._write((", " if number else "") + json.dumps(_valid_value(row)))
        self._write("]}\n")

    def flush(self) -> None:
        """Flushes the data.

        Raises:
            WriteError: It cannot be written.
            ClosedPipeError: The reader has closed the pipe, and the command does not outlive it.
        """
        with self._to_reader():
            self._stdout.flush()

    def say(self, text: str) -> None:
        """Writes a message, unless -q is given."""
        if not self._common.quiet:
            self._talk(escape(text) + "\n")

    @contextmanager
    def warning_of(self, *kinds: type[CasyncError], about: str = "") -> Iterator[None]:
        """Prints errors of these kinds as warnings, so that the rest is shown.

        Args:
            kinds: The kinds.
            about: What failed. It is named unless the message names it.
        """
        try:
            yield
        except kinds as error:
            is_named = not about or about.rpartition("/")[2] in error.message
            self.say(f"warning: {'' if is_named else f'{about}: '}{error.message}")

    def detail(self, text: str) -> None:
        """Writes a message if -v is given."""
        if self._common.verbose:
            self.say(text)

    def error(self, code: str, message: str, next_step: str, status: int) -> None:
        """Writes an error and its next step as one line."""
        if self.json_mode:
            fields = {
                "code": code,
                "message": message,
                "next_step": next_step or None,
                "exit_status": status,
            }
            self._talk(_encode("casync.error/1", fields))
            return
        label = "casync:"
        if self._colour and self.talks_to_terminal:
            label = f"{_RED}{label}{_PLAIN}"
        sentence = escape(message if not next_step else f"{message.rstrip('.')}. {next_step}")
        self._talk(f"{label} {sentence}\n")

    def trace(self, text: str) -> None:
        """Writes a traceback for --debug, escaped line by line."""
        self._talk("".join(escape(line) + "\n" for line in text.splitlines()))

    def bar(self, text: str) -> None:
        """Replaces the progress bar; an empty text removes it.

        Args:
            text: One or more lines. They must be shorter than those of the terminal, and fewer.
        """
        with self._lock:
            if text or self._bar:
                erase = self._erase()
                self._bar = text
                self._put(erase + text)

    def _talk(self, text: str) -> None:
        with self._lock:
            self._put(f"{self._erase()}{text}{self._bar}" if self._bar else text)

    def _erase(self) -> str:
        above = self._bar.count("\n")
        return _ERASE_LINES.format(above=above) if above else _ERASE

    def _put(self, text: str) -> None:
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except (OSError, ValueError):
            # There is no other stream to report this on.
            return

    def _write(self, text: str) -> None:
        if self._bar:
            self.bar("")
        with self._to_reader():
            self._stdout.write(text)

    @contextmanager
    def _to_reader(self) -> Iterator[None]:
        try:
            yield
        except ClosedPipeError:
            if not self._outlives_reader:
                raise


def _size_of(terminal: TextIO) -> os.terminal_size:
    with suppress(OSError, ValueError):
        # A terminal that does not know its size says 0.
        size = os.get_terminal_size(terminal.fileno())
        if size.columns:
            return size
    return shutil.get_terminal_size()


def _encode(schema: str, fields: Mapping[str, object]) -> str:
    # json.dumps writes ASCII only, so no control character reaches a terminal.
    return json.dumps({"schema": schema, **_valid(fields)}) + "\n"


def _valid(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: _valid_value(value) for name, value in fields.items()}


def _valid_value(value: object) -> object:
    if isinstance(value, str):
        return keep_unicode(value)
    if isinstance(value, Mapping):
        return _valid(value)
    if isinstance(value, list | tuple):
        return [_valid_value(item) for item in value]
    return value

"""Lists what is at an address, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync_cli.columns import Column, moments, sizes
from casync_cli.parsing.times import format_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casync.sources import UrlEntry
    from casync_cli.output import Output

__all__ = ["report_url"]


def report_url(output: Output, address: str, entries: Iterable[UrlEntry], *, long: bool) -> None:
    """Reports the entries of an address: size, with `long` the time, and path.

    Args:
        output: Prints the report.
        address: The address, for messages.
        entries: Its entries.
        long: Whether to show times, too.
    """
    left_out: list[str] = []

    def readable() -> Iterator[UrlEntry]:
        for entry in entries:
            if entry.listed is not None and not entry.listed.is_key:
                left_out.append(entry.path)
                output.say(f"left out: {entry.path}, which is no name")
            else:
                yield entry

    if output.json_mode:
        found = [_fields(entry) for entry in readable()]
        output.document("casync.ls-url/1", {"url": address, "entries": found, "left_out": left_out})
        return
    times = [moments("time")] if long else []
    listing = output.listing(sizes("size"), *times, Column("name"))
    for entry in readable():
        shown = [_time(entry)] if long else []
        listing.row(entry.listed.size if entry.listed else None, *shown, entry.path)


def _time(entry: UrlEntry) -> str | None:
    found = entry.listed.validators.last_modified if entry.listed else None
    return None if found is None else format_moment(found // 10**9)


def _fields(entry: UrlEntry) -> dict[str, object]:
    listed = entry.listed
    return {
        "path": entry.path,
        "kind": "folder" if listed is None else "file",
        "size": None if listed is None else listed.size,
        "modified": _time(entry),
        "etag": (listed.validators.etag or None) if listed else None,
    }

"""Lists of objects to download, read entry by entry; the first byte says which kind it is.

::

    ["a/x.tar", "https://host/y.tar"]                   a JSON array
    {"set/x.tar": "https://host/y.tar"}                 a JSON object from names to addresses
    {"url": "a/x.tar", "sha256": "…", "size": 5}        one JSON object on each line
    https://host/y.tar,set/x.tar                        CSV: an address, and a name if there is one

An array may also hold objects. They have `url`, and may have `name`, `size`, `headers` (an object)
and checksums in hex or base64: `blake3`, `sha256`, `sha512`, `sha1`, `md5`, `crc32c` and `crc32`.
Any other field is refused: it may be a checksum that is spelled in another way.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Annotated, Final, NamedTuple

import msgspec

from casync.errors import UsageError
from casync.jobs.checksum import Checksum, parse_checksum
from casync.limits import MAX_LIST_ENTRY

__all__ = ["ListedItem", "read_object_list"]

_ALGORITHMS: Final = ("blake3", "sha256", "sha512", "sha1", "md5", "crc32c", "crc32")
_BOM: Final = codecs.BOM_UTF8
_SPACE: Final = b" \t\r\n"
_OUTSIDE: Final = re.compile(rb'["\[\]{},]')
_IN_STRING: Final = re.compile(rb'\\.|"', re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class ListedItem(NamedTuple):
    """An entry of a list.

    Attributes:
        target: The object's address, or its key relative to the source of the job.
        name: The name that it shall have below the destination, or None.
        size: Its size in bytes, or None.
        checksums: What its bytes must have.
        headers: Header fields of its requests. Secret.
    """

    target: str
    name: str | None = None
    size: int | None = None
    checksums: tuple[Checksum, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    name: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    blake3: str | None = None
    sha256: str | None = None
    sha512: str | None = None
    sha1: str | None = None
    md5: str | None = None
    crc32c: str | None = None
    crc32: str | None = None
    headers: dict[str, str] | None = None


_FIELDS: Final = _Entry.__struct_fields__
_ELEMENT: Final = msgspec.json.Decoder(str | _Entry)
_PAIR: Final = msgspec.json.Decoder(dict[str, str])
_ANY_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_object_list(blocks: Iterable[bytes]) -> Iterator[ListedItem]:
    """Reads a list of objects. Of the list only the entry at hand is in memory.

    Args:
        blocks: The bytes of the list, in blocks of any size.

    Raises:
        UsageError: The list is malformed, or ends early. The entries before are good; do nothing
            with them until the list has ended.
    """
    for number, entry in enumerate(_entries(_after_space(blocks)), 1):
        try:
            yield _item(entry)
        except UsageError as error:
            raise UsageError(f"entry {number} of the object list is not valid: {error}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(
                f"entry {number} of the object list is {_expected(entry)}",
                next_step='Write {"url": "ADDRESS", "name": "NAME"}, or the address as text.',
            ) from error


def _entries(blocks: Iterator[bytes]) -> Iterator[bytes | list[str] | _Pair]:
    """The entries, not yet decoded."""
    first = next(blocks, b"")
    if first[:1] == b"[":
        yield from _members(chain([first[1:]], blocks), b"]")
    elif first[:1] == b"{":
        line, blocks = _first_line(first, blocks)
        if _is_entry(line):
            yield from _lines(blocks)
        else:
            opened = next(blocks)
            for member in _members(chain([opened[1:]], blocks), b"}"):
                yield _Pair(member)
    else:
        yield from _rows(chain([first], blocks))


class _Pair(NamedTuple):
    """A name and an address, as they are in a JSON object."""

    data: bytes


def _item(entry: bytes | list[str] | _Pair) -> ListedItem:
    if isinstance(entry, _Pair):
        pairs = _PAIR.decode(b"{" + entry.data + b"}")
        if len(pairs) != 1:
            raise UsageError("a name and an address are missing")
        ((name, target),) = pairs.items()
        return _checked(ListedItem(target, name))
    if isinstance(entry, list):
        name_of_row = entry[1].strip() if entry[1:] else None
        return _checked(ListedItem(entry[0].strip(), name_of_row))
    found = _ELEMENT.decode(entry)
    if isinstance(found, str):
        return _checked(ListedItem(found))
    checksums = []
    for algorithm in _ALGORITHMS:
        if (text := getattr(found, algorithm)) is not None:
            checksum = parse_checksum(algorithm, text)
            if checksum is None:
                raise UsageError(f"{text} is not the {algorithm} of an object")
            checksums.append(checksum)
    headers = tuple((found.headers or {}).items())
    return _checked(ListedItem(found.url, found.name, found.size, tuple(checksums), headers))


def _expected(entry: bytes | list[str] | _Pair) -> str:
    """What an entry that cannot be decoded should have been."""
    if isinstance(entry, _Pair):
        return "not a name and an address, both text"
    if isinstance(entry, list):
        return "not an address and a name"
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        unknown = [repr(key) for key in _ANY_OBJECT.decode(entry) if key not in _FIELDS]
        if unknown:
            return f"an object with the unknown field {unknown[0]}; fields are {', '.join(_FIELDS)}"
    return "neither an address nor an object with `url` whose fields have their types"


def _checked(item: ListedItem) -> ListedItem:
    if not item.target or item.name == "":
        raise UsageError("an address or a name is empty")
    texts = (item.target, item.name or "", *chain.from_iterable(item.headers))
    if any(_CONTROL.search(text) for text in texts):
        raise UsageError("a text has control characters")
    return item


def _after_space(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks from the first byte that is not white space, without a mark of byte order."""
    found, begun = b"", False
    for block in blocks:
        if begun:
            yield block
            continue
        found += block
        if len(found) < len(_BOM) and _BOM.startswith(found):
            continue
        found = found.removeprefix(_BOM).lstrip(_SPACE)
        if found:
            begun = True
            yield found
    if not begun and found:
        yield found


def _members(blocks: Iterable[bytes], close: bytes) -> Iterator[bytes]:
    """The members of a JSON array or object, as they are written.

    Args:
        blocks: The bytes after its opening bracket.
        close: Its closing bracket.
    """
    data, at, start, depth, quoted, many, closed = b"", 0, 0, 0, False, False, False
    for block in blocks:
        data, at, start = data[start:] + block, at - start, 0
        if closed:
            at = len(data)
        while not closed and (found := (_IN_STRING if quoted else _OUTSIDE).search(data, at)):
            token, at = found[0], found.end()
            if quoted:
                quoted = token != b'"'
            elif token == b'"':
                quoted = True
            elif token in b"[{":
                depth += 1
            elif depth and token in b"]}":
                depth -= 1
            elif not depth:
                closed = token != b","
                if closed and token != close:
                    raise UsageError("the object list has a wrong bracket")
                member = data[start : found.start()]
                start = at
                if many or not closed or member.strip(_SPACE):
                    yield member
                many = True
        if closed:
            if data[at:].strip(_SPACE):
                raise UsageError("the object list goes on after its end")
            start = at = len(data)
        elif quoted and at < len(data) and data.endswith(b"\\"):
            at = len(data) - 1  # what it escapes is in the next block
        else:
            at = len(data)
        if len(data) - start > MAX_LIST_ENTRY:
            raise _too_long()
    if not closed:
        raise UsageError(
            "the object list ends early", next_step="Copy it again; it may be cut off."
        )


def _first_line(first: bytes, blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first line, if it is not too long to be an entry, and all blocks again."""
    while b"\n" not in first and len(first) <= MAX_LIST_ENTRY:
        block = next(blocks, None)
        if block is None:
            break
        first += block
    return first.partition(b"\n")[0], chain([first], blocks)


def _is_entry(line: bytes) -> bool:
    """Whether a line is an object with `url`, rather than the beginning of a map of names."""
    try:
        fields = _ANY_OBJECT.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return "url" in fields


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that are not blank."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from filter(bytes.strip, lines)
        if len(rest) > MAX_LIST_ENTRY:
            raise _too_long()
    if rest.strip():
        yield rest


def _rows(blocks: Iterable[bytes]) -> Iterator[list[str]]:
    """The rows of a CSV list, of one or two columns."""
    try:
        for row in csv.reader(_text_lines(blocks), strict=True):
            if not any(row):
                continue
            if len(row) > 2:
                raise UsageError(
                    "the object list has a row of more than an address and a name",
                    next_step='Write an address with a comma in quotes: "https://host/a,b".',
                )
            yield row
    except csv.Error as error:
        raise UsageError(f"the object list is not valid CSV: {error}") from error


def _text_lines(blocks: Iterable[bytes]) -> Iterator[str]:
    for line in _lines(blocks):
        try:
            yield line.decode() + "\n"
        except UnicodeDecodeError as error:
            raise UsageError(
                "the object list is not UTF-8",
                next_step="Write it in UTF-8; decompress one that is compressed.",
            ) from error


def _too_long() -> UsageError:
    return UsageError(f"an entry of the object list has more than {MAX_LIST_ENTRY} bytes")

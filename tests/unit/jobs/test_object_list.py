"""Lists of objects to download."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from casync.errors import UsageError
from casync.jobs.checksum import Checksum
from casync.jobs.object_list import ListedItem, read_object_list
from casync.limits import MAX_LIST_ENTRY

MD5 = Checksum("md5", bytes(range(16)))
SHA = Checksum("sha256", bytes(range(32)))


def read(text: str | bytes) -> list[ListedItem]:
    return list(read_object_list([text.encode() if isinstance(text, str) else text]))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        # JSON arrays
        ('["a/x.tar", "https://h/y?z=[1,2]"]', [("a/x.tar",), ("https://h/y?z=[1,2]",)]),
        ("[]", []),
        (" \n[ ]\n", []),
        (r'["a\"\\", "\u00e9,]"]', [('a"\\',), ("é,]",)]),
        ('[{"url": "a", "size": 5}, "b"]', [("a", None, 5), ("b",)]),
        ('\ufeff["a"]', [("a",)]),
        # JSON objects from names to addresses
        ('{"n/x": "https://h/y", "m": "z"}', [("https://h/y", "n/x"), ("z", "m")]),
        ('{\n  "a,}": "b"\n}\n', [("b", "a,}")]),
        ("{}", []),
        # objects line by line
        ('{"url": "a"}', [("a",)]),
        ('{"url": "a"}\n\n{"url": "b", "name": "n", "size": 0}\n', [("a",), ("b", "n", 0)]),
        (
            f'{{"url": "a", "md5": "{MD5.digest.hex()}", "sha256": "{SHA.digest.hex()}"}}',
            [("a", None, None, (SHA, MD5))],
        ),
        (
            '{"url": "a", "md5": "AAECAwQFBgcICQoLDA0ODw==", "headers": {"Cookie": "x"}}',
            [("a", None, None, (MD5,), (("Cookie", "x"),))],
        ),
        ('{"url": "a", "name": null}\r\n', [("a",)]),
        # CSV
        (
            "https://h/a,n/a\nhttps://h/b , n/b\r\n",
            [("https://h/a", "n/a"), ("https://h/b", "n/b")],
        ),
        ("https://h/a\n\nhttps://h/b", [("https://h/a",), ("https://h/b",)]),
        ('"https://h/a,b","n, m"\n', [("https://h/a,b", "n, m")]),
        ("", []),
        (" \n", []),
    ],
)
def test_each_kind_of_list_is_recognised_by_its_beginning(
    text: str, items: list[tuple[object, ...]]
) -> None:
    """D7."""
    assert read(text) == [ListedItem(*item) for item in items]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "[",
        '["a"',
        '["a",',
        '["a",]',
        "[,]",
        '["a" "b"]',
        '["a"] ["b"]',
        '["a"]x',
        '["a"}',
        "[1]",
        "[null]",
        '[["a"]]',
        '[""]',
        '["a\\nb"]',
        '[{"name": "a"}]',
        '[{"url": "a", "size": -1}]',
        '[{"url": "a", "md5": "00"}]',
        '[{"url": "a", "headers": {"A": "b\\r\\nC: d"}}]',
        '{"url": "a", "x": 1}',
        '{"url": "a", "Name": "n"}',
        '[{"url": "a", "sha-256": "00"}]',
        '{"a": 1}',
        '{"a": {"b": "c"}}',
        '{"a": "b"',
        '{"a": "b"]',
        "{,}",
        '{"": "b"}',
        '{"url": "a"}\n{"name": "b"}',
        '{"url": "a"}\n[',
        '{"url": 1}',
        "a,b,c\n",
        "a,\n",
        ",b\n",
        '"a\n',
        "a\x00b\n",
        b"\xff\n",
        b'["\xff"]',
        "[" * 100_000,
        '[{"url":' + "[" * 100_000,
    ],
)
def test_lists_that_are_malformed_or_end_early_are_refused(text: str | bytes) -> None:
    with pytest.raises(UsageError):
        read(text)


@pytest.mark.parametrize("text", ['["{}', '{{"a": "{}', '{{"url": "a"}}\n{{"url": "{}', "a\nb{}"])
def test_an_entry_has_a_bound(text: str) -> None:
    blocks = [text.format("x" * MAX_LIST_ENTRY).encode(), b"x" * 10]
    with pytest.raises(UsageError, match="more than"):
        list(read_object_list(blocks))


def test_errors_say_which_entry() -> None:
    with pytest.raises(UsageError, match="entry 3 of the object list"):
        read('["a", "b", 5]')


def test_errors_name_the_field_that_is_unknown_and_those_that_are_known() -> None:
    """A checksum that is spelled in another way must not go unchecked."""
    with pytest.raises(UsageError, match=r"entry 2 .*'sha-256'.* sha256, ") as caught:
        read('{"url": "a"}\n{"url": "b", "sha-256": "00"}')
    assert "url, name, size, blake3" in caught.value.message


def test_a_comma_in_an_address_must_be_quoted() -> None:
    with pytest.raises(UsageError) as caught:
        read("https://h/a,b,n\n")
    assert '"https://host/a,b"' in caught.value.next_step


def array() -> Iterator[bytes]:
    yield b"["
    yield from (b'"https://host/%d",' % number for number in range(50_000))
    yield b'"last"]'


def pairs() -> Iterator[bytes]:
    yield b"{\n"
    yield from (b'"name/%d": "https://host/%d",' % (number, number) for number in range(50_000))
    yield b'"last": "last"}'


def lines() -> Iterator[bytes]:
    yield from (b'{"url": "https://host/%d"}\n' % number for number in range(50_000))
    yield b'{"url": "last"}'


def rows() -> Iterator[bytes]:
    yield from (b"https://host/%d,name/%d\n" % (number, number) for number in range(50_000))
    yield b"last,last"


@pytest.mark.parametrize("blocks", [array, pairs, lines, rows])
def test_a_long_list_is_never_whole_in_memory(
    blocks: Callable[[], Iterator[bytes]],
) -> None:
    tracemalloc.start()
    try:
        count = 0
        for item in read_object_list(blocks()):
            count += 1
            last = item
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (count, last.target) == (50_001, "last")
    assert peak < 1 << 20

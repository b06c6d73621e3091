"""The grammar of templates."""

from __future__ import annotations

from itertools import islice
from typing import TypeAlias

import pytest

from casync.errors import UsageError
from casync.jobs.address import parse_address
from casync.jobs.template import (
    Template,
    TemplateRange,
    address_template,
    parse_template,
)

Row: TypeAlias = tuple[str, str, list[tuple[int, int, int, int, str]]]
ENDLESS = 2**63 - 2

FORMATS: list[Row] = [
    ("%d", "", [(0, ENDLESS, 1, 0, "")]),
    ("prefix-%d", "prefix-", [(0, ENDLESS, 1, 0, "")]),
    ("prefix-%d-suffix", "prefix-", [(0, ENDLESS, 1, 0, "-suffix")]),
    ("prefix-%00d-suffix", "prefix-", [(0, ENDLESS, 1, 0, "-suffix")]),
    ("prefix-%06d-suffix", "prefix-", [(0, ENDLESS, 1, 6, "-suffix")]),
    ("prefix-%0152d-suffix", "prefix-", [(0, ENDLESS, 1, 152, "-suffix")]),
]
BRACES: list[Row] = [
    ("prefix-{0010..0111..2}-suffix", "prefix-", [(10, 111, 2, 4, "-suffix")]),
    ("prefix-{0010..0111}", "prefix-", [(10, 111, 1, 4, "")]),
    ("{1..2}", "", [(1, 2, 1, 1, "")]),
    ("{110..220..10}", "", [(110, 220, 10, 3, "")]),
    ("{1..02}", "", [(1, 2, 1, 1, "")]),
    ("{1..02}}", "", [(1, 2, 1, 1, "}")]),
    ("{0022..0140}", "", [(22, 140, 1, 4, "")]),
    ("{0..100}", "", [(0, 100, 1, 1, "")]),
    ("{01..100}", "", [(1, 100, 1, 2, "")]),
    ("{1..2..3}", "", [(1, 2, 3, 1, "")]),
    ("{7..7}", "", [(7, 7, 1, 1, "")]),
    (
        "prefix-{0010..0111..2}-gap-{10..12}-gap2-{0040..0099..4}-suffix",
        "prefix-",
        [(10, 111, 2, 4, "-gap-"), (10, 12, 1, 2, "-gap2-"), (40, 99, 4, 4, "-suffix")],
    ),
]
ATS: list[Row] = [
    ("prefix-@010-suffix", "prefix-", [(0, 10, 1, 3, "-suffix")]),
    ("pref@9", "pref", [(0, 9, 1, 1, "")]),
    ("@0010", "", [(0, 10, 1, 4, "")]),
    ("pref@9-gap-@0100-suffix", "pref", [(0, 9, 1, 1, "-gap-"), (0, 100, 1, 4, "-suffix")]),
]


def template(row: Row) -> Template:
    return Template(row[1], tuple(TemplateRange(*part) for part in row[2]))


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row[0])
def test_format_templates(row: Row) -> None:
    """D3: `%06d`."""
    assert parse_template(row[0]) == template(row)
    assert parse_template(row[0]).is_endless


@pytest.mark.parametrize("row", BRACES, ids=lambda row: row[0])
def test_brace_templates(row: Row) -> None:
    """D3: several ranges, steps, widths."""
    assert parse_template(row[0]) == template(row)
    assert not parse_template(row[0]).is_endless


@pytest.mark.parametrize("row", ATS, ids=lambda row: row[0])
def test_at_templates(row: Row) -> None:
    """D3: `@100`."""
    assert parse_template(row[0]) == template(row)


@pytest.mark.parametrize(
    "text",
    [
        "prefix-%06-suffix",
        "prefix-d%06-suffix",
        "prefix-%0-6d-suffix",
        "prefix-%0d-suffix",
        "prefix-%6d-suffix",
        "%0999999999999d",
    ],
)
def test_what_is_not_a_format_template(text: str) -> None:
    with pytest.raises(UsageError):
        parse_template(text)


@pytest.mark.parametrize(
    "text",
    [
        "prefix-0010..0111..2}-suffix",
        "prefix-{001..009-suffix",
        "prefix-{002..001}-suffix",
        "prefix-{-001..009}-suffix",
        "prefix-{001..009..-1}-suffix",
        "prefix-{001..009..0}-suffix",
        "prefix-{0010..0111..2s}-suffix",
        "prefix-{0010..0111s..2}-suffix",
        "prefix-{0010s..0111..2}-suffix",
        "prefix-{00..10..0111..2}-suffix",
        "prefix-{010..}-suffix",
        "prefix-{..009}-suffix",
        "prefix-{..}-suffix",
        "prefix-{}-suffix",
        "{}",
        "{{}}",
        "{{1..2}}",
        "{1..2{3..4}}",
        "{1..2}}{3..4}",
        "}{1..2}",
        "}",
        "{",
        "{+1..2}",
        "{\u0661..\u0662}",
        "{1..9223372036854775808}",
        f"{{0..{'9' * 5000}}}",
        "{0..9223372036854775807}",
        "{0..99999999999}{0..99999999999}",
    ],
)
def test_what_is_not_a_brace_template(text: str) -> None:
    """Nor is it taken for a plain text."""
    with pytest.raises(UsageError):
        parse_template(text)


@pytest.mark.parametrize("text", ["prefix-@-0001-suffix", "prefix-@@0010-suffix", "prefix-@d@0010"])
def test_what_is_not_an_at_template(text: str) -> None:
    with pytest.raises(UsageError):
        parse_template(text)


@pytest.mark.parametrize(
    "text",
    ["p-06d-s", "p-01-s", "p-%06d-%", "p-%%06d-s", "p-%06d-%06d"],
)
def test_what_has_no_range_is_a_plain_text(text: str) -> None:
    assert list(parse_template(text)) == [text]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{a,b}", "choice of words"), ("{a..z}", "range of letters"), ("x{1..3", "brace is missing")],
)
def test_messages_say_what_to_write_instead(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_template(text)
    assert r"\{" in caught.value.next_step


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("prefix-{0010..0013..2}-suffix", ["prefix-0010-suffix", "prefix-0012-suffix"]),
        (
            "p-{0010..0013..2}-gap-{1..2}-s",
            ["p-0010-gap-1-s", "p-0010-gap-2-s", "p-0012-gap-1-s", "p-0012-gap-2-s"],
        ),
        ("p-{0010..0013..2}-gap-{1..2..3}-s", ["p-0010-gap-1-s", "p-0012-gap-1-s"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{08..10}", ["08", "09", "10"]),
        ("plain", ["plain"]),
        ("x@2", ["x0", "x1", "x2"]),
    ],
)
def test_the_last_range_changes_fastest(text: str, texts: list[str]) -> None:
    made = parse_template(text)
    assert list(made) == texts
    assert len(made) == len(texts)
    assert [made[index] for index in range(len(made))] == texts
    for index in (-1, len(made)):
        with pytest.raises(IndexError):
            made[index]


def test_ten_million_texts_cost_nothing_until_they_are_asked_for() -> None:
    made = parse_template("shard-{0000000..9999999}.tar")
    assert len(made) == 10_000_000
    assert made[1_234_567] == "shard-1234567.tar"
    endless = parse_template("%06d")
    assert len(endless) == 2**63 - 1
    assert list(islice(endless, 2)) == ["000000", "000001"]
    assert endless[len(endless) - 1] == str(2**63 - 2)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"a\{b\}", "a{b}"),
        (r"me\@10", "me@10"),
        (r"50\%d", "50%d"),
        (r"C:\dir", r"C:\dir"),
        ("a%20b%20c", "a%20b%20c"),
    ],
)
def test_escaped_characters_are_themselves(text: str, plain: str) -> None:
    assert list(parse_template(text)) == [plain]


def test_escapes_stand_beside_ranges() -> None:
    assert list(parse_template(r"\{{1..2}\}@")) == ["{1}@", "{2}@"]


@pytest.mark.parametrize("text", ["", "a\0{1..2}"])
def test_texts_without_a_meaning_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_template(text)


@pytest.mark.parametrize(
    ("address", "count", "first"),
    [
        ("gs://b/imagenet/{0..9}.tgz", 10, "gs://b/imagenet/0.tgz"),
        ("http://h{1..3}/a/shard-{000..010}.tar", 33, "http://h1/a/shard-000.tar"),
        ("http://h/a?part={1..3}", 3, "http://h/a?part=1"),
        ("http://h/shard-@100.tar", 101, "http://h/shard-000.tar"),
        ("http://h/@010/@20", 231, "http://h/000/00"),
        ("http://h/shard-%06d.tar", 2**63 - 1, "http://h/shard-000000.tar"),
        ("http://h/shard-%d", 2**63 - 1, "http://h/shard-0"),
        ("h.org/shard-@10.tar", 11, "https://h.org/shard-00.tar"),
        ("/data/shard-@10.tar", 11, "/data/shard-00.tar"),
        # What looks like a range and is something else:
        ("http://me@10.0.0.1/a", 1, "http://me@10.0.0.1/a"),
        ("http://me:w@10/a", 1, "http://me:w@10/a"),
        ("http://h", 1, "http://h"),
        ("http://h/react@18.2.0/a.js", 1, "http://h/react@18.2.0/a.js"),
        ("http://h/react@18/a.js", 1, "http://h/react@18/a.js"),
        ("http://h/icon@2x.png", 1, "http://h/icon@2x.png"),
        ("http://h/icon@12x.png", 1, "http://h/icon@12x.png"),
        ("http://h/%d0%b0%da", 1, "http://h/%d0%b0%da"),
        ("http://h/a%20b%2Fc?x=%2B", 1, "http://h/a%20b%2Fc?x=%2B"),
        ("http://h/\\{id\\}", 1, "http://h/{id}"),
        ("http://h/a\\@100", 1, "http://h/a@100"),
    ],
)
def test_addresses_are_templates_only_where_they_look_like_one(
    address: str, count: int, first: str
) -> None:
    """D3: the bytes of any other address stay as they are."""
    made = address_template(parse_address(address))
    assert (len(made), made[0]) == (count, first)


@pytest.mark.parametrize("address", ["http://h/{id}", "http://h/a}", "http://h/%06d/%06d"])
def test_addresses_with_half_a_range_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        address_template(parse_address(address))


def test_messages_have_no_secrets_of_an_address() -> None:
    with pytest.raises(UsageError) as caught:
        address_template(parse_address("http://me:word@h/{a}?sig=secret"))
    assert "word" not in caught.value.message
    assert "secret" not in caught.value.message

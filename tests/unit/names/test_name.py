"""Names and refs."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.ids import manifest_id
from casync.limits import MAX_NAME_BYTES, MAX_NAME_COMPONENT
from casync.names.name import Ref, escape_name, parse_name, parse_ref

HASH = manifest_id(b"m")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "ubuntu/24.04",
        "Ünïcode/日本",
        "with space",
        "...",
        "a/job",
        "jobs/1",
        "--",
        "-a",
        "deadbee",  # seven digits
        "f" * 65,
        "deadbeef/x",
        "é" * 127 + "x",
        "/".join(["x" * MAX_NAME_COMPONENT] * 4),
    ],
)
def test_names(text: str) -> None:
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        "-",
        "a/-",
        "a:b",
        "a@1",
        "a\\b",
        "a\nb",
        "a\x00",
        "a\x7f",
        "a\x9b31m",  # a control sequence in one character
        "job",
        "job/1",
        "download",
        "download/x",
        "deadbeef",
        "DEADBEEF",
        "f" * 64,
        "\udcff",
        "x" * (MAX_NAME_COMPONENT + 1),
        "é" * 128,
        "/".join(["x" * 250] * 5),
    ],
)
def test_no_names(text: str) -> None:
    with pytest.raises(UsageError):
        parse_name(text)


def test_the_bound_on_a_whole_name_is_in_bytes() -> None:
    name = "/".join(["é" * 127] * 4) + "/abcd"  # 4 * 254 bytes, 3 slashes, then 5
    assert len(parse_name(name).encode()) == MAX_NAME_BYTES
    with pytest.raises(UsageError, match="at most 1024 bytes"):
        parse_name(name + "x")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("plain/label", "plain/label"),
        ("a%b", "a%25b"),
        ("10:30@home", "10%3A30%40home"),
        ("..", "%2E%2E"),
        ("a/./b", "a/%2E/b"),
        ("a/-", "a/%2D"),
        ("-/a", "%2D/a"),
        ("job/7", "%6A%6F%62/7"),
        ("deadbeef", "%64%65%61%64%62%65%65%66"),
        ("C:\\dir", "C%3A%5Cdir"),
        ("tab\there", "tab%09here"),
        ("\udcff", "%FF"),  # a byte of a file name that is not UTF-8
        ("ä b", "ä b"),
        ("\x85\udcff日", "%C2%85%FF日"),
    ],
)
def test_external_labels_are_escaped(label: str, name: str) -> None:
    assert escape_name(label) == name


@pytest.mark.parametrize("label", ["", "a//b", "/-", "/a", "ä" * 128, "%" * 86, "\ud800"])
def test_labels_that_cannot_become_names_are_refused(label: str) -> None:
    with pytest.raises(UsageError):
        escape_name(label)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        (HASH.hex(), Ref(manifest=HASH)),
        (f"{HASH.hex()}:", Ref(manifest=HASH, path="")),
        (f"{HASH.hex()}:a:b@c", Ref(manifest=HASH, path="a:b@c")),
        ("deadbeef", Ref(prefix="deadbeef")),
        ("d" * 63 + ":x", Ref(prefix="d" * 63, path="x")),
        ("ubuntu/24.04", Ref(name=parse_name("ubuntu/24.04"))),
        ("a@3", Ref(name=parse_name("a"), version=3)),
        ("a@12:etc/passwd", Ref(name=parse_name("a"), version=12, path="etc/passwd")),
        ("deadbee", Ref(name=parse_name("deadbee"))),
    ],
)
def test_refs(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref
    assert str(ref) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":x",
        "@1",
        "a@",
        "a@0",
        "a@01",
        "a@-1",
        "a@1@2",
        "a@٣",
        "a@" + "9" * 19,
        f"{HASH.hex()}@1",
        "deadbeef@1",
        "DEADBEEF",
        HASH.hex().upper(),
    ],
)
def test_no_refs(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ref(text)


@pytest.mark.parametrize("text", ["http://u:secret@host/x.tar", "s3://bucket/key", "casync://h/a"])
def test_an_address_is_no_ref_and_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="an address is given") as caught:
        parse_ref(text)
    assert "casync get URL" in caught.value.next_step
    assert "--server" in caught.value.next_step
    assert "secret" not in str(caught.value)

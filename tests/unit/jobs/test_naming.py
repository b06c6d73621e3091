"""The names that objects get."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.jobs.address import parse_address
from casync.jobs.naming import (
    below_prefix,
    label_template,
    last_label,
    name_below,
    path_label,
    relative_label,
)
from casync.jobs.template import address_template

S3 = parse_address("s3://bucket/")


def labels(text: str, *, flatten: bool = False) -> list[str]:
    address = parse_address(text)
    return list(label_template(address_template(address), address, flatten=flatten))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("http://h/a/b.tar", "b.tar"),
        ("http://h/a/dir%2Ffile", "dir/file"),
        ("http://h/file?a=b", "file"),
        ("http://h/file#x?y", "file"),
        ("http://h/a%20b%C3%A9", "a bé"),
        ("http://h/a+b", "a+b"),
        ("http://h/%ff", "\udcff"),
        ("s3://b/a/file?a=b", "file?a=b"),
        ("s3://b/a/bad%zz", "bad%zz"),
        ("/data/x%20y", "x%20y"),
        ("./x", "x"),
        ("host.org/a/b", "b"),
        ("ais://h:8080/b/o?provider=s3", "o"),
    ],
)
def test_a_single_object_has_its_last_component(text: str, label: str) -> None:
    """D4."""
    assert last_label(parse_address(text)) == label


@pytest.mark.parametrize(
    "text",
    [
        "http://h/..%2Fx",
        "http://h/bad%zz",
        "http://h/a/..",
        "http://h/.",
        "http://h",
        "http://h/",
        "http://h/?a/b",
        "s3://b",
        "s3://b/a/",
        "/data/",
        "http://h/a%2F..",
        "http://h/%",
        ".",
        "/data/..",
    ],
)
def test_objects_without_a_safe_last_component_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        last_label(parse_address(text))


def test_an_object_with_an_address_of_its_own_keeps_its_path() -> None:
    assert path_label(parse_address("http://h:1/a/b%20c?d")) == "a/b c"
    assert path_label(parse_address("s3://b/a//c")) == "a//c"
    assert path_label(parse_address("/data/a")) == "data/a"
    with pytest.raises(UsageError):
        path_label(parse_address("http://h/a/../b"))
    with pytest.raises(UsageError):
        path_label(parse_address("http://h/a/"))


@pytest.mark.parametrize(
    ("base", "target", "label"),
    [
        ("http://h/set", "a/b%20c?d", "a/b c"),
        ("s3://b/set/", "a/../b%20c?d", "a/../b%20c?d"),
        ("/data", "a/b", "a/b"),
    ],
)
def test_an_object_that_is_given_relative_to_a_source_has_its_path(
    base: str, target: str, label: str
) -> None:
    assert relative_label(parse_address(base), target) == label


@pytest.mark.parametrize(
    ("base", "target"), [("http://h/set", "../a"), ("http://h/set", "%2e%2e/a"), ("/data", "../a")]
)
def test_objects_outside_of_their_source_are_refused(base: str, target: str) -> None:
    with pytest.raises(UsageError):
        relative_label(parse_address(base), target)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("http://h/set/shard-{000..140}.tgz", "shard-000.tgz", "shard-140.tgz"),
        ("http://h/a/p{0..1}/b/f{0..9}", "p0/b/f0", "p1/b/f9"),
        ("http://h{1..3}:80/a/b", "h1:80/a/b", "h3:80/a/b"),
        ("http://h/a%20b-{1..2}%2Fc?x=y", "a b-1/c", "a b-2/c"),
        ("http://h/a/{1..2}?x={1..1}", "1", "2"),
        ("s3://b/a%20{1..2}?x", "a%201?x", "a%202?x"),
        ("/data/../a/{1..2}/x", "1/x", "2/x"),
        (".x{1..2}", ".x1", ".x2"),
        (r"http://h/\{a\}-{1..2}", "{a}-1", "{a}-2"),
        ("http://h/plain?x", "plain", "plain"),
    ],
)
def test_labels_begin_with_the_first_component_that_varies(
    text: str, first: str, last: str
) -> None:
    """D3: `{0..1}/f{0..9}` does not collapse to f0 to f9."""
    made = labels(text)
    assert (made[0], made[-1]) == (first, last)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("http://h/a/b{0..0}/f{0..9}.tar", "f0.tar"),
        ("http://h/a/b{0..9}.tar", "b0.tar"),
        ("http://h/a/b%2Fc-{0..9}", "b/c-0"),
        (".x{1..2}", ".x1"),
    ],
)
def test_flat_labels_are_last_components(text: str, first: str) -> None:
    assert labels(text, flatten=True)[0] == first


@pytest.mark.parametrize(
    ("text", "flatten"),
    [
        ("http://h/a/p{0..1}/f{0..9}", True),
        ("http://h{0..1}/f", True),
        ("http://h/a?x={1..2}", False),
        ("http://h/a?{1..2}/{1..2}", False),
        ("http://h/{1..2}#{1..2}", False),
        ("http://h/a{1..2}/", False),
        ("http://me:word@h{1..2}/a", False),
        ("http://h/a%{20..30}", False),
        ("http://h/a%2{0..9}", False),
        ("http://h/{1..2}/../x", False),
        ("http://h/{1..2}%2f%2e%2e", False),
        ("http://h/{1..2}%zz", False),
    ],
)
def test_templates_whose_labels_would_collide_or_escape_are_refused(
    text: str, flatten: bool
) -> None:
    with pytest.raises(UsageError) as caught:
        labels(text, flatten=flatten)
    assert "word" not in caught.value.message


@pytest.mark.parametrize(
    ("prefix", "key", "label"),
    [("", "a/b", "a/b"), ("a/", "a/b", "b"), ("a/b-", "a/b-1/c", "b-1/c"), ("b-", "b-1", "b-1")],
)
def test_listed_objects_have_their_keys_below_the_prefix(prefix: str, key: str, label: str) -> None:
    """D7: a prefix, or a whole bucket."""
    assert below_prefix(prefix, key) == label
    assert below_prefix(prefix, key, flatten=True) == key.split("/")[-1]


@pytest.mark.parametrize("name", ["a%3Ab", "%2e", "100%", "v1", "dé/ü.txt", "a%20b c", "%C3%BC"])
def test_names_of_another_store_stay_what_they_are(name: str) -> None:
    """D2: they are names already, so nothing in them is encoded or decoded."""
    there = parse_address(f"casync://host/set/{name}")
    assert name_below("to/", below_prefix("set/", f"set/{name}"), there) == f"to/{name}"
    last = name.rpartition("/")[2]
    assert name_below("to/", last_label(there), there) == f"to/{last}"


def test_what_cannot_begin_a_name_here_is_encoded_once() -> None:
    there = parse_address("casync://host/set/job/ü")
    assert name_below("", below_prefix("set/", "set/job/ü"), there) == "%6A%6F%62/ü"
    assert name_below("to/", last_label(parse_address("casync://host/vm@3")), there) == "to/vm%403"


@pytest.mark.parametrize(
    ("dest", "label", "name"),
    [
        ("", "a/b", "a/b"),
        ("set/", "a/b", "set/a/b"),
        ("set/", "h1:80/a@2", "set/h1%3A80/a%402"),
        ("", "job/x", "%6A%6F%62/x"),
        ("set/", "job/x", "set/job/x"),
        ("set/", "0123456789abcdef", "set/0123456789abcdef"),
        ("set/", "a//b", "set/a%2F/b"),
        ("set/", "a/", "set/a%2F"),
        ("set/", "/a", "set/%2Fa"),
        ("", "///", "%2F%2F%2F"),
        ("", "job/", "%6A%6F%62%2F"),
        ("set/", "../x", "set/%2E%2E/x"),
        ("set/", "..", "set/%2E%2E"),
    ],
)
def test_labels_become_names_below_the_destination(dest: str, label: str, name: str) -> None:
    """D4: whatever a key holds, it stays below the destination."""
    assert name_below(dest, label) == name


@pytest.mark.parametrize("label", ["", "a" * 256, "a/" * 600 + "b"])
def test_labels_without_a_name_are_refused(label: str) -> None:
    with pytest.raises(UsageError):
        name_below("set/", label)

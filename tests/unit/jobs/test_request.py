"""What a user's request comes to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from casync.errors import NotFoundError, UsageError
from casync.jobs.checksum import Checksum
from casync.jobs.item import Item
from casync.jobs.object_list import ListedItem
from casync.jobs.request import given_items, listing_place, specify
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.validators import Validators

DIGEST = bytes(32)
MD5 = Checksum("md5", bytes(16))


def asked(source: str, dest: str = "") -> JobSpec:
    return JobSpec(source, dest, SourceKind.OBJECT)


@pytest.mark.parametrize(
    ("source", "kind", "kept"),
    [
        ("http://h/a/b.tar", "object", "http://h/a/b.tar"),
        ("http://h/a?b/", "object", "http://h/a?b/"),
        ("h.org/a", "object", "https://h.org/a"),
        (r"http://h/\{a\}", "object", "http://h/{a}"),
        ("/data/x", "object", "/data/x"),
        ("casync://h/vm/1", "object", "casync://h/vm/1"),
        ("http://h/a/", "listing", "http://h/a/"),
        ("http://h/a/?sig=x", "listing", "http://h/a/?sig=x"),
        ("http://h", "listing", "http://h"),
        ("http://h?x", "listing", "http://h?x"),
        ("s3://b", "listing", "s3://b"),
        ("s3://b/", "listing", "s3://b/"),
        ("s3://b/dir/", "listing", "s3://b/dir/"),
        (r"s3://b/\{dir\}/", "listing", "s3://b/{dir}/"),
        ("s3://b/dir/pre-*", "listing", "s3://b/dir/pre-"),
        ("https://h/c/pre*?sv=1&sig=x", "listing", "https://h/c/pre?sv=1&sig=x"),
        ("s3://b/pre*?x", "object", "s3://b/pre*?x"),
        ("/data/", "listing", "/data/"),
        ("gs://b/{0..9}.tgz", "template", "gs://b/{0..9}.tgz"),
        ("http://h/shard-@100", "template", "http://h/shard-@100"),
        ("http://h/%06d", "template", "http://h/%06d"),
    ],
)
def test_an_address_says_what_it_stands_for(source: str, kind: str, kept: str) -> None:
    """D2, D3, D7."""
    spec = specify(asked(source, "set/"))
    assert (spec.kind, spec.source) == (SourceKind(kind), kept)


def test_with_a_list_the_source_is_the_base() -> None:
    spec = specify(asked("http://h/{a}"), DIGEST)
    assert (spec.kind, spec.source) == (SourceKind.LIST, "http://h/{a}")
    assert spec.list_digest == DIGEST


@pytest.mark.parametrize(
    ("source", "dest", "settled"),
    [
        ("http://h/a", "", ""),
        ("http://h/a", "set/", "set/"),
        ("http://h/a", "set/x", "set/x"),
        ("http://h/{1..2}", "set", "set/"),
        ("http://h/{1..2}", "set/", "set/"),
        ("http://h/{1..2}", "", ""),
        ("http://h/a/", "set/x", "set/x/"),
    ],
)
def test_a_destination_is_a_name_only_for_a_single_object(
    source: str, dest: str, settled: str
) -> None:
    """D4."""
    assert specify(asked(source, dest)).dest == settled


def test_a_prefix_and_an_object_are_different_jobs() -> None:
    assert specify(asked("s3://b/a*")).digest != specify(asked("s3://b/a")).digest


@pytest.mark.parametrize(
    ("source", "dest"),
    [
        ("http://h/..", ""),
        ("http://h/a{1..2}/", ""),
        ("http://h/a?{1..2}", ""),
        ("http://h/{1..2}" + "x" * 255, ""),
        ("http://h/{id}", ""),
        ("nothing", ""),
        (".", ""),
    ],
)
def test_sources_whose_objects_have_no_name_are_refused(source: str, dest: str) -> None:
    with pytest.raises(UsageError):
        specify(asked(source, dest))


def test_a_name_may_be_given_where_the_address_has_none() -> None:
    assert specify(asked("http://h/..", "set/x")).dest == "set/x"


@pytest.mark.parametrize("source", ["http://h/a", "http://h/{1..2}"])
def test_only_what_is_listed_can_be_gone_at_the_source(source: str) -> None:
    """D6."""
    with pytest.raises(UsageError):
        specify(replace(asked(source), sync=True))
    with pytest.raises(UsageError):
        specify(replace(asked("http://h/a/"), sync=True), DIGEST)
    assert specify(replace(asked("http://h/a/"), sync=True)).sync


@pytest.mark.parametrize(
    ("source", "folder", "stem"),
    [
        ("http://h", "http://h", ""),
        ("http://h?x", "http://h?x", ""),
        ("http://h/a/", "http://h/a/", ""),
        ("http://h/a/pre*", "http://h/a/", "pre"),
        ("http://h/a/pre*?sig=x/", "http://h/a/?sig=x/", "pre"),
        ("http://h/a/*", "http://h/a/", ""),
        ("s3://b", "s3://b", ""),
        ("s3://b/pre*", "s3://b/", "pre"),
        ("/data/pre*", "/data/", "pre"),
        ("./pre*", "./", "pre"),
        ("/", "/", ""),
        ("http://h/a%20b/pre%20x*", "http://h/a%20b/", "pre x"),
        ("s3://b/a/x-%06d.tar", "s3://b/a/", "x-"),
        ("http://h/a/%06d.tar?sig=x", "http://h/a/?sig=x", ""),
        ("/data/x-%d", "/data/", "x-"),
    ],
)
def test_a_prefix_is_listed_in_its_folder(source: str, folder: str, stem: str) -> None:
    """D7."""
    assert listing_place(specify(asked(source))) == (folder, stem)


def listed(source: str, *entries: ListedItem, **changes: object) -> list[Item]:
    spec = replace(specify(asked(source, "set"), DIGEST), **changes)
    return list(given_items(spec, entries))


@pytest.mark.parametrize(
    ("source", "target", "key", "name"),
    [
        ("http://h/data", "a/x%20y", "http://h/data/a/x%20y", "set/a/x y"),
        ("http://h/data/", "x?b=c", "http://h/data/x?b=c", "set/x"),
        ("http://h/c?sv=1&sig=2", "a/x", "http://h/c/a/x?sv=1&sig=2", "set/a/x"),
        ("http://h", "x", "http://h/x", "set/x"),
        ("h.org/d", "x", "https://h.org/d/x", "set/x"),
        ("s3://b", "a/x?%", "s3://b/a/x?%", "set/a/x?%25"),
        ("s3://b/d/", "a//../x", "s3://b/d/a//../x", "set/a%2F/%2E%2E/x"),
        ("/data", "a/x", "/data/a/x", "set/a/x"),
        ("http://h/data", "https://other/p/q?r", "https://other/p/q?r", "set/p/q"),
        ("http://h/data", "s3://b/p/q", "s3://b/p/q", "set/p/q"),
        # Without a name they fail, each for itself.
        ("http://h/data", "../x", "http://h/data/../x", ""),
        ("http://h/data", "%zz", "http://h/data/%zz", ""),
        ("/data", "../x", "/data/../x", ""),
        ("http://h/data", "x" * 256, "http://h/data/" + "x" * 256, ""),
    ],
)
def test_objects_of_a_list_keep_their_paths(source: str, target: str, key: str, name: str) -> None:
    """D7."""
    assert listed(source, ListedItem(target)) == [Item(key, name, True)]


def test_a_list_may_say_more_about_its_objects() -> None:
    entry = ListedItem("a", "other/n", 5, (MD5,), (("Cookie", "x"),))
    assert listed("http://h/d", entry, flatten=True) == [
        Item(
            "http://h/d/a",
            "set/other/n",
            True,
            5,
            Validators(checksums=(MD5,)),
            (("Cookie", "x"),),
        )
    ]


def test_a_flat_list_takes_last_components() -> None:
    (item,) = listed("http://h/d", ListedItem("a/b/c.tar?x"), flatten=True)
    assert item.name == "set/c.tar"


def test_hosts_share_a_list() -> None:
    entries = [ListedItem(f"{number}") for number in range(7)]
    shares = [listed("http://h", *entries, part=part, shares=3) for part in (1, 2, 3)]
    assert [[item.name for item in share] for share in shares] == [
        ["set/0", "set/3", "set/6"],
        ["set/1", "set/4"],
        ["set/2", "set/5"],
    ]


def test_a_list_with_an_invalid_address_is_refused() -> None:
    with pytest.raises(UsageError):
        listed("http://h", ListedItem("http://"))


def test_an_empty_list_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(NotFoundError, match="the list has no objects"):
        listed("http://h")
    assert listed("http://h", allow_empty=True) == []
    assert listed("http://h", ListedItem("x"), part=2, shares=2) == []


@pytest.mark.parametrize("source", ["http://h", "s3://b/", "./data/"])
def test_an_entry_that_begins_with_a_slash_is_refused(source: str) -> None:
    """D4: relative to a source it would be another object than the one that is meant."""
    spec = specify(asked(source, "set/"), DIGEST)
    entries = [ListedItem("a"), ListedItem("/etc/hostname", "named")]
    with pytest.raises(UsageError, match="/etc/hostname") as raised:
        list(given_items(spec, entries))
    assert raised.value.next_step

"""Items, faults and origins, as stores keep them."""

from __future__ import annotations

import msgspec
import pytest

from casync.errors import MalformedError
from casync.jobs.checksum import Checksum
from casync.jobs.fault import ObjectFault, ObjectFaultKind, decode_fault, encode_fault, status_text
from casync.jobs.item import Item, decode_items, encode_items
from casync.jobs.origin import Origin, decode_origin, encode_origin
from casync.jobs.validators import Validators

ITEMS = [
    Item("a/b", "set/a/b"),
    Item("x:y", "set/x%3Ay", size=0),
    Item("http://h/a?b", "set/a", is_url=True, headers=(("Cookie", "x"),)),
    Item("too long", "", size=5, validators=Validators('"a"', 7)),
]


def test_items_are_read_as_they_were_written() -> None:
    assert decode_items(encode_items(ITEMS)) == ITEMS
    assert decode_items(encode_items([])) == []


@pytest.mark.parametrize("item", [["a", "../b"], ["a", "b", False, -1], ["a"], [1, "b"], "ab"])
def test_items_with_invalid_fields_are_malformed(item: object) -> None:
    with pytest.raises(MalformedError):
        decode_items(msgspec.msgpack.encode([[item]]))


def test_items_that_may_hold_secrets() -> None:
    assert [item.is_secret for item in ITEMS] == [False, False, True, False]
    assert Item("http://me@h/a", "a", is_url=True).is_secret
    assert not Item("http://me@h/a?b", "a").is_secret  # a key of a bucket
    assert not Item("http://h/a", "a", is_url=True).is_secret


def test_faults_are_read_as_they_were_written() -> None:
    """D10: typed, with attempts."""
    text = status_text(404)
    fault = ObjectFault(
        5, "a", "http://h/a?x=***", ObjectFaultKind.HTTP, text, 3, 10, 20, status=404
    )
    assert decode_fault(encode_fault(fault)) == fault
    with pytest.raises(MalformedError):
        decode_fault(encode_fault(fault).replace(b"http\xa7", b"hhhh\xa7"))


def test_statuses_have_the_words_of_the_documents() -> None:
    assert status_text(404) == "request failed with 404 status code (Not Found)"
    assert status_text(599) == "request failed with 599 status code"


def test_origins_are_read_as_they_were_written() -> None:
    validators = Validators('"a"', checksums=(Checksum("md5", bytes(16)),))
    origin = Origin("http://h", "a/b", bytes(32), 5, validators)
    assert decode_origin(encode_origin(origin)) == origin
    with pytest.raises(MalformedError):
        decode_origin(encode_origin(Origin("http://h", "a", b"short", 5)))

"""Whether an object is still the same."""

from __future__ import annotations

import pytest

from casync.jobs.checksum import Checksum
from casync.jobs.validators import NO_VALIDATORS, Sameness, Validators, sameness

MD5 = Checksum("md5", bytes(16))
OTHER_MD5 = Checksum("md5", bytes([1] * 16))
CRC = Checksum("crc32c", bytes(4))
OTHER_CRC = Checksum("crc32c", bytes([1] * 4))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Validators('"a"'), Validators('"a"'), Sameness.SAME),
        (Validators('"0x8D"'), Validators("0x8D"), Sameness.SAME),
        (Validators('"a"'), Validators('"b"'), Sameness.CHANGED),
        (Validators('W/"a"'), Validators('"a"'), Sameness.UNKNOWN),
        (Validators('W/"a"'), Validators('W/"a"'), Sameness.UNKNOWN),
        (Validators('W/"a"'), Validators('"b"'), Sameness.CHANGED),
        (Validators('"a"'), NO_VALIDATORS, Sameness.UNKNOWN),
        (Validators('""'), Validators('""'), Sameness.UNKNOWN),
        (NO_VALIDATORS, NO_VALIDATORS, Sameness.UNKNOWN),
        (Validators(version="7"), Validators(version="7"), Sameness.SAME),
        (Validators(version="7"), Validators(version="8"), Sameness.CHANGED),
        (Validators('"a"', version="7"), Validators('"b"', version="7"), Sameness.SAME),
        (Validators(last_modified=5), Validators(last_modified=5), Sameness.UNKNOWN),
        (Validators(last_modified=5), Validators(last_modified=6), Sameness.UNKNOWN),
        (Validators(checksums=(MD5,)), Validators(checksums=(MD5,)), Sameness.SAME),
        (Validators(checksums=(MD5,)), Validators(checksums=(OTHER_MD5,)), Sameness.CHANGED),
        (Validators(checksums=(CRC,)), Validators(checksums=(CRC,)), Sameness.UNKNOWN),
        (Validators(checksums=(CRC,)), Validators(checksums=(OTHER_CRC,)), Sameness.CHANGED),
        (Validators(checksums=(CRC,)), Validators(checksums=(MD5,)), Sameness.UNKNOWN),
        (
            Validators('"1"', version="1", checksums=(MD5, CRC)),
            Validators('"2"', version="2", checksums=(MD5, CRC)),
            Sameness.SAME,
        ),
        (
            Validators('"1"', checksums=(MD5, CRC)),
            Validators('"1"', checksums=(MD5, OTHER_CRC)),
            Sameness.CHANGED,
        ),
    ],
)
def test_only_a_strong_validator_decides(
    old: Validators, new: Validators, expected: Sameness
) -> None:
    """D11: quotes do not count, times prove nothing, a copy with the same checksum is the same."""
    assert sameness(old, 5, new, 5) is expected
    assert sameness(new, 5, old, 5) is expected


def test_another_size_is_a_change_whatever_the_validators_say() -> None:
    assert sameness(Validators('"a"'), 5, Validators('"a"'), 6) is Sameness.CHANGED
    assert sameness(NO_VALIDATORS, 5, NO_VALIDATORS, 6) is Sameness.CHANGED


@pytest.mark.parametrize(("old", "new"), [(None, 5), (5, None), (None, None)])
def test_nothing_is_the_same_without_its_size(old: int | None, new: int | None) -> None:
    assert sameness(Validators('"a"'), old, Validators('"a"'), new) is Sameness.UNKNOWN
    assert sameness(Validators('"a"'), old, Validators('"b"'), new) is Sameness.CHANGED


def test_tags_are_sent_as_http_writes_them() -> None:
    assert Validators("0x8D").strong_etag == '"0x8D"'
    assert Validators('"0x8D"').strong_etag == '"0x8D"'
    assert Validators('W/"a"').strong_etag == ""
    assert NO_VALIDATORS.strong_etag == ""


def test_only_strong_tags_and_settled_times_resume_an_object() -> None:
    when = 784_111_777 * 10**9 + 5
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert Validators('"a"', when, settled=True).if_range == '"a"'
    assert Validators('W/"a"', when, settled=True).if_range == date
    assert Validators(last_modified=when, settled=True).if_range == date
    assert Validators('W/"a"', when).if_range == ""
    assert Validators(settled=True).if_range == ""


@pytest.mark.parametrize("when", [None, -1, 2**62, 2**80])
def test_times_that_http_cannot_write_are_not_sent(when: int | None) -> None:
    assert Validators(last_modified=when).http_date == ""

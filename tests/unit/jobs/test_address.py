"""Addresses of sources: how they are split, shown and compared."""

from __future__ import annotations

import pytest

from casync.errors import UsageError
from casync.jobs.address import Address, identity, parse_address, redacted
from casync.jobs.naming import address_below, as_sent

PRESIGNED = "https://b.s3.amazonaws.com/a%2Fb+c?X-Amz-Credential=A%2F2&X-Amz-Signature=0%2B"


@pytest.mark.parametrize(
    ("text", "scheme", "rest"),
    [
        ("http://localhost:51061/abc/hello-world", "http", "localhost:51061/abc/hello-world"),
        ("HTTPS://Host/A", "https", "Host/A"),
        ("gs://bucket/imagenet/{0..9}.tgz", "gs", "bucket/imagenet/{0..9}.tgz"),
        ("s3://bucket", "s3", "bucket"),
        ("az://container/a", "az", "container/a"),
        ("hdfs://node:8020/a", "hdfs", "node:8020/a"),
        ("ais://host:8080/bucket/object", "ais", "host:8080/bucket/object"),
        ("casync://host/name", "casync", "host/name"),
        ("file:///a b", "file", "/a b"),
        ("/data/a", "", "/data/a"),
        ("./a", "", "./a"),
        ("../a", "", "../a"),
        (".", "", "."),
        ("storage.googleapis.com/b/o", "https", "storage.googleapis.com/b/o"),
        ("localhost/x", "https", "localhost/x"),
        ("host:8080/x", "https", "host:8080/x"),
        ("10.0.0.1/x", "https", "10.0.0.1/x"),
        ("[::1]:80/x", "https", "[::1]:80/x"),
        ("me@example.com/x", "https", "me@example.com/x"),
    ],
)
def test_sources_are_recognised_by_their_schemes(text: str, scheme: str, rest: str) -> None:
    """D2: no scheme is https, unless the text begins like a path."""
    assert parse_address(text) == Address(scheme, rest)


@pytest.mark.parametrize("text", ["", "a", "images/", "x.tar", "s3://", "a\n", "host:/x", "a.b"])
def test_what_is_neither_url_nor_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize("text", [PRESIGNED, "s3://b/ä ?#%zz", "gs://b/a//b/", "http://h?x#y"])
def test_no_byte_of_an_address_is_changed(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            PRESIGNED,
            "https://b.s3.amazonaws.com/a%2Fb+c?X-Amz-Credential=***&X-Amz-Signature=***",
        ),
        ("http://me:word@host:80/a", "http://***@host:80/a"),
        ("http://me:word@host:80/a@b?c=d", "http://***@b"),
        ("http://me:w/rd@host/a", "http://***@host/a"),
        ("http://me:1/rd@host/a", "http://***@host/a"),
        ("http://me:?@host/a", "http://***@host/a"),
        ("me:w#rd@host.org/a", "***@host.org/a"),
        ("s3://KEY:SEC/RET@bucket/a", "s3://***@bucket/a"),
        ("http://***@host/a@b", "http://***@host/a@b"),
        ("http://me:w@rd@host/", "http://***@host/"),
        ("http://host/a?token", "http://host/a?***"),
        ("http://host/a?#x", "http://host/a?***#***"),
        ("http://host?a=b@c", "http://host?a=***"),
        ("host.org/a?b=c", "host.org/a?b=***"),
        ("me:word@host.org/a", "***@host.org/a"),
        ("s3://KEY:SECRET@bucket/a?b#c", "s3://***@bucket/a?b#c"),
        ("./a?b=c@d", "./a?b=c@d"),
        ("http://host/a b", "http://host/a b"),
    ],
)
def test_what_is_shown_has_no_secrets(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("http://me:word@host/a?b=c#d", "http://host/a?b=c"),
        (PRESIGNED + "&versionId=3", "https://b.s3.amazonaws.com/a%2Fb+c?versionId=3"),
        ("https://h/a?sv=1&sig=x&se=2&snapshot=3", "https://h/a?snapshot=3"),
        ("https://h/a?Expires=1&Signature=2&Key-Pair-Id=3", "https://h/a"),
        ("https://h/a?sp=1&expires=2", "https://h/a?sp=1&expires=2"),
        ("s3://b/a?sig=1", "s3://b/a?sig=1"),
        ("host.org/a", "https://host.org/a"),
        ("/a@b/c?d", ":///a@b/c?d"),
    ],
)
def test_two_ways_to_the_same_object_have_one_identity(text: str, same: str) -> None:
    assert identity(parse_address(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "http://me:word@host/a@b",
        "http://me:w/rd@host/",
        "https://me:w?rd@host/",
        "me:w#rd@host.org/a",
        "http://me:80/rd@host/",
        "http://me:/@host/",
        "casync://me:w/rd@host/name",
        "webhdfs://me:word@host/a@b",
        "s3://KEY:SEC/RET@bucket/a",
    ],
)
def test_an_address_whose_password_may_end_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not clear where the password in") as refused:
        parse_address(text)
    assert "%2F %3F %23 %40" in (refused.value.next_step or "")
    for secret in ("word", "w/", "w?", "w#", "rd@", "80", "SEC", "RET"):
        assert secret not in refused.value.message.replace("password", "")


@pytest.mark.parametrize(
    "text",
    [
        "http://host/a@b",
        "http://host.org:80/a@b?c@d#e@f",
        "http://10.0.0.1:80/a@b",
        "http://localhost:80/a@b",
        "http://[::1]/a@b",
        "http://[::1]:80/a@b",
        "http://me:w@rd@host/a%40b",
        "http://***@host/a@b",
        "casync://host:7001/name@3",
        "ais://host:8080/bucket/a@b",
        "webhdfs://me@host:9870/a@b",
        "s3://bucket/a:b@c/d@e",
        "file:///a:b@c/d@e",
        "/a:b@c/d@e",
    ],
)
def test_an_at_sign_may_be_part_of_a_path(text: str) -> None:
    assert str(parse_address(text)) == text
    assert redacted(text).partition("@")[2] or "***" in redacted(text)


@pytest.mark.parametrize(
    ("folder", "key", "address"),
    [
        ("http://h/a%20b", "c d?/\u00e9\udcff%", "http://h/a%20b/c%20d%3F/%C3%A9%FF%25"),
        ("ais://h/b?provider=aws", "c d", "ais://h/b/c%20d?provider=aws"),
        ("s3://b", "c d?%", "s3://b/c d?%"),
        ("/data://x", "c d?%", "/data://x/c d?%"),
    ],
)
def test_a_key_below_a_folder_has_an_address(folder: str, key: str, address: str) -> None:
    """D2: of a URL in percent-encoding, elsewhere as it is."""
    assert address_below(folder, key) == address


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("http://h/a b\u00e9?x=%20 ", "http://h/a%20b%C3%A9?x=%20%20"),
        ("s3://b/a b\u00e9", "s3://b/a b\u00e9"),
        ("/a b", "/a b"),
    ],
)
def test_an_address_is_shown_as_it_is_sent(text: str, sent: str) -> None:
    """D2."""
    assert as_sent(text) == sent

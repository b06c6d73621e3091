"""Parts of objects of web servers: which answers are believed."""

from __future__ import annotations

import pytest

from casync.errors import (
    RemoteProtocolError,
    UnreachableError,
)
from casync.jobs.validators import Validators
from tests.support.honest_answers import (
    DATA,
    ETAG,
    fails,
    honest,
    read,
    serving,
)
from tests.support.scripted_server import Asked, reply


def test_a_range_is_asked_for_only_with_a_strong_validator() -> None:
    """D11."""
    with serving(honest) as (server, source):
        for same in (
            None,
            Validators(),
            Validators(etag='W/"one"'),
            Validators(last_modified=10**18),
        ):
            answer = source.open("x", 5, 10, same=same)
            assert answer is not None
            with answer:
                assert (answer.start, answer.is_ranged) == (0, False)
        assert all("range" not in asked.fields for asked in server.asked)
        assert read(source, "x", 5, 10) == (5, DATA[5:10])
        settled = Validators(last_modified=784111777 * 10**9, settled=True)
        source.open("x", 5, same=settled)
        assert server.asked[-1].fields["if-range"] == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert server.asked[-1].range == (5, None)


@pytest.mark.parametrize(
    "lie",
    [
        {"status": 200, "Content_Range": "bytes 5-9/1000000"},  # rclone
        {"status": 206, "Content_Range": "bytes 0-4/1000000"},
        {"status": 206, "Content_Range": "bytes */1000000"},
        {"status": 206, "Content_Range": "bytes 5-9"},
        {"status": 206, "Content_Range": "bytes 5-9/1000000"},  # of which version?
        {"status": 206, "Content_Range": "bytes 5-9/1000000", "ETag": '"two"'},
        {"status": 206, "Content_Type": "multipart/byteranges; boundary=x"},
        {"status": 416},
    ],
)
def test_an_answer_that_may_be_of_another_part_is_not_believed(lie: dict[str, object]) -> None:
    def script(asked: Asked) -> bytes:
        fields = {name: str(value) for name, value in lie.items() if name != "status"}
        return (
            reply(int(str(lie["status"])), DATA[5:10], **fields) if asked.range else honest(asked)
        )

    with serving(script) as (_, source):
        assert read(source, "x", 5, 10) == (0, DATA)


def test_a_part_without_its_time_is_of_the_version_that_was_asked_for() -> None:
    settled = Validators(last_modified=784111777 * 10**9, settled=True)
    modified = ["", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"]

    def script(asked: Asked) -> bytes:
        if not asked.range:
            return honest(asked)
        fields = {"Content_Range": "bytes 5-9/1000000"}
        if time := modified.pop(0):
            fields["Last_Modified"] = time
        return reply(206, DATA[5:10], **fields)

    with serving(script) as (_, source):
        starts = []
        while modified:
            answer = source.open("x", 5, 10, same=settled)
            assert answer is not None
            with answer:
                starts.append(answer.start)
    assert starts == [5, 5, 0]


def test_the_rest_of_an_object_ends_where_the_object_ends() -> None:
    """D11: a server may send less than it was asked for."""

    def script(asked: Asked) -> bytes:
        fields = {"ETag": ETAG, "Content_Range": "bytes 5-9/1000000"}
        return reply(206, DATA[5:10], **fields) if asked.range else honest(asked)

    with serving(script) as (_, source), pytest.raises(UnreachableError) as raised:
        read(source, "x", 5)
    assert raised.value.fault == "short_body"


def test_a_rest_that_may_end_anywhere_is_not_believed() -> None:
    def script(asked: Asked) -> bytes:
        fields = {"ETag": ETAG, "Content_Range": "bytes 5-9/*"}
        return reply(206, DATA[5:10], **fields) if asked.range else honest(asked)

    with serving(script) as (_, source):
        assert read(source, "x", 5) == (0, DATA)
    fields = {"ETag": ETAG, "Content_Range": "bytes 0-4/*"}
    fails(lambda asked: reply(206, DATA[:5], **fields), RemoteProtocolError, "http")


@pytest.mark.parametrize(
    "content_range",
    ["bytes 5-9/7", "bytes 5-4/1000000", "bytes 5-10/1000000"],
)
def test_lengths_that_contradict_each_other_are_refused(content_range: str) -> None:
    def script(asked: Asked) -> bytes:
        return reply(206, DATA[5:10], ETag=ETAG, Content_Range=content_range)

    with serving(script) as (_, source), pytest.raises(RemoteProtocolError):
        read(source, "x", 5, 10)


def test_a_part_that_nobody_asked_for_is_refused_unless_it_says_which_it_is() -> None:
    fails(lambda asked: reply(206, DATA), RemoteProtocolError, "http")

"""Specifications of jobs: what makes two of them the same, and what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from casync.errors import MalformedError, UsageError
from casync.jobs.spec import JobSecrets, JobSpec, SourceKind, decode_secrets, decode_spec
from casync.objects.chunker import ChunkerParams

SPEC = JobSpec("https://host/shard-{000..140}.tgz", "set/", SourceKind.TEMPLATE)
SIGNED = "https://b.s3.amazonaws.com/a%2Bb?versionId=3&X-Amz-Signature={}&X-Amz-Date={}"


def test_a_specification_is_read_as_it_was_written() -> None:
    spec = replace(
        SPEC,
        description="ein Satz",
        timeout=5.5,
        max_conns=3,
        limit_bph=10,
        limit=20,
        list_digest=bytes(32),
        headers=(("Authorization", "Bearer x"),),
        flatten=True,
        sync=True,
        max_delete=0,
        allow_empty=True,
        part=2,
        shares=4,
        chunker=ChunkerParams.from_average(65536),
    )
    assert decode_spec(spec.encode()) == spec
    assert decode_spec(SPEC.encode()) == SPEC
    with pytest.raises(MalformedError):
        decode_spec(spec.encode()[:-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "x"},
        {"timeout": 1.0},
        {"max_conns": 1},
        {"limit": 1},
        {"limit_bph": 1},
        {"headers": (("A", "b"),)},
        {"max_delete": 3},
        {"allow_empty": True},
        {"source": "https://user:word@host/shard-{000..140}.tgz"},
    ],
)
def test_the_same_job_may_go_on_with_other_limits_and_secrets(changes: dict[str, Any]) -> None:
    """D12: the same `download` again continues the unfinished job."""
    assert replace(SPEC, **changes).digest == SPEC.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "https://host/shard-{000..141}.tgz"},
        {"source": "http://host/shard-{000..140}.tgz"},
        {"source": "https://host/shard-{000..140}.tgz?a=b"},
        {"dest": "set/a/"},
        {"dest": ""},
        {"list_digest": bytes(32)},
        {"flatten": True},
        {"sync": True},
        {"part": 1, "shares": 2},
        {"part": 2, "shares": 2},
        {"chunker": ChunkerParams.from_average(65536)},
    ],
)
def test_another_thing_to_fetch_is_another_job(changes: dict[str, Any]) -> None:
    assert replace(SPEC, **changes).digest != SPEC.digest


def test_a_presigned_source_that_was_signed_again_is_the_same_job() -> None:
    one = replace(SPEC, source=SIGNED.format("aa", "1"))
    two = replace(SPEC, source=SIGNED.format("bb", "2"))
    assert one.digest == two.digest
    assert one.digest != replace(one, source=one.source.replace("Id=3", "Id=4")).digest


def test_secrets_are_taken_out_and_put_back() -> None:
    spec = replace(SPEC, source="https://me:word@host/x?sig=abc", headers=(("Cookie", "s3cr3t"),))
    secrets = spec.secrets
    assert secrets == JobSecrets("https://me:word@host/x?sig=abc", (("Cookie", "s3cr3t"),))
    public = spec.without_secrets()
    assert public.headers == (("Cookie", ""),)
    for secret in (b"me", b"word", b"abc", b"s3cr3t"):
        assert secret not in public.encode()
    assert public.with_secrets(secrets) == spec
    assert SPEC.secrets is None
    with pytest.raises(MalformedError):
        decode_secrets(b"\x80")


def test_parts_share_the_items() -> None:
    spec = replace(SPEC, part=2, shares=3)
    assert [spec.part_of(index) for index in range(5)] == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout": 0.0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"max_conns": 0},
        {"max_conns": 5000},
        {"limit": -1},
        {"limit_bph": -1},
        {"part": 0},
        {"part": 3, "shares": 2},
        {"max_delete": -1},
        {"dest": "a//"},
        {"dest": "/"},
        {"dest": "a@1"},
    ],
)
def test_values_out_of_bounds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(SPEC, **changes)

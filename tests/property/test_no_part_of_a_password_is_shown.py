"""Law: whatever a password consists of, no message shows a part of it.

The password stands where people write it, raw, with every delimiter. Then the address is refused,
or the host is asked, where nothing listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import CasyncError
from casync.jobs.address import redacted
from casync.jobs.object_list import ListedItem
from casync.jobs.request import given_items, specify
from casync.jobs.spec import JobSpec, SourceKind
from casync.remote.http.address import parse_address as parse_server
from casync.remote.sources.open import Sources
from casync.remote.sources.options import SourceOptions
from casync.remote.storages.open import open_storage

WORDS: Final = ("s3cr3t", "77112233", "Tr0ub4dor", "x9x9x9")
DELIMITERS: Final = "/?#@:[]{}%!$&'()*+,;=|\\^`~\"<> .-_ä"
HOST: Final = "127.0.0.1:9"
SCHEMES: Final = (
    *("http", "https", "HTTP", "casync", "casync+http", "ais", "webhdfs", "hdfs", "ftp"),
    *("s3", "gs", "az"),
)
OPTIONS: Final = SourceOptions(
    s3_endpoint=f"http://{HOST}",
    gs_endpoint=f"http://{HOST}",
    az_endpoint=f"http://{HOST}",
    s3={"skip_signature": "true", "region": "x"},
    gs={"skip_signature": "true"},
    az={"skip_signature": "true", "account_name": "x"},
    timeout=1.0,
    retry_for=0.0,
)

secrets = st.lists(
    st.tuples(st.sampled_from(WORDS), st.text(DELIMITERS, min_size=1, max_size=2)),
    min_size=1,
    max_size=3,
).map(lambda parts: "".join(word + mark for word, mark in parts) + WORDS[0])


def told_by(text: str, use: Callable[[str], str]) -> str:
    """All that people see of an address when it is used."""
    try:
        told = use(text)
    except CasyncError as error:
        told = f"{error.message} {error.next_step}"
    return f"{told} {redacted(text)}"


def opened(text: str) -> str:
    with Sources(OPTIONS) as sources:
        source, key = sources.open(text)
        told = f"{source.label} {source.place} {key}"
        source.find(key)
        return told


def made_a_job(text: str) -> str:
    spec = specify(JobSpec(text, "ds/", SourceKind.OBJECT))
    return str(spec.without_secrets())


def listed(text: str) -> str:
    spec = JobSpec("http://h/", "ds/", SourceKind.LIST)
    return " ".join(
        redacted(item.key) + item.name for item in given_items(spec, [ListedItem(text)])
    )


def named_as_server(text: str) -> str:
    return parse_server(text).origin


def stored_in(text: str) -> str:
    return open_storage(text, OPTIONS).place


@pytest.mark.parametrize("use", [opened, made_a_job, listed, named_as_server, stored_in])
@given(
    scheme=st.sampled_from(SCHEMES), secret=secrets, path=st.sampled_from(["/a", "/a/", "", "/"])
)
def test_addresses_with_a_password(
    use: Callable[[str], str], scheme: str, secret: str, path: str
) -> None:
    """D2, D10."""
    told = told_by(f"{scheme}://user:{secret}@{HOST}{path}", use)
    assert not [word for word in WORDS if word in told], told


@pytest.mark.parametrize("use", [opened, made_a_job])
@given(secret=secrets)
def test_addresses_without_a_scheme(use: Callable[[str], str], secret: str) -> None:
    told = told_by(f"user:{secret}@{HOST}/a", use)
    assert not [word for word in WORDS if word in told], told

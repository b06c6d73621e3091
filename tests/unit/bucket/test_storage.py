"""Keys of storages: paths that mean the same to all of them."""

from __future__ import annotations

import pytest

from casync.bucket.storage import check_key
from casync.errors import MalformedError


@pytest.mark.parametrize("key", ["store", "seg/0a/0a1b-00000000", "a.b/c..d", "_/-"])
def test_paths_are_keys(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize(
    "key",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", ".a", "a b", "a\\b", "a\n", "é", "a" * 257],
)
def test_what_could_mean_something_else_is_no_key(key: str) -> None:
    with pytest.raises(MalformedError):
        check_key(key)

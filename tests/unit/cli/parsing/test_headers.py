"""Header fields of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from casync_cli.parsing.headers import parse_headers

from casync.errors import NotFoundError, UsageError


def test_headers_are_names_and_values() -> None:
    """D5."""
    assert parse_headers(["Authorization: Bearer a:b=", "X-Key:1", "A :  two words "]) == (
        ("Authorization", "Bearer a:b="),
        ("X-Key", "1"),
        ("A", "two words"),
    )


def test_a_file_keeps_headers_out_of_the_list_of_processes(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer x\r\n\nX-Key: 1\n")
    assert parse_headers([f"@{file}", "B: 2"]) == (
        ("Authorization", "Bearer x"),
        ("X-Key", "1"),
        ("B", "2"),
    )
    with pytest.raises(NotFoundError, match="cannot read the headers"):
        parse_headers([f"@{tmp_path}/missing"])


@pytest.mark.parametrize(
    "text", ["", "secret", ": secret", "A B: secret", "A: secret\r\nB: secret", "A:", "A: sécret"]
)
def test_text_that_is_not_a_header_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(UsageError, match="not a header") as raised:
        parse_headers([text])
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("name", ["Range", "HOST", "If-Match", "Accept-Encoding"])
def test_headers_that_a_download_depends_on_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is set by casync"):
        parse_headers([f"{name}: x"])

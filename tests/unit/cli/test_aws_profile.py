"""Profiles of the AWS command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from casync_cli.aws_profile import read_profile

from casync.errors import UsageError


def test_a_profile_is_read_from_both_files_and_the_later_one_wins(tmp_path: Path) -> None:
    """D2."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        "[profile work]\nregion = eu-west-1\naws_access_key_id = old\noutput = json\n"
        "s3 =\n  addressing_style = path\n[default]\nregion = us-east-1\n"
    )
    credentials.write_text(
        "[work]\naws_access_key_id = key\naws_secret_access_key = se%cret=\naws_session_token =\n"
    )
    files = [tmp_path / "missing", config, credentials]
    assert read_profile(files, "work") == {
        "region": "eu-west-1",
        "access_key_id": "key",
        "secret_access_key": "se%cret=",
    }
    assert read_profile(files, "default") == {"region": "us-east-1"}
    assert read_profile(files, "other") == {}
    assert read_profile([], "default") == {}


@pytest.mark.parametrize("content", [b"region = x\n", b"[a]\n[a]\n", b"\xff\xfe", b"[a\n"])
def test_a_file_that_has_no_profiles_is_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read the profiles in"):
        read_profile([file], "default")

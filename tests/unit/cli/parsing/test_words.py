"""The words of the documents for commands of ours."""

from __future__ import annotations

import pytest
from casync_cli.parsing.words import translated


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("start download s3://b/x b/", "download s3://b/x b/"),
        ("job start download s3://b/x b/", "download s3://b/x b/"),
        ("start download --help", "download --help"),
        ("start 4k3", "job start 4k3"),
        ("job start dnl-4k3v9x0ab", "job start dnl-4k3v9x0ab"),
        ("job start download dnl-4k3v9x0ab", "job start dnl-4k3v9x0ab"),
        ("show job", "job show"),
        ("show job 4k3 --progress", "job show 4k3 --progress"),
        ("show job download", "job show"),
        ("show job download 4k3 -v", "job show 4k3 -v"),
        ("job show download 4k3", "job show 4k3"),
        ("stop 4k3", "job stop 4k3"),
        ("job stop download 4k3 5x0", "job stop 4k3 5x0"),
        ("stop download 4k3", "job stop 4k3"),
        ("job rm download 4k3", "job rm 4k3"),
        ("wait 4k3", "job wait 4k3"),
        ("job wait download 4k3 --timeout 2h", "job wait 4k3 --timeout 2h"),
    ],
)
def test_words_of_aistore_are_commands_of_ours(typed: str, ours: str) -> None:
    """D1, D8, D9."""
    assert translated(typed.split()) == ours.split()


@pytest.mark.parametrize(
    "words",
    [
        "",
        "show imagenet/job",
        "show REF",
        "job",
        "job ls",
        "job show 4k3",
        "rm download",
        "ls job",
        "download s3://b/x b/",
    ],
)
def test_other_words_stay_as_they_are(words: str) -> None:
    assert translated(words.split()) == words.split()

"""Settings of the server: what is invalid is named by its variable, with its bound."""

from __future__ import annotations

import pytest
from casync_server.settings import read_settings

from casync.errors import UsageError


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("THREADS", "many", "must be a whole number, not many"),
        ("THREADS", "0", "must be at least 1, not 0"),
        ("THREADS", "1000", "must be at most 512, not 1000"),
        ("RATE", "1.5", "must be a whole number, not 1.5"),
        ("WALK_CPU", "0", "must be more than 0.0, not 0"),
        ("WALK_CPU", "inf", "must be a number, not inf"),
        ("HOSTS", "proxy:80", "must be a list in JSON"),
        ("HOSTS", "7", "must be a list in JSON, not 7"),
    ],
)
def test_an_invalid_setting_is_named_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"CASYNC_SERVE_{variable}", value)
    with pytest.raises(UsageError) as raised:
        read_settings()
    assert raised.value.message == f"CASYNC_SERVE_{variable} {said}"


def test_all_invalid_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASYNC_SERVE_THREADS", "0")
    monkeypatch.setenv("CASYNC_SERVE_PIPELINE", "-1")
    with pytest.raises(UsageError, match=r"THREADS must be .*; CASYNC_SERVE_PIPELINE must be "):
        read_settings()

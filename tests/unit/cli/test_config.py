"""Settings from the environment, and defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from casync_cli.config import Config, default_store


def test_an_empty_environment_sets_nothing() -> None:
    assert Config.read({}) == Config(colour=True)


def test_every_variable_is_read() -> None:
    config = Config.read(
        {
            "CASYNC_STORE": "/srv/store",
            "CASYNC_SERVER": " http://a  https://b ",
            "CASYNC_TOKEN_FILE": "/run/token",
            "CASYNC_TOKEN": "secret",
            "CASYNC_CA": "/etc/ca.pem",
            "NO_COLOR": "1",
            "_CASYNC_COMPLETE": "complete_bash",
        }
    )
    assert config == Config(
        store=Path("/srv/store"),
        servers=("http://a", "https://b"),
        token_file=Path("/run/token"),
        token="secret",
        ca=Path("/etc/ca.pem"),
        colour=False,
        completing=True,
    )


def test_an_empty_variable_counts_as_unset() -> None:
    names = ["STORE", "SERVER", "TOKEN_FILE", "TOKEN", "CA"]
    empty = {f"CASYNC_{name}": "" for name in names}
    assert Config.read({**empty, "NO_COLOR": ""}) == Config(colour=True)


def test_a_dumb_terminal_gets_no_colour() -> None:
    assert not Config.read({"TERM": "dumb"}).colour


def test_the_default_store_is_in_the_data_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/home/someone/data")
    assert default_store() == Path("/home/someone/data/casync/store")

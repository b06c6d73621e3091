"""Settings from the environment, and defaults."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from casync_cli.environment import Variables, default_state, default_store

HOME = {"HOME": "/h"}
BARE = Variables(user_config=Path("/h/.config/casync/config.toml"), colour=True)
KINDS = ("CONFIG", "DATA", "STATE")


def test_an_empty_environment_sets_nothing() -> None:
    assert Variables.read(HOME) == BARE


def test_every_variable_is_read() -> None:
    environment = Variables.read(
        {
            **HOME,
            "CASYNC_STORE": "/srv/store",
            "CASYNC_SERVER": " http://a  https://b ",
            "CASYNC_TOKEN_FILE": "/run/token",
            "CASYNC_TOKEN": "secret",
            "CASYNC_CA": "/etc/ca.pem",
            "NO_COLOR": "1",
            "_CASYNC_COMPLETE": "complete_bash",
        }
    )
    assert environment == BARE._replace(
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
    assert Variables.read({**HOME, **empty, "NO_COLOR": ""}) == BARE


def test_a_dumb_terminal_gets_no_colour() -> None:
    assert not Variables.read({"TERM": "dumb"}).colour


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("home", ["/home/of/variable", "", None])
def test_one_rule_finds_all_folders_of_the_user(
    monkeypatch: pytest.MonkeyPatch, home: str | None, relative: bool
) -> None:
    for kind in KINDS:
        monkeypatch.setenv(f"XDG_{kind}_HOME", "x" if relative else "")
    monkeypatch.delenv("HOME")
    if home is not None:
        monkeypatch.setenv("HOME", home)
    base = Path(home or pwd.getpwuid(os.getuid()).pw_dir)
    assert Variables.read(os.environ).user_config == base / ".config/casync/config.toml"
    assert default_store() == base / ".local/share/casync/store"
    assert default_state() == base / ".local/state/casync"


def test_xdg_variables_win_over_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        monkeypatch.setenv(f"XDG_{kind}_HOME", f"/{kind}")
    assert Variables.read(os.environ).user_config == Path("/CONFIG/casync/config.toml")
    assert default_store() == Path("/DATA/casync/store")
    assert default_state() == Path("/STATE/casync")

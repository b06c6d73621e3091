"""Settings from the environment, and defaults."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from casync_cli.environment import Variables, aws_files, default_state, default_store

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
        store="/srv/store",
        servers=("http://a", "https://b"),
        token_file=Path("/run/token"),
        token="secret",
        ca=Path("/etc/ca.pem"),
        colour=False,
        completing=True,
    )


def test_the_variables_of_clouds_are_read() -> None:
    """D2."""
    account = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a+b/c==;BlobEndpoint=http://h/acc;"
    environment = Variables.read(
        {
            **HOME,
            "AWS_ENDPOINT_URL": "http://s3",
            "AWS_CA_BUNDLE": "/ca",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_PROFILE": "ignored",
            "AWS_CONFIG_FILE": "/config",
            "STORAGE_EMULATOR_HOST": "localhost:9023",
            "AZURE_STORAGE_CONNECTION_STRING": account,
            "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=2",
        }
    )
    assert environment == BARE._replace(
        s3_endpoint="http://s3",
        s3_ca=Path("/ca"),
        s3_profile=None,
        s3_config=Path("/config"),
        gs_endpoint="http://localhost:9023",
        az={
            "account_name": "acc",
            "account_key": "a+b/c==",
            "sas_key": "sv=1&sig=2",
            "endpoint": "http://h/acc",
        },
    )
    own = {"AZURE_STORAGE_ACCOUNT": "mine", "AZURE_STORAGE_KEY": "key"}
    assert Variables.read({"AZURE_STORAGE_CONNECTION_STRING": account, **own}).az == {
        "account_name": "mine",
        "account_key": "key",
        "endpoint": "http://h/acc",
    }
    assert Variables.read({"AWS_PROFILE": "work"}).s3_profile == "work"
    assert Variables.read({"STORAGE_EMULATOR_HOST": "https://h"}).gs_endpoint == "https://h"


def test_the_files_of_aws_are_in_the_home_unless_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/h")
    assert aws_files(BARE) == [Path("/h/.aws/config"), Path("/h/.aws/credentials")]
    named = BARE._replace(s3_credentials=Path("/c"))
    assert aws_files(named) == [Path("/h/.aws/config"), Path("/c")]


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

"""Settings of the server: what is invalid is named by its variable; the documents list them all."""

from __future__ import annotations

import inspect
import re

import pytest
from casync_server.settings import PREFIX, ServerSettings, read_settings

from casync.errors import UsageError
from tests.support.program import ROOT

CLOUDS = "must be a list of NAMESPACE:s3, :gs or :az, separated by commas or spaces"
LIST = "must be a list of NAME or NAME:PORT, separated by commas or spaces"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("THREADS", "many", "must be a whole number, not many"),
        ("THREADS", "0", "must be at least 1, not 0"),
        ("THREADS", "1000", "must be at most 512, not 1000"),
        ("RATE", "1.5", "must be a whole number, not 1.5"),
        ("WALK_CPU", "0", "must be more than 0.0, not 0"),
        ("WALK_CPU", "inf", "must be a number, not inf"),
        ("HOSTS", '["proxy:80"]', f'{LIST}, not ["proxy:80"]'),
        ("HOSTS", "a,http://b", f"{LIST}, not a,http://b"),
        ("HOSTS", "a b/c", f"{LIST}, not a b/c"),
        ("JOB_CLOUDS", "s3", f"{CLOUDS}, not s3"),
        ("JOB_CLOUDS", "acme:s3 acme:http", f"{CLOUDS}, not acme:s3 acme:http"),
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


@pytest.mark.parametrize("text", ["a,B:80,[::1]:9", "a B:80  [::1]:9", " a, B:80, [::1]:9,"])
def test_hosts_are_a_plain_list(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CASYNC_SERVE_HOSTS", text)
    settings = read_settings()
    assert settings.hosts == ("a", "b:80", "[::1]:9")
    # As a worker gets them.
    assert ServerSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASYNC_SERVE_HOSTS", "")
    monkeypatch.setenv("CASYNC_SERVE_THREADS", "")
    assert read_settings().model_fields_set == set()


@pytest.mark.parametrize(
    ("variable", "step"),
    [
        ("CASYNC_SERVE_HOST", "Did you mean CASYNC_SERVE_HOSTS?"),
        ("CASYNC_SERVE_LISTEN", "docs/OPERATION.md lists all settings."),
        ("CASYNC_SERVE_", "docs/OPERATION.md lists all settings."),
    ],
)
def test_an_unknown_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, step: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UsageError) as raised:
        read_settings()
    assert raised.value.message == f"{variable} is not a setting of the server"
    assert raised.value.next_step == step


def test_the_manual_lists_every_setting_with_its_default() -> None:
    """The meanings are those of the docstring."""
    _, _, attributes = inspect.cleandoc(ServerSettings.__doc__ or "").partition("Attributes:\n")
    meanings = {
        field: " ".join(text.split())
        for field, text in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.M)
    }
    variables = {field: f"`{PREFIX}{field.upper()}`" for field in meanings}
    rows = []
    for field, default in ServerSettings.model_construct():
        text = re.sub(r"`(\w+)`", lambda word: variables.get(word[1], word[0]), meanings[field])
        shown = f"{default:g}" if isinstance(default, float) else default or "none"
        rows.append(f"| {variables[field]} | {shown} | {text} |")
    manual = (ROOT / "docs" / "OPERATION.md").read_text()
    assert re.findall(rf"^\| `{PREFIX}.*$", manual, re.M) == rows, "\n".join(rows)

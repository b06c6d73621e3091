"""Settings in files: precedence, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from casync_server.settings import PREFIX, ServerSettings

from tests.support.program import Program
from tests.support.serving import serving


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    del program.environment["CASYNC_STORE"]
    program.environment.pop("XDG_CONFIG_HOME", None)
    return program


def own_file(program: Program, text: str) -> Path:
    path = program.home / ".config" / "casync" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def shown(program: Program, *arguments: str, **environment: str) -> dict[str, tuple[str, str]]:
    lines = program.good("config", "show", *arguments, stdin=b"", **environment).lines
    return {key: (value, source) for key, value, source in (line.split("\t") for line in lines)}


def test_without_a_file_everything_is_a_default(program: Program) -> None:
    found = shown(program)
    assert {source for _, source in found.values()} == {"default"}
    assert found["connections"] == ("4", "default")
    assert found["store"][0].startswith(str(program.home))


def test_an_option_overrides_the_environment_and_that_the_file(program: Program) -> None:
    path = own_file(
        program, 'store = "mine"\nservers = ["http://a", "http://b"]\nconnections = 8\n'
    )
    found = shown(program)
    assert found["store"] == (str(path.parent / "mine"), str(path))
    assert found["servers"] == ("http://a http://b", str(path))
    assert found["connections"] == ("8", str(path))
    found = shown(program, CASYNC_STORE="/env", CASYNC_SERVER="http://c")
    assert found["store"] == ("/env", "CASYNC_STORE")
    assert found["servers"] == ("http://c", "CASYNC_SERVER")
    found = shown(program, "--store", "/flag", "-p", "2", CASYNC_STORE="/env")
    assert found["store"] == ("/flag", "--store")
    assert found["connections"] == ("2", "--connections")


def test_the_password_of_a_proxy_is_in_a_file_that_a_file_names(program: Program) -> None:
    path = own_file(program, 'proxy = "http://127.0.0.1:1"\nproxy_auth = "secret"\n')
    assert shown(program)["proxy_auth"] == (str(path.parent / "secret"), str(path))
    assert shown(program, CASYNC_PROXY_AUTH="me:too")["proxy_auth"] == ("", "CASYNC_PROXY_AUTH")
    found = shown(program, CASYNC_PROXY_AUTH_FILE="/f", CASYNC_PROXY_AUTH="me:too")
    assert found["proxy_auth"] == ("/f", "CASYNC_PROXY_AUTH_FILE")
    missing = program.run("ls", "--server", "http://127.0.0.1:2")
    assert f"cannot read the password in {path.parent / 'secret'}" in missing.err


def test_config_replaces_the_file_of_the_user(program: Program) -> None:
    own_file(program, 'limit = "1M"\n')
    other = program.home / "other.toml"
    other.write_text('retry_for = "5s"\n')
    for found in (
        shown(program, "--config", str(other)),
        shown(program, CASYNC_CONFIG=str(other)),
    ):
        assert found["limit"][1] == "default"
        assert found["retry_for"] == ("5s", str(other))
    missing = program.run("config", "show", "--config", "nowhere.toml")
    assert missing.status == 2
    assert "the configuration nowhere.toml does not exist" in missing.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conections = 3", "unknown key conections. Did you mean connections?"),
        ("x = 1", "Known keys are store, servers,"),
        ("connections = '3'", "connections must be a whole number"),
        ("connections = true", "connections must be a whole number"),
        ("servers = 'http://a'", "servers must be a list of text"),
        ("servers = [1]", "servers must be a list of text"),
        ("store = 7", "store must be text"),
        ("store", "is not valid TOML"),
        ('[server."http://a"]\ntoken = "x"', 'unknown key token of server "http://a"'),
        ('[server]\nca = "x"', 'write [server."ca"]'),
        ("\udcff", "is not valid TOML"),
    ],
)
def test_unknown_keys_and_bad_values_are_refused(program: Program, text: str, said: str) -> None:
    path = own_file(program, "")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    ran = program.run("ls")
    assert ran.status == 2
    assert said in ran.err
    assert str(path) in ran.err
    assert ran.err.count("\n") == 1


def test_the_limits_of_serve_are_shown_with_their_variables(program: Program) -> None:
    found = shown(program, CASYNC_SERVE_HOSTS="a.example.com,b:80", CASYNC_SERVE_RATE="9000")
    assert found["CASYNC_SERVE_HOSTS"] == ("a.example.com b:80", "CASYNC_SERVE_HOSTS")
    assert found["CASYNC_SERVE_RATE"] == ("9000", "CASYNC_SERVE_RATE")
    assert found["CASYNC_SERVE_STALL_SECONDS"] == ("10", "default")
    assert {f"{PREFIX}{field.upper()}" for field in ServerSettings.model_fields} <= found.keys()


@pytest.mark.parametrize("command", [("serve",), ("config", "show")])
def test_an_unknown_or_invalid_limit_of_serve_is_named(
    program: Program, command: tuple[str, ...]
) -> None:
    unknown = program.run(*command, CASYNC_SERVE_TREADS="8")
    assert (unknown.status, unknown.out) == (2, b"")
    assert "CASYNC_SERVE_TREADS is not a setting of the server" in unknown.err
    assert "Did you mean CASYNC_SERVE_THREADS?" in unknown.err
    invalid = program.run(*command, CASYNC_SERVE_THREADS="eight")
    assert (invalid.status, invalid.out) == (2, b"")
    assert "CASYNC_SERVE_THREADS must be a whole number, not eight." in invalid.err


def test_servers_tokens_and_stores_of_the_file_are_used(program: Program) -> None:
    origin = program.home / "origin"
    program.good("prepare", "--name", "x", "--store", str(origin), stdin=b"content")
    with serving(origin) as server:
        (program.home / ".config" / "casync").mkdir(parents=True)
        (program.home / ".config" / "casync" / "token").write_text("secret\n")
        own_file(
            program,
            f'store = "~/mine"\nservers = ["{server.url}"]\n'
            f'[server."{server.url}"]\ntoken_file = "token"\n',
        )
        program.good("pull", "x", "-o", "out", "--cache")
        assert (program.home / "out").read_bytes() == b"content"
        assert (program.home / "mine" / "data.mdb").exists()
        assert "secret" not in program.good("config", "show").text
        (program.home / ".config" / "casync" / "token").unlink()
        assert "cannot read the token" in program.run("pull", "x", "-o", "out").err


def test_a_token_goes_to_a_file_of_its_owner_and_an_open_one_is_warned_of_once(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path)
    program.good("prepare", "-", stdin=b"x")
    made = program.good("token", "new", "token", "--note", "laptop")
    token = tmp_path / "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() not in made.text + made.err
    assert made.text.strip() in program.good("token", "ls").text
    again = program.run("token", "new", "token")
    assert (again.status, len(program.good("token", "ls").lines)) == (2, 1)
    document = program.good("token", "new", "other", "--json").document
    assert (document["token"], document["file"]) == (None, "other")
    nowhere = ("--server", "http://127.0.0.1:9", "--retry-for", "0s", "--token-file", "token")
    assert "warning" not in program.run("ls", *nowhere).err
    token.chmod(0o644)
    assert program.run("ls", *nowhere).err.count("any user of this machine may read") == 1

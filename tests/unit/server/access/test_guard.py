"""Web pages cannot use a server without authentication."""

import pytest
from casync_server.access.guard import Guard, is_own_host
from casync_server.app import create_app
from casync_server.settings import ServerSettings

from casync.store.memory import MemoryStore
from tests.support.serving import ask


def status(
    *,
    any_host: bool = False,
    method: str = "GET",
    hosts: tuple[str, ...] = (),
    server: str = "http://127.0.0.1:8080",
    **fields: str,
) -> int:
    settings = ServerSettings(hosts=hosts)
    app = create_app(MemoryStore(), settings, sink=lambda _: None, any_host=any_host)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return ask(app, method, "/healthz", headers=headers).status_code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "localhost:8080",
        "LOCALHOST:8080",
        "[::1]:8080",
        "127.0.0.1",
        "127.0.0.1:9000",  # as through a tunnel or a published port
        "localhost:9000",
        "[::1]:65535",
    ],
)
def test_own_names(host: str) -> None:
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8080",
        "evil.example",
        "127.0.0.1:8080.evil.example",
        "127.0.0.1:",
        "127.0.0.1:x",
        "localhost:8080\n",
        "localhost.:8080",
        "[::1",
        "localhost.evil.example:8080",
        "127.0.0.1:8080@evil.example",
        "",
        "127.1:8080",
        "2130706433:8080",
    ],
)
def test_foreign_names(host: str) -> None:
    assert status(host=host) == 403


def test_hosts_that_the_operator_gave_are_accepted() -> None:
    assert status(host="tunnel:9000", hosts=("tunnel:9000",)) == 200


def test_a_refused_host_is_logged_once_with_the_setting_that_accepts_it() -> None:
    lines: list[str] = []
    app = create_app(MemoryStore(), ServerSettings(), sink=lines.append)
    for _ in range(3):
        assert ask(app, "GET", "/healthz", headers={"Host": "Evil\x1b[1m"}).status_code == 403
    notes = [line for line in lines if "CASYNC_SERVE_HOSTS" in line]
    said = r"refused the unknown Host evil\x1b[1m; to accept it, add it to CASYNC_SERVE_HOSTS"
    assert notes == [said]
    refused = ask(app, "GET", "/healthz", headers={"Host": "evil"}).json()
    assert refused["next_step"] == "Its operator can accept this one with CASYNC_SERVE_HOSTS."


def test_many_hosts_do_not_fill_the_log() -> None:
    lines: list[str] = []
    moments = [0.0]
    app = create_app(MemoryStore(), ServerSettings())
    guard = Guard(app, any_host=False, say=lines.append, clock=lambda: moments[-1])
    for moment in (0.0, 6.0):
        moments.append(moment)
        for number in range(50):
            headers = {"Host": f"evil{number}"}
            assert ask(guard, "GET", "/healthz", headers=headers).status_code == 403
    assert [line.split(";")[0].split()[-1] for line in lines] == ["evil0", "evil1"]


def test_a_port_that_urls_omit_may_be_left_out() -> None:
    for host in ("localhost", "localhost:80", "127.0.0.1", "[::1]:80", "127.0.0.1:9"):
        assert is_own_host(host, ("127.0.0.1", 80))
        assert is_own_host(host, ("::1", 8080))
        assert not is_own_host(host, ("192.0.2.7", 8080))
        assert not is_own_host(host, ("/run/s", None))
        assert not is_own_host(host, None)
    assert is_own_host("192.0.2.7", ("192.0.2.7", 443))
    assert not is_own_host("192.0.2.7", ("192.0.2.7", 8080))
    assert is_own_host("192.0.2.7:8080", ("192.0.2.7", 8080))
    assert is_own_host("[2001:db8::1]:8080", ("2001:db8::1", 8080))
    assert not is_own_host("[2001:db8::1]:9000", ("2001:db8::1", 8080))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8080", 200),
        ("http://evil.example", 403),
        ("http://localhost:8080", 403),  # not the Host of this request
        ("http://127.0.0.1:3000", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_origins(origin: str, expected: int) -> None:
    assert status(origin=origin) == expected
    # A public server accepts any Host, but no foreign pages.
    assert status(origin=origin, any_host=True) == expected


def test_any_host_is_accepted_if_the_operator_allows_it() -> None:
    assert status(host="evil.example:8080", any_host=True) == 200


def test_preflights_get_nothing() -> None:
    assert (
        status(method="OPTIONS", origin="http://evil.example", access_control_request_method="GET")
        == 403
    )


@pytest.mark.parametrize(
    ("site", "mode", "expected"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),  # a user followed a link
    ],
)
def test_requests_that_browsers_mark_as_cross_site_are_refused(
    site: str, mode: str, expected: int
) -> None:
    assert status(sec_fetch_site=site, sec_fetch_mode=mode) == expected


@pytest.mark.parametrize("name", ["host", "range", "origin", "content-type", "if-range"])
def test_fields_that_occur_twice(name: str) -> None:
    app = create_app(MemoryStore(), ServerSettings(), sink=lambda _: None)
    value = "127.0.0.1:8080" if name == "host" else "http://127.0.0.1:8080"
    fields = [("host", "127.0.0.1:8080"), (name, value)]
    if name != "host":
        fields.append((name, value))
    assert ask(app, "GET", "/healthz", headers=fields).status_code == 400


def test_answers_carry_safety_fields_and_no_cors() -> None:
    app = create_app(MemoryStore(), ServerSettings(), sink=lambda _: None)
    for path in ("/healthz", "/nope", "/v1/info"):
        headers = ask(app, "GET", path, headers={"origin": "http://127.0.0.1:8080"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control-")]

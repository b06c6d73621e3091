"""The page of jobs: what it allows, and what a browser shows of it."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from casync_server.app import create_app
from casync_server.jobs.source_policy import SourcePolicy
from casync_server.jobs.source_rules import SourceRules
from casync_server.settings import ServerSettings
from fastapi import FastAPI
from msgspec.structs import replace

from casync.jobs.egress import EgressPolicy
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import ActiveObject, Counts, JobRow, JobState, WaitingObject
from casync.jobs.spec import JobSpec, SourceKind
from casync.names.token import TokenScope
from casync.store.base import Batch
from casync.store.jobs import JobClaim, JobUpdate
from casync.store.lmdb.store import LmdbStore
from tests.support.browser import Browser, browsing
from tests.support.debian import UnavailableError
from tests.support.serving import ask, serving_here

HOSTILE = "<img src=x onerror=document.title='owned'> \u202egnp\x1b[31m</script><script>"


class Parts(HTMLParser):
    """The elements of the page, and the texts of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[str] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in self.inline:
            self.inline[self._in].append(data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def app(store: LmdbStore) -> FastAPI:
    return create_app(
        store,
        ServerSettings(),
        jobs=SourceRules(SourcePolicy(None, ()), EgressPolicy()),
        sink=lambda _: None,
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        with browsing(tmp_path_factory.mktemp("browser")) as browser:
            yield browser
    except UnavailableError as error:
        pytest.skip(str(error))


def test_the_shell_is_the_same_for_everyone_and_allows_its_own_script_alone(
    app: FastAPI, store: LmdbStore
) -> None:
    before = ask(app, "GET", "/jobs")
    store.tokens.issue(TokenScope.READ)
    page = ask(app, "GET", "/jobs")
    assert (page.status_code, page.text) == (200, before.text)
    assert ask(app, "HEAD", "/jobs").status_code == 200
    assert ask(app, "POST", "/jobs").status_code == 405
    policy = page.headers["content-security-policy"]
    parts = Parts(page.text)
    for kind, source in (("script", "script-src"), ("style", "style-src")):
        (text,) = parts.inline[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{source} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors" in policy
    assert not {"src", "href", "style", "onclick"} & set(parts.attributes)


def test_the_script_makes_no_markup_of_texts(app: FastAPI) -> None:
    (script,) = Parts(ask(app, "GET", "/jobs").text).inline["script"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def claimed(store: LmdbStore, spec: JobSpec) -> JobClaim:
    return store.jobs.claim(store.jobs.create(spec, int(time.time())).id)


def put(store: LmdbStore, row: JobRow, *faults: ObjectFault) -> None:
    store.commit(Batch(job=JobUpdate(row, [*faults])))


def test_a_browser_shows_jobs_live_with_hostile_texts_as_texts(
    app: FastAPI, store: LmdbStore, browser: Browser
) -> None:
    spec = JobSpec("https://h/{0..3}", "a/", SourceKind.TEMPLATE, description=HOSTILE, served=True)
    active = ActiveObject("a/<b>2</b>", 1 << 20, 1 << 21, time.time())
    long = ActiveObject(f"a/{'y' * 40}3{'z' * 40}", 0, None, time.time())
    fault = ObjectFault(0, "a/<i>0</i>", "https://h/0", ObjectFaultKind.DNS, HOSTILE, 2, 5, 6)
    with serving_here(app) as url, claimed(store, spec) as claim:
        counts = Counts(failed=1)
        waits = WaitingObject("a/<u>3</u>", "request failed with 503", time.time() + 3600, 1)
        due = WaitingObject("a/2", "it answers 500", time.time() - 1, 1)
        row = replace(claim.row, total=4, listed=4, cursor=1, counts=counts, active=(active, long))
        row = replace(row, waiting=(due, waits), waiting_count=7)
        put(store, row, fault)
        token, _ = store.tokens.issue(TokenScope.JOBS)
        browser.said.clear()
        browser.open(f"{url}/jobs", width=360)
        browser.until("!document.getElementById('login').hidden")
        browser.value(f"document.getElementById('token').value = '{token}'")
        browser.value("document.querySelector('#login button').click()")
        browser.until("document.querySelectorAll('#current article').length === 1")
        browser.until("document.querySelector('.state').textContent === 'Running'")
        assert " left" not in browser.value("document.querySelector('.figures').innerText")
        browser.value("document.querySelector('details.errors').open = true")
        browser.until("document.querySelectorAll('.errors li').length === 1")
        text = browser.value("document.body.innerText")
        for part in (
            "<img src=x onerror=document.title='owned'> \\u{202e}gnp\\u{1b}[31m</script><script>",
            "a/<b>2</b>",
            "1.00 MiB of 2.00 MiB",
            "0 of 4 objects\n1.00 MiB\n",
            "\nstarted ",
            "a/<i>0</i>",
            "7 waiting",
            "a/<u>3</u>",
            "again now: it answers 500",
        ):
            assert part in text
        assert re.search(r"again at [0-9:]+.*: request failed with 503", text)
        assert browser.value("document.querySelector('article > progress').value") == 1.5
        names = "[...document.querySelectorAll('.tasks .path')]"
        assert browser.value(f"{names}.length") == 2
        assert browser.value(f"{names}.every((one) => one.scrollWidth <= one.clientWidth)")
        assert browser.value("size(1010 * 1024)") == "0.986 MiB"
        assert browser.value("document.title") == "Jobs: casync"
        assert browser.value("document.querySelectorAll('img, b, i, u').length") == 0
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        assert browser.value("sessionStorage.length + document.cookie.length") == 1
        done = replace(row, cursor=4, counts=Counts(finished=3, failed=1), active=(), waiting=())
        put(store, replace(done, state=JobState.FINISHED, ended=int(time.time())))
        browser.until("document.querySelectorAll('#past article').length === 1")
        text = browser.value("document.body.innerText")
        assert "Finished with errors" in text
        assert "\nended " in text
        assert browser.value("document.querySelector('details.errors').open")  # it stays open
    refused = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    assert [said for said in browser.said if said != refused] == []


def test_a_browser_stops_a_job_and_forgets_the_token(
    app: FastAPI, store: LmdbStore, browser: Browser
) -> None:
    store.jobs.create(JobSpec("https://h/", "a/", SourceKind.LISTING, served=True), 5)
    token, _ = store.tokens.issue(TokenScope.JOBS)
    reader, _ = store.tokens.issue(TokenScope.READ)
    with serving_here(app) as url:
        browser.open(f"{url}/jobs", dark=True)
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        for secret, said in (
            ("nonsense", "not valid here"),
            (reader, "jobs. The server's operator"),
        ):
            browser.until("!document.getElementById('login').hidden")
            browser.value(f"document.getElementById('token').value = '{secret}'")
            browser.value("document.querySelector('#login button').click()")
            browser.until(f"document.getElementById('message').innerText.includes({said!r})")
        browser.value(f"document.getElementById('token').value = '{token}'")
        browser.value("document.querySelector('#login button').click()")
        browser.until("document.querySelectorAll('#current article').length === 1")
        assert "\ncreated " in browser.value("document.body.innerText")
        browser.value("document.querySelector('#current .actions button').click()")
        browser.until("document.querySelector('#past .state')?.textContent === 'Aborted'")
        assert [row.state for row in store.jobs.rows()] == [JobState.ABORTED]
        browser.value("document.getElementById('forget').click()")
        browser.until("!document.getElementById('login').hidden")
        assert browser.value("document.querySelectorAll('article').length") == 0
        assert browser.value("sessionStorage.length") == 0


def test_the_page_of_a_server_without_jobs_says_so(store: LmdbStore, browser: Browser) -> None:
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    with serving_here(app) as url:
        browser.open(f"{url}/jobs")
        browser.until("document.getElementById('message').innerText.includes('runs no jobs')")
        assert browser.value("document.getElementById('login').hidden")

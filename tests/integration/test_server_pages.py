"""Pages for people, and what programs get in their places."""

from __future__ import annotations

import re

import pytest

from tests.support.server_world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_docs_load_no_other_resources(world: World) -> None:
    response = world.ask("GET", "/docs")
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "/v1/objects/fetch" in response.text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", response.text)
    assert "<script" not in response.text


BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


def test_a_browser_gets_a_page_at_the_root(world: World) -> None:
    response = world.ask("GET", "/", headers=BROWSER)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert response.headers["vary"] == "Accept"
    assert "href=docs>" in response.text  # relative: there may be a path prefix
    assert "casync pull NAME" in response.text
    assert not re.search(r"<script|(src|href)=['\"]?(https?:)?//", response.text)
    head = world.ask("HEAD", "/", headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", "/nope", "/v1", "/v1/nope", "/docs/", "/favicon.ico"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html"])
def test_an_unknown_path_is_a_problem_for_programs(world: World, path: str, accept: str) -> None:
    response = world.ask("GET", path, headers={"Accept": accept})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["status"]) == ("not-found", 404)
    assert problem["detail"] == "this server has no such path"


def test_an_unknown_path_is_a_problem_for_browsers_too(world: World) -> None:
    response = world.ask("GET", "/nope", headers=BROWSER)
    assert response.headers["content-type"] == "application/problem+json"

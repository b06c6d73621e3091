"""`/docs`: the OpenAPI description as one page that works offline.

It replaces Swagger UI, whose packages hold a version from 2022 (swagger-ui-bundle) or 1.5 MB of
minified script behind a wrapper with one maintainer. A list of requests does not justify a script
in the origin of the store: this page has none.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

__all__ = ["DOCS_POLICY", "render"]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}"
    "pre{background:#8881;padding:.75rem;overflow-x:auto}"
    "details{border:1px solid #8884;border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}"
    "summary{cursor:pointer}summary b{display:inline-block;min-width:3.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.15rem 1rem .15rem 0;"
    "vertical-align:top}:root{color-scheme:light dark}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

DOCS_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of the page: allows only its own style."""


def render(description: Mapping[str, Any]) -> str:
    """The page for an OpenAPI description."""
    info = description["info"]
    title = escape(f"{info['title']} {info['version']}")
    operations = "".join(
        _operation(path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<pre>{escape(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in description["components"]["schemas"].items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(info.get('summary') or '')}</p>"
        "<p>For programs: <a href=/openapi.json>openapi.json</a></p>"
        f"<h2>Requests</h2>{operations}<h2>Documents</h2>{schemas}</html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
    ]
    rows = [
        (item["name"], item["in"], item.get("description", ""))
        for item in operation.get("parameters", ())
    ]
    body = operation.get("requestBody")
    if body:
        rows.append((", ".join(body["content"]), "body", body.get("description", "")))
    if rows:
        parts.append(_table(("Parameter", "In", ""), rows))
    answers = [
        (status, ", ".join(answer.get("content", ())), answer["description"])
        for status, answer in sorted(operation["responses"].items())
    ]
    parts.append(_table(("Status", "Type", ""), answers))
    return "".join(parts) + "</details>"


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(cell)}' for cell in head)}{lines}</table>"

"""`/docs`: the OpenAPI description as one page that works offline.

It replaces Swagger UI, whose packages hold a version from 2022 (swagger-ui-bundle) or 1.5 MB of
minified script behind a wrapper with one maintainer. A list of requests does not justify a script
in the origin of the store: this page has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from casync_server.pages.frame import frame

__all__ = ["render"]


def render(description: Mapping[str, Any]) -> str:
    """The page for an OpenAPI description."""
    info = description["info"]
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
    return frame(
        f"{info['title']} {info['version']}",
        f"<p>{escape(info.get('summary') or '')}</p>"
        "<p>For programs: <a href=openapi.json>openapi.json</a></p>"
        f"<h2>Requests</h2>{operations}<h2>Documents</h2>{schemas}",
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

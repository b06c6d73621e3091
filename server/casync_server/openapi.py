"""Parts of the OpenAPI description that FastAPI cannot derive: bytes, documents, problems.

The documents are msgspec types that server and client share; msgspec makes their schemas.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from casync.archives.writing.new_format import NewFormat
from casync.wire.batch import BatchItem, BatchRequest
from casync.wire.documents import (
    JSON_TYPE,
    PROBLEM_TYPE,
    ContentItem,
    HistoryPage,
    Info,
    ManifestPage,
    ManifestView,
    NameItem,
    NamePage,
    Problem,
    TreePage,
)
from casync.wire.edits import (
    NameChange,
    NextItem,
    ProvingItem,
    PushItem,
    PushList,
    Refs,
    RemovalItem,
    TakenItem,
    TrashPage,
)
from casync.wire.job_plan import JobPlan
from casync.wire.job_request import JobObjects, JobRequest
from casync.wire.jobs import FaultPage, JobItem, JobPage
from casync.wire.members import MemberPage
from casync_server.access.auth import OPEN_PATHS, level_needed

__all__ = [
    "binary",
    "binary_body",
    "describe",
    "document",
    "document_body",
    "problems",
    "text",
]

_DOCUMENTS: Final = (
    NewFormat,
    BatchItem,
    BatchRequest,
    Info,
    ManifestPage,
    ManifestView,
    NameChange,
    NextItem,
    NameItem,
    NamePage,
    HistoryPage,
    PushItem,
    PushList,
    TakenItem,
    ProvingItem,
    Refs,
    RemovalItem,
    TrashPage,
    TreePage,
    MemberPage,
    ContentItem,
    JobObjects,
    JobRequest,
    JobItem,
    JobPage,
    JobPlan,
    FaultPage,
    Problem,
)
_REF: Final = "#/components/schemas/{name}"
_ANYWHERE: Final = (400, 403, 503, 504)
"""Statuses of any route: a bad request, a foreign page, too many connections, too much work."""

_ELSEWHERE: Final = (404, 405)
"""Statuses of a path parameter with a slash or a newline: it leads to another route, or none."""


def binary(media_type: str, description: str) -> dict[str, Any]:
    """A response of bytes."""
    schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {media_type: {"schema": schema}}}


def binary_body(media_type: str, description: str, max_bytes: int) -> dict[str, Any]:
    """A request body of bytes."""
    schema = {"type": "string", "format": "binary", "maxLength": max_bytes}
    content = {media_type: {"schema": schema}}
    return {"requestBody": {"description": description, "required": True, "content": content}}


def document(description: str, *kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """A response that is one of the given JSON documents."""
    schemas, _ = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": list(schemas)}
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def document_body(description: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A request body that is a JSON document."""
    content = document("", kind)["content"]
    return {"requestBody": {"description": description, "required": True, "content": content}}


def text(description: str, media_type: str = "text/plain") -> dict[str, Any]:
    """A response of text."""
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, together with those of any route."""
    schema = {"$ref": _REF.format(name=Problem.__name__)}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": schema}},
        }
        for status in sorted({*statuses, *_ANYWHERE})
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description of `app`."""
    description = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, schemas = msgspec.json.schema_components(_DOCUMENTS, ref_template=_REF)
    components = description.setdefault("components", {})
    components["schemas"] = dict(sorted(schemas.items()))
    for path, operations in description["paths"].items():
        anywhere = problems(
            *(_ELSEWHERE if "{" in path else ()), *(() if path in OPEN_PATHS else (401,))
        )
        for method, operation in operations.items():
            if path not in OPEN_PATHS:
                level = level_needed(method.upper(), path).name.lower()
                needs = f"Where tokens are required, it needs one of the scope `{level}`."
                operation["description"] = f"{operation['description']} {needs}"
            # FastAPI's own error model is never sent; ours is.
            for status, answer in anywhere.items():
                operation["responses"].setdefault(str(status), answer)
            if "422" in operation["responses"]:
                operation["responses"]["422"] = problems(422)[422]
    return description

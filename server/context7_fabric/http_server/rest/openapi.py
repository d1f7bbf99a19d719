"""The REST face described: its operations in one table, and OpenAPI 3.1 made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from context7_fabric.http_server.rest.schemas import (
    Active,
    Health,
    IndexForm,
    IndexReply,
    Listed,
    NotInitialized,
    QueryForm,
    QueryReply,
    Refused,
    RequestForm,
)
from context7_fabric.version import __version__

SERVERS = ("/", "/rag")
"""Where the operations are served, the second for callers that know the service under that name."""

OpenApiJson = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_TITLES = {
    400: "The body is no JSON.",
    401: "The server wants an access token, and this is none.",
    404: "There is no such collection.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not of the type application/json.",
    422: "A field is wrong; the error says which.",
    429: "There were too many requests.",
    503: "The store does not work.",
}
_ALWAYS = (401, 429, 503)
_WITH_BODY = (400, 404, 408, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and its method: the form that it takes, if any, and the type of its reply."""

    path: str
    method: Literal["GET", "POST"]
    summary: str
    reply: TypeAdapter[Any]
    form: type[RequestForm] | None = None

    @property
    def name(self) -> str:
        """What the operation is called."""
        return self.path.strip("/").replace("/", "-")


HEALTH = Operation("/health", "GET", "Tell whether look-ups work.", TypeAdapter(Health))
COLLECTIONS = Operation("/collections", "GET", "List the collections.", TypeAdapter(list[Listed]))
QUERY = Operation("/query", "POST", "Find libraries.", TypeAdapter(QueryReply), QueryForm)
INDEX = Operation("/index", "POST", "Remember libraries.", TypeAdapter(IndexReply), IndexForm)
STATS = Operation(
    "/library-cache/stats",
    "GET",
    "Tell how many libraries are known, and what that saves.",
    TypeAdapter(Active | NotInitialized),
)
OPERATIONS = (HEALTH, COLLECTIONS, QUERY, INDEX, STATS)


def document() -> OpenApiJson:
    """Return the OpenAPI document of all operations."""
    schemas: OpenApiJson = {}
    paths = {each.path: {each.method.lower(): _described(each, schemas)} for each in OPERATIONS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "context7-fabric",
            "version": __version__,
            "description": "Context7's library ids from what is already known.",
        },
        "servers": [{"url": url} for url in SERVERS],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _described(operation: Operation, schemas: OpenApiJson) -> OpenApiJson:
    refused = _schema(TypeAdapter(Refused), "serialization", schemas)
    statuses = sorted((*_ALWAYS, *(_WITH_BODY if operation.form else ())))
    done = _schema(operation.reply, "serialization", schemas)
    answers = {"200": _answer("Done.", done)}
    answers |= {str(status): _answer(_TITLES[status], refused) for status in statuses}
    described: OpenApiJson = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": answers,
    }
    if operation.form is not None:
        body = _content(_schema(TypeAdapter(operation.form), "validation", schemas))
        described["requestBody"] = {"required": True, "content": body}
    return described


def _schema(
    adapter: TypeAdapter[Any], mode: Literal["validation", "serialization"], schemas: OpenApiJson
) -> OpenApiJson:
    """Return the schema of a type, its named parts put into `schemas`."""
    schema = adapter.json_schema(ref_template=_REFERENCE, mode=mode)
    schemas |= schema.pop("$defs", {})
    title = schema.get("title")
    if title is None:
        return schema
    schemas[title] = schema
    return {"$ref": _REFERENCE.format(model=title)}


def _answer(description: str, schema: Mapping[str, Any]) -> OpenApiJson:
    return {"description": description, "content": _content(schema)}


def _content(schema: Mapping[str, Any]) -> OpenApiJson:
    return {"application/json": {"schema": schema}}

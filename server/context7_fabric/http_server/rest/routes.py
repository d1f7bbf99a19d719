"""Operations of the REST API in one table, from which their routes and OpenAPI 3.1 are made."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.errors import ContextError, StoreError
from context7_fabric.http_server.errors import ErrorResponse, method_not_allowed
from context7_fabric.http_server.rest.collection import (
    InvalidEntry,
    LibraryCollection,
    NoDocumentation,
)
from context7_fabric.http_server.rest.schemas import (
    Active,
    DocsForm,
    DocsReply,
    Health,
    IndexForm,
    IndexReply,
    Listed,
    NotInitialized,
    QueryForm,
    QueryReply,
    Refused,
    problems,
)
from context7_fabric.lenient_json import mended
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.rows import COLLECTION
from context7_fabric.version import __version__

JSON = "application/json"
SERVERS = ("/", "/rag")
"""Prefixes of the operations; the second is for clients that know the service under that name."""

Form: TypeAlias = QueryForm | DocsForm | IndexForm


@dataclass(frozen=True, slots=True)
class Operation:
    """A path, its method, the type of its reply, the code that makes it, and its form, if any."""

    path: str
    method: Literal["GET", "POST"]
    summary: str
    reply: Any
    run: Callable[..., Awaitable[object]]
    form: type[Form] | None = None

    @property
    def name(self) -> str:
        """Id of the operation."""
        return self.path.strip("/").replace("/", "-")

    @property
    def allowed(self) -> str:
        """Methods that its path takes."""
        return "GET, HEAD" if self.method == "GET" else self.method


QUERY = Operation(
    "/query", "POST", "Find libraries.", QueryReply, LibraryCollection.query, QueryForm
)
INDEX = Operation(
    "/index", "POST", "Remember libraries.", IndexReply, LibraryCollection.index, IndexForm
)
DOCS = Operation("/docs", "POST", "Ask a library.", DocsReply, LibraryCollection.docs, DocsForm)
OPERATIONS = (
    Operation("/health", "GET", "Report whether look-ups work.", Health, LibraryCollection.health),
    Operation(
        "/collections", "GET", "List the collections.", list[Listed], LibraryCollection.collections
    ),
    QUERY,
    DOCS,
    INDEX,
    Operation(
        "/library-cache/stats",
        "GET",
        "Count the known libraries and estimate what they save.",
        Active | NotInitialized,
        LibraryCollection.stats,
    ),
)


def rest_routes(collection: LibraryCollection) -> list[Route]:
    """Return the routes of all operations, to be served at the root or below a prefix."""
    routes = [Route(each.path, _Endpoint(each, collection)) for each in OPERATIONS]
    return [*routes, Route("/openapi.json", _openapi)]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An ASGI application that runs one operation."""

    operation: Operation
    collection: LibraryCollection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> ASGIApp:
        form = await _read_form(self.operation, request)
        if isinstance(form, ErrorResponse):
            return form
        client = request.client.host if request.client is not None else ""
        collection = replace(self.collection, address=client)
        try:
            value = await self.operation.run(collection, *([] if form is None else [form]))
        except NoDocumentation as error:
            return ErrorResponse(404, redact(str(error)))
        except (ContextError, InvalidEntry) as error:
            return ErrorResponse(422, redact(str(error)))
        except StoreError as error:
            return ErrorResponse(503, redact(str(error)))
        # A stored text may hold a lone surrogate, which UTF-8 cannot encode.
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        reply = _adapter(self.operation.reply)
        return Response(reply.dump_json(reply.validate_json(text)), media_type=JSON)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401  # a type, or a union of types
    return TypeAdapter(kind)


async def _read_form(operation: Operation, request: Request) -> Form | ErrorResponse | None:
    """Return the form in a request, None where the operation has none, or an error response."""
    if request.method not in operation.allowed.split(", "):
        return method_not_allowed(operation.allowed)
    if operation.form is None:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:  # a page of another site can have a browser send a form, but no JSON
        return ErrorResponse(415, f"the body has to be of the type {JSON}")
    try:
        form = operation.form.model_validate_json(_strict_json(await request.body()))
    except ValidationError as error:
        malformed = any(each["type"] == "json_invalid" for each in error.errors())
        return ErrorResponse(400 if malformed else 422, redact(problems(error)))
    if not isinstance(form, DocsForm) and form.collection != COLLECTION:
        return ErrorResponse(404, f"there is no such collection: the one here is {COLLECTION}")
    return form


def _strict_json(body: bytes) -> bytes:
    """Return a body as strict readers accept it, changed only where it has to be."""
    try:
        from_json(body)
    except ValueError:
        return mended(body) or body
    return body


async def _openapi(_request: Request) -> Response:
    return Response(_openapi_text(), media_type=JSON)


@cache
def _openapi_text() -> bytes:
    return json.dumps(openapi_document()).encode()


OpenApiJson = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    400: "The body is no JSON.",
    401: "The access token is missing or unknown.",
    404: "There is no such collection.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not of the type application/json.",
    422: "A field is wrong; the error names it.",
    429: "There were too many requests.",
    503: "The store does not work.",
}
_ERRORS_WITHOUT_BODY = (401, 429, 503)


def openapi_document() -> OpenApiJson:
    """Return the OpenAPI document of all operations."""
    schemas: OpenApiJson = {}
    paths = {each.path: {each.method.lower(): _described(each, schemas)} for each in OPERATIONS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "context7-fabric",
            "version": __version__,
            "description": "Library ids of Context7, from the registry of this server.",
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
    refused = _schema(Refused, "serialization", schemas)
    statuses = _ERRORS if operation.form else _ERRORS_WITHOUT_BODY
    done = _schema(operation.reply, "serialization", schemas)
    responses = {"200": {"description": "Done.", "content": _content(done)}}
    for status in statuses:
        responses[str(status)] = {"description": _ERRORS[status], "content": _content(refused)}
    described: OpenApiJson = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses,
    }
    if operation.form is not None:
        form = _schema(operation.form, "validation", schemas)
        described["requestBody"] = {"required": True, "content": _content(form)}
    return described


def _schema(
    kind: Any,  # noqa: ANN401  # as above
    mode: Literal["validation", "serialization"],
    schemas: OpenApiJson,
) -> OpenApiJson:
    """Return the schema of a type; its named parts go into `schemas`."""
    schema = _adapter(kind).json_schema(ref_template=_REFERENCE, mode=mode)
    schemas |= schema.pop("$defs", {})
    title = schema.get("title")
    if title is None:
        return schema
    schemas[title] = schema
    return {"$ref": _REFERENCE.format(model=title)}


def _content(schema: OpenApiJson) -> OpenApiJson:
    return {JSON: {"schema": schema}}

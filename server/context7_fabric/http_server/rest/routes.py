"""The REST face: libraries by name over plain HTTP, for whoever does not speak MCP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.answers.library_choice import UNKNOWN
from context7_fabric.errors import ContextError, StoreError
from context7_fabric.http_server.errors import ErrorResponse, not_allowed
from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.openapi import (
    COLLECTIONS,
    HEALTH,
    INDEX,
    QUERY,
    STATS,
    Operation,
    document,
)
from context7_fabric.http_server.rest.schemas import IndexForm, QueryForm, RequestForm, problems
from context7_fabric.lenient_json import mended
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.choices import TaughtName
from context7_fabric.registry.readings import read_name
from context7_fabric.registry.rows import COLLECTION
from context7_fabric.version import __version__

JSON = "application/json"
_FORM = "/org/project, with or without a version"

FormT = TypeVar("FormT", bound=RequestForm)
OpenCollection: TypeAlias = Callable[[Request], AbstractAsyncContextManager[LibraryCollection]]
"""Lends the collection of libraries as the visitor of a request sees it."""

RestWork: TypeAlias = Callable[[LibraryCollection, bytes], Awaitable[object]]


class _Unusable(Exception):
    """A request that is not done; holds the refusal."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.refusal = ErrorResponse(status, redact(error))


class RestApi:
    """The routes of the face."""

    def __init__(self, open_collection: OpenCollection) -> None:
        """Answer from what `open_collection` lends for each request."""
        self._open = open_collection

    def routes(self) -> list[Route]:
        """Return the routes, to be served at the root or below a prefix."""
        works: tuple[tuple[Operation, RestWork], ...] = (
            (HEALTH, _health),
            (COLLECTIONS, _collections),
            (QUERY, _query),
            (INDEX, _index),
            (STATS, _stats),
        )
        routes = [Route(each.path, _Endpoint(each, work, self._open)) for each, work in works]
        return [*routes, Route("/openapi.json", _openapi)]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An ASGI application that does one operation."""

    operation: Operation
    work: RestWork
    open_collection: OpenCollection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer: ASGIApp
        try:
            answer = _refused(self.operation, request) or await self._done(request)
        except _Unusable as unusable:
            answer = unusable.refusal
        except ContextError as error:
            answer = ErrorResponse(422, redact(str(error)))
        except StoreError as error:
            answer = ErrorResponse(503, redact(str(error)))
        await answer(scope, receive, send)

    async def _done(self, request: Request) -> Response:
        body = await request.body()
        async with self.open_collection(request) as collection:
            told = await self.work(collection, body)
        # A stored text may hold half of a sign, which UTF-8 cannot say.
        text = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
        reply = self.operation.reply
        return Response(reply.dump_json(reply.validate_json(text)), media_type=JSON)


def _refused(operation: Operation, request: Request) -> ErrorResponse | None:
    """Return why a request cannot be read, None when it can."""
    allowed = "GET, HEAD" if operation.method == "GET" else operation.method
    if request.method not in allowed.split(", "):
        return not_allowed(allowed)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A page elsewhere can have a browser send a form, but no JSON.
    if operation.form is not None and kind != JSON:
        return ErrorResponse(415, f"the body has to be of the type {JSON}")
    return None


async def _openapi(_request: Request) -> Response:
    return Response(_written_document(), media_type=JSON)


@cache
def _written_document() -> bytes:
    return json.dumps(document()).encode()


async def _health(collection: LibraryCollection, _body: bytes) -> object:
    return {**collection.health(), "version": __version__}


async def _collections(collection: LibraryCollection, _body: bytes) -> object:
    return await collection.collections()


async def _stats(collection: LibraryCollection, _body: bytes) -> object:
    return await collection.stats()


async def _query(collection: LibraryCollection, body: bytes) -> object:
    form = _read(QueryForm, body)
    wanted = form.metadata_filter.model_dump(exclude_unset=True)
    _check_name(form.collection)
    return await collection.query(form.query, form.n_results, wanted)


async def _index(collection: LibraryCollection, body: bytes) -> object:
    form = _read(IndexForm, body)
    _check_name(form.collection)
    lessons = _lessons(form, collection.desk.redacted)
    rows = await collection.index(lessons)
    return {
        "indexed": len(rows),
        "ids": [row.key for row in rows],
        "library_ids": [row.id for row in rows],
    }


def _read(kind: type[FormT], body: bytes) -> FormT:
    try:
        return kind.model_validate_json(_readable(body))
    except ValidationError as error:
        malformed = any(each["type"] == "json_invalid" for each in error.errors())
        raise _Unusable(400 if malformed else 422, problems(error)) from error


def _readable(body: bytes) -> bytes:
    """Return a body as strict readers take it, mended only where that has to be."""
    try:
        from_json(body)
    except ValueError:
        return mended(body) or body
    return body


def _check_name(collection: str) -> None:
    if collection != COLLECTION:
        raise _Unusable(404, f"there is no such collection: the one here is {COLLECTION}")


def _lessons(form: IndexForm, redacted: Callable[[str], str]) -> list[TaughtName]:
    """Return what a form teaches, without secrets or versions; all of it can be stored."""
    lessons = []
    for at, entry in enumerate(form.metadatas):
        name, library_id = redacted(entry.library_name), _library_in(redacted(entry.library_id))
        if not read_name(name).name:
            raise _Unusable(422, f"metadatas[{at}].library_name: it names nothing")
        if library_id is None:
            raise _Unusable(422, f"metadatas[{at}].library_id: it is not a library id ({_FORM})")
        category = "" if entry.category == UNKNOWN else redacted(entry.category)
        aliases = tuple(map(redacted, entry.aliases))
        lessons.append(TaughtName(name, library_id, aliases, category))
    return lessons


def _library_in(text: str) -> LibraryId | None:
    """Return the library that an id means, whichever version stands behind."""
    named = parse_id(text)
    return None if named is None else replace(named, version=None)

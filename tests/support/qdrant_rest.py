"""A stand-in for a Qdrant server: the few requests that we send, over the Qdrant in the client.

It shows that our requests can be said on the wire, that what comes back is read, and how many
requests a call takes. It does not show what only the server does: its indexes and their speed, its
limits and its durability, how it orders the requests of several clients, and whether it takes each
as the Qdrant in the client does. For that, QDRANT_URL names a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel
from qdrant_client import QdrantClient, models
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from support.listener import serving

Body = dict[str, Any]
DONE = {"operation_id": 0, "status": "completed"}


@dataclass
class Rest:
    """A running stand-in: its address, what it holds, and what it was asked."""

    url: str = ""
    held: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    asked: list[str] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, status = Request(scope, receive), 200
        body = json.loads(await request.body() or b"{}")
        try:
            said = {"result": self.answer(request.method, request.url.path, body)}
        except LookupError as refused:
            status, error = refused.args
            said = {"status": {"error": error}}
        reply = JSONResponse({"status": "ok", "time": 0.0, **said}, status)
        await reply(scope, receive, send)

    def answer(self, method: str, path: str, body: Body) -> Any:  # noqa: ANN401  # any JSON
        _, _, name, *rest = path.split("/")
        what = " ".join([method, *rest])
        self.asked.append(what)
        if rest != ["exists"] and method != "PUT" and not self.held.collection_exists(name):
            raise LookupError(404, f"Collection `{name}` doesn't exist!")
        return _ANSWERS[what](self, name, body)


def _create(rest: Rest, name: str, body: Body) -> bool:
    if rest.held.collection_exists(name):
        raise LookupError(409, f"Collection `{name}` already exists!")
    return rest.held.create_collection(name, models.CreateCollection(**body).vectors)


def _info(rest: Rest, name: str, body: Body) -> Body:
    schema = {field: {"data_type": kind, "points": 0} for field, kind in rest.indexes.items()}
    return {**_plain(rest.held.get_collection(name)), "payload_schema": schema}


def _index(rest: Rest, name: str, body: Body) -> Body:
    rest.indexes[body["field_name"]] = body["field_schema"]
    return DONE


def _scroll(rest: Rest, name: str, body: Body) -> Body:
    wanted = models.ScrollRequest(**body)
    if isinstance(wanted.order_by, models.OrderBy) and wanted.order_by.key not in rest.indexes:
        raise LookupError(400, f"No range index for `order_by` key: `{wanted.order_by.key}`.")
    asked = (wanted.filter, wanted.limit or 10, wanted.order_by, wanted.offset)
    points, after = rest.held.scroll(name, *asked, with_payload=wanted.with_payload or False)
    return {"points": _plain(points), "next_page_offset": after}


def _query(rest: Rest, name: str, body: Body) -> Any:  # noqa: ANN401  # any JSON
    wanted = models.QueryRequest(**body)
    query = partial(rest.held.query_points, name, wanted.query, using=wanted.using)
    limit, fields = wanted.limit or 10, body["with_payload"]
    return _plain(query(query_filter=wanted.filter, limit=limit, with_payload=fields))


def _batch(rest: Rest, name: str, body: Body) -> list[Body]:
    operations = models.UpdateOperations(**body).operations
    rest.held.batch_update_points(name, operations)
    return [DONE for _ in operations]


_ANSWERS: dict[str, Callable[[Rest, str, Body], Any]] = {
    "GET exists": lambda rest, name, body: {"exists": rest.held.collection_exists(name)},
    "PUT": _create,
    "GET": _info,
    "PUT index": _index,
    "POST points": lambda rest, name, body: _plain(rest.held.retrieve(name, body["ids"])),
    "POST points scroll": _scroll,
    "POST points count": lambda rest, name, body: _plain(
        rest.held.count(name, models.CountRequest(**body).filter)
    ),
    "POST points query": _query,
    "POST points batch": _batch,
}


@contextmanager
def qdrant_rest() -> Iterator[Rest]:
    rest = Rest()
    with serving(rest) as port:
        rest.url = f"http://127.0.0.1:{port}"
        yield rest
    rest.held.close()


def _plain(value: Any) -> Any:  # noqa: ANN401  # whatever the client returns
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(each) for each in value] if isinstance(value, list) else value

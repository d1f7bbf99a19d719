"""REST API of an app: called without a socket, or at a port."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.routes import rest_routes
from context7_fabric.models import Viewer
from context7_fabric.runtime.app import App


def rest_app(app: App) -> Starlette:
    """Return the REST API of `app`, at the root and below /rag."""
    routes = rest_routes(LibraryCollection(app.desk, Viewer(app.principal, app.owner)))
    return Starlette(routes=[Mount("/rag", routes=routes), *routes])


@asynccontextmanager
async def asking(app: App) -> AsyncGenerator[httpx2.AsyncClient]:
    """Open a client of the REST API of `app`."""
    transport = httpx2.ASGITransport(app=rest_app(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
        yield http


class _Server(uvicorn.Server):
    """uvicorn without its signals, which are the test runner's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def at_a_port(app: App) -> AsyncGenerator[str]:
    """Serve the REST API of `app` at a free port of this machine; yield its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    async with anyio.create_task_group() as tasks:
        server = _Server(uvicorn.Config(rest_app(app), log_config=None, access_log=False))
        tasks.start_soon(partial(server.serve, sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True


def entries(**ids: str) -> dict[str, Any]:
    """Return the form that indexes libraries: names, and the ids that they mean."""
    metadatas = [{"library_name": name, "library_id": each} for name, each in ids.items()]
    return {
        "documents": list(ids),
        "metadatas": metadatas,
        "ids": [f"lib-{name}" for name in ids],
    }


async def found(http: httpx2.AsyncClient, phrase: str, **more: object) -> list[dict[str, Any]]:
    """Return the results of a query."""
    reply = await http.post("/query", json={"query": phrase, **more})
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


async def best(http: httpx2.AsyncClient, phrase: str) -> tuple[str, float]:
    """Return the id and the score of the first result."""
    first = (await found(http, phrase))[0]
    return first["metadata"]["library_id"], first["relevance_score"]


async def refused(http: httpx2.AsyncClient, path: str, body: object) -> tuple[int, str]:
    """Return the status and the error of a refusal."""
    reply = await http.post(path, json=body)
    assert list(reply.json()) == ["error"]
    return reply.status_code, reply.json()["error"]

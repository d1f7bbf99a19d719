"""REST API of an app: called without a socket, or at a port."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.routes import rest_routes
from context7_fabric.models import Viewer
from context7_fabric.runtime.app import App
from support.listener import Listener
from support.scripted import FakeClock, ScriptedUpstream, scripted_app


def rest_app(app: App) -> Starlette:
    """Return the REST API of `app`, at the root and below /rag."""
    routes = rest_routes(LibraryCollection(app.services, Viewer(app.principal, app.owner)))
    return Starlette(routes=[Mount("/rag", routes=routes), *routes])


@asynccontextmanager
async def asking(app: App) -> AsyncGenerator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=rest_app(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
        yield http


@asynccontextmanager
async def at_a_port(app: App) -> AsyncGenerator[str]:
    """Serve the REST API of `app` at a free port, in this event loop; yield its address."""
    listener = Listener(rest_app(app), 0)
    port = await listener.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await listener.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def app(tmp_path: Path, clock: FakeClock) -> AsyncGenerator[App]:
    async with scripted_app(ScriptedUpstream(), clock, tmp_path, MODEL="off") as app:
        yield app


@pytest.fixture
async def http(app: App) -> AsyncGenerator[httpx2.AsyncClient]:
    async with asking(app) as http:
        yield http


def entries(**ids: str) -> dict[str, Any]:
    """Return the form that indexes libraries: names, and the ids that they mean."""
    metadatas = [{"library_name": name, "library_id": each} for name, each in ids.items()]
    return {
        "documents": list(ids),
        "metadatas": metadatas,
        "ids": [f"lib-{name}" for name in ids],
    }


async def found(http: httpx2.AsyncClient, phrase: str, **more: object) -> list[dict[str, Any]]:
    reply = await http.post("/query", json={"query": phrase, **more})
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


async def best(http: httpx2.AsyncClient, phrase: str) -> tuple[str, float]:
    first = (await found(http, phrase))[0]
    return first["metadata"]["library_id"], first["relevance_score"]


async def refused(http: httpx2.AsyncClient, path: str, body: object) -> tuple[int, str]:
    reply = await http.post(path, json=body)
    assert list(reply.json()) == ["error"]
    return reply.status_code, reply.json()["error"]

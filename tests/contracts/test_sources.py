"""This machine's registry and a server's keep one contract; what only the server's does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from context7_fabric.client.local import LocalRegistry
from context7_fabric.client.remote import RemoteRegistry
from context7_fabric.client.source import LibrarySource, RemoteServer
from context7_fabric.runtime.app import App
from contracts.source_contract import WIDGET, OpenSource, SourceContract, id_of
from support.rest import rest_app
from support.scripted import FakeClock, settings_for

SERVICE = RemoteServer("http://here/rag", "c7f_token")
GUARDED = RemoteServer("http://user:secret@here/rag")


class TestLocalRegistry(SourceContract):
    @pytest.fixture
    def open_source(self, clock: FakeClock, tmp_path: Path) -> OpenSource:
        @asynccontextmanager
        async def opened() -> AsyncGenerator[LibrarySource]:
            source = LocalRegistry(settings_for(tmp_path), clock)
            yield source
            await source.aclose()

        return opened


class TestRemoteRegistry(SourceContract):
    @pytest.fixture
    def open_source(self, clock: FakeClock, app: App) -> OpenSource:
        @asynccontextmanager
        async def opened() -> AsyncGenerator[LibrarySource]:
            transport = httpx2.ASGITransport(app=rest_app(app))
            yield RemoteRegistry(SERVICE, clock, transport=transport)

        return opened


def remote(
    reply: httpx2.Response | Exception, seen: list[httpx2.Request], service: RemoteServer = SERVICE
) -> RemoteRegistry:
    """Return a source whose service gives `reply`; the requests go into `seen`."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return RemoteRegistry(service, FakeClock(), transport=httpx2.MockTransport(handle))


@pytest.mark.parametrize("service", [SERVICE, GUARDED], ids=["token", "password"])
@pytest.mark.parametrize(
    "reply",
    [
        httpx2.ConnectError("connection refused"),
        httpx2.ReadTimeout("too late"),
        httpx2.Response(401, json={"error": "who are you"}),
        httpx2.Response(302, headers={"Location": "http://elsewhere/query"}),
        httpx2.Response(500),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json={"results": "none"}),
        httpx2.Response(200, json=[]),
    ],
    ids=["unreachable", "slow", "stranger", "moved", "failing", "page", "odd", "list"],
)
async def test_a_fault_of_the_service_is_a_miss_and_logged_without_credentials(
    reply: httpx2.Response | Exception, service: RemoteServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[httpx2.Request] = []
    source = remote(reply, seen, service)
    assert await source.find("pydantic") is None
    assert len(seen) == 1
    assert caplog.records
    assert (await source.learn("widget", WIDGET)).library.library_id == str(WIDGET)
    for secret in ("secret", "c7f_token"):
        assert secret not in caplog.text


async def test_only_an_exact_result_with_an_id_is_taken(
    app: App,
) -> None:
    transport = httpx2.ASGITransport(app=rest_app(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
        reply = (await http.post("/query", json={"query": "pydantic"})).json()
    assert await id_of(remote(httpx2.Response(200, json=reply), []), "x") is not None
    for change in (
        {"relevance_score": 0.9999},
        {"metadata": {**reply["results"][0]["metadata"], "library_id": "none"}},
        {"metadata": {**reply["results"][0]["metadata"], "last_verified": "yesterday"}},
    ):
        changed = {**reply, "results": [{**reply["results"][0], **change}]}
        assert await id_of(remote(httpx2.Response(200, json=changed), []), "x") is None


async def test_the_token_goes_to_the_service_and_no_secret_of_a_name_does() -> None:
    seen: list[httpx2.Request] = []
    source = remote(httpx2.Response(500), seen)
    secret = "ghp_" + "a1B2" * 9
    await source.find(f"widget {secret}")
    await source.learn(f"widget {secret}", WIDGET)
    assert [str(each.url.path) for each in seen] == ["/rag/query", "/rag/index"]
    assert {each.headers["authorization"] for each in seen} == {"Bearer c7f_token"}
    assert secret not in "".join(each.content.decode() for each in seen)

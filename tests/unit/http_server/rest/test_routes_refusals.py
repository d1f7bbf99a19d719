"""Errors of the REST API: one line each, with the place, and without a secret."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from support.rest import asking, entries, refused
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

WIDGET = "/widgets/widget1"
SECRET = "ghp_" + "a1B2" * 9
POSTS = ("/query", "/index")
GETS = ("/health", "/collections", "/library-cache/stats", "/openapi.json")


@pytest.mark.parametrize(
    ("path", "body", "status", "place"),
    [
        ("/query", {}, 422, "query: "),
        ("/query", {"query": 1}, 422, "query: "),
        ("/query", {"query": "x", "n_results": 0}, 422, "n_results: "),
        ("/query", {"query": "x", "n_results": 51}, 422, "n_results: "),
        ("/query", {"query": "x", "metadata_filter": {"id": 1}}, 422, "metadata_filter.id: "),
        ("/query", [], 422, ""),
        ("/query", {"query": "x", "collection": "other"}, 404, "there is no such collection"),
        ("/index", {**entries(a=WIDGET), "collection": "other"}, 404, "there is no such"),
        ("/index", entries(), 422, "documents: "),
        ("/index", entries(**{f"n{at}": WIDGET for at in range(101)}), 422, "documents: "),
        ("/index", {**entries(a=WIDGET), "ids": ["a", "b"]}, 422, "documents, metadatas and ids"),
        ("/index", entries(**{" ": WIDGET}), 422, "metadatas[0].library_name: "),
        ("/index", entries(**{"": WIDGET}), 422, "metadatas[0].library_name: "),
        ("/index", entries(a="/widgets//widget"), 422, "metadatas[0].library_id: "),
        ("/index", entries(a=f"{WIDGET}/"), 422, "metadatas[0].library_id: "),
        ("/index", {**entries(a=WIDGET), "metadatas": [{}]}, 422, "metadatas[0].library_name: "),
    ],
)
async def test_a_wrong_field_is_refused_with_its_place(
    http: httpx2.AsyncClient, path: str, body: object, status: int, place: str
) -> None:
    error = await refused(http, path, body)
    assert error[0] == status
    assert error[1].startswith(place)


async def test_a_refusal_repeats_nothing_that_may_be_secret(http: httpx2.AsyncClient) -> None:
    bodies: tuple[tuple[str, object], ...] = (
        ("/query", {"query": [SECRET]}),
        ("/query", {"query": "x", "collection": SECRET}),
        ("/query", {"query": "x", "metadata_filter": {SECRET: 1}}),
        ("/index", entries(a=SECRET)),
    )
    for path, body in bodies:
        _status, error = await refused(http, path, body)
        assert SECRET not in error


@pytest.mark.parametrize("body", [b"", b"{", b'{"query": "\xff"', b"[" * 5000, b"NaN,"])
@pytest.mark.parametrize("path", POSTS)
async def test_what_is_no_json_is_a_bad_request(
    http: httpx2.AsyncClient, path: str, body: bytes
) -> None:
    reply = await http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    assert list(reply.json()) == ["error"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", POSTS)
async def test_what_a_page_can_have_a_browser_send_is_refused(
    http: httpx2.AsyncClient, path: str, kind: str
) -> None:
    reply = await http.post(path, content=b'{"query": "x"}', headers={"Content-Type": kind})
    assert reply.status_code == 415
    assert "application/json" in reply.json()["error"]


async def test_the_type_may_name_its_character_set(http: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    reply = await http.post("/query", content=b'{"query": "x"}', headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [*POSTS, *GETS[:-1]])
async def test_another_method_is_refused_with_those_allowed(
    http: httpx2.AsyncClient, path: str, method: str
) -> None:
    allowed = ("POST",) if path in POSTS else ("GET", "HEAD")
    reply = await http.request(method, path)
    if method in allowed:
        assert reply.status_code in (200, 415)
    else:
        assert reply.status_code == 405
        assert reply.headers["allow"] == ", ".join(allowed)
        assert list(reply.json()) == ["error"]


async def test_a_value_that_the_store_does_not_take_is_refused_in_one_line(
    tmp_path: Path, clock: FakeClock
) -> None:
    apps = scripted_app(ScriptedUpstream(), clock, tmp_path, MODEL="off", VALUE_LIMIT="10")
    async with apps as app, asking(app) as http:
        status, error = await refused(http, "/index", entries(widget=WIDGET))
    assert status == 422
    assert "10 are allowed" in error
    assert "\n" not in error

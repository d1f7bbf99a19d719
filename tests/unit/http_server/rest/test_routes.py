"""Replies of the REST API: libraries by name, counts, and its state."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from context7_fabric.http_server.rest.collection import LIKENESS, TOKENS_A_HIT, index_status
from context7_fabric.models import Caller, Question, tokens
from context7_fabric.runtime.app import App
from context7_fabric.suggestions.worker_client import NO_MODEL
from context7_fabric.version import __version__
from context7_fabric.views.visibility import NOTICE
from support.rest import asking, best, entries, found
from support.scripted import FakeClock, ScriptedUpstream, list_text, scripted_app

PYDANTIC = "/pydantic/pydantic"
WIDGET = "/widgets/widget1"
GETS = ("/health", "/collections", "/library-cache/stats", "/openapi.json")


async def test_health_reports_the_state_of_the_index(app: App, http: httpx2.AsyncClient) -> None:
    await app.services.registry.loaded.wait()
    reply = await http.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {"status": "healthy", "qdrant_status": "idle", "version": __version__}
    assert not await app.services.suggester.settle(5)
    reply = (await http.get("/health")).json()
    assert (reply["status"], reply["qdrant_status"]) == ("healthy", "off")


@pytest.mark.parametrize(
    ("worker_pid", "trouble", "status"),
    [
        (1, None, "connected"),
        (1, "an earlier one did not start", "connected"),
        (None, None, "idle"),
        (None, NO_MODEL, "off"),
        (None, "connection refused", "unreachable"),
    ],
)
def test_the_state_of_the_index_is_one_word(
    worker_pid: int | None, trouble: str | None, status: str
) -> None:
    assert index_status(worker_pid, trouble) == status


async def test_query_of_a_name_has_one_exact_match_and_suggestions(
    http: httpx2.AsyncClient,
) -> None:
    first, *others = await found(http, "pydantic", n_results=4)
    assert first["id"] == "lib-pypi-pydantic"
    assert (first["relevance_score"], first["ranked_by"]) == (1.0, "exact")
    assert first["metadata"]["library_id"] == PYDANTIC
    assert first["metadata"]["last_verified"] == ""
    assert first["document"].startswith("pydantic")
    assert others == []
    first, *others = await found(http, "pytest asyncio", n_results=4)
    assert (first["id"], first["relevance_score"]) == ("lib-pypi-pytest-asyncio", 1.0)
    assert len(others) == 3
    assert all(0 < each["relevance_score"] <= LIKENESS for each in others)
    assert {each["ranked_by"] for each in others} == {"words"}


async def test_a_shared_name_means_what_python_programs_install(
    http: httpx2.AsyncClient,
) -> None:
    assert await best(http, "redis") == ("/redis/redis-py", 1.0)


async def test_query_of_an_ambiguous_name_is_no_hit(http: httpx2.AsyncClient) -> None:
    (shared,) = await found(http, "mongodb", n_results=1)
    assert (shared["ranked_by"], shared["relevance_score"]) == ("namesake", LIKENESS)


async def test_nothing_scores_as_a_hit_when_the_name_means_nothing_for_certain(
    http: httpx2.AsyncClient,
) -> None:
    results = await found(http, "validate data with type hints", n_results=50)
    assert results
    assert max(each["relevance_score"] for each in results) <= LIKENESS


async def test_text_from_outside_is_marked_as_data(http: httpx2.AsyncClient) -> None:
    reply = (await http.post("/query", json={"query": "pydantic"})).json()
    assert (reply["notice"], reply["screening"]) == (NOTICE, [])


async def test_without_a_phrase_the_most_used_come_first(
    app: App, http: httpx2.AsyncClient
) -> None:
    await app.services.registry.loaded.wait()
    app.services.registry.used(PYDANTIC)
    first = (await found(http, "", n_results=1))[0]
    assert (first["metadata"]["library_id"], first["ranked_by"]) == (PYDANTIC, "usage")
    assert (first["metadata"]["usage_count"], first["relevance_score"]) == (1, 0.0)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"library_name": "PyTest_asyncio"}, 1),
        ({"aliases": "redis-py"}, 1),
        ({"category": "testing", "ecosystem": "pypi"}, 3),
        ({"category": "no such category"}, 0),
    ],
    ids=str,
)
async def test_a_filter_leaves_only_what_equals_it(
    http: httpx2.AsyncClient, wanted: dict[str, str], count: int
) -> None:
    results = await found(http, "pydantic", n_results=3, metadata_filter=wanted)
    assert len(results) == count
    for field in wanted.keys() & {"category", "ecosystem"}:
        assert {each["metadata"][field] for each in results} <= {wanted[field]}


async def test_rows_without_an_id_or_with_a_broken_one_are_left_out(
    app: App, http: httpx2.AsyncClient
) -> None:
    assert await found(http, "huggingface", metadata_filter={"library_name": "huggingface"}) == []
    assert await best(http, "pydantic") == (PYDANTIC, 1.0)
    await app.services.registry.broken(PYDANTIC)
    assert await found(http, "pydantic") == []


@pytest.mark.parametrize("path", GETS)
async def test_everything_is_served_below_the_prefix_as_well(
    http: httpx2.AsyncClient, path: str
) -> None:
    assert (await http.get(f"/rag{path}")).json() == (await http.get(path)).json()


async def test_the_one_collection_is_counted(app: App, http: httpx2.AsyncClient) -> None:
    (before,) = (await http.get("/collections")).json()
    assert (before["name"], before["vectors_count"]) == ("library_registry", 0)
    rows = [row for row in app.services.registry.rows() if row.id]
    assert before["points_count"] == len(rows) < len(app.services.registry.rows())
    await http.post("/index", json=entries(widget=WIDGET))
    (after,) = (await http.get("/collections")).json()
    assert after["points_count"] == before["points_count"] + 1


async def test_savings_are_those_of_the_benchmark_until_there_are_look_ups(
    http: httpx2.AsyncClient,
) -> None:
    reply = (await http.get("/library-cache/stats")).json()
    savings, count = reply.pop("estimated_savings"), reply["total_libraries"]
    assert (reply["collection"], reply["status"]) == ("library_registry", "active")
    assert count > 40
    assert savings["tokens_per_hit"] == TOKENS_A_HIT
    assert savings["potential_daily_savings"] == count * 10 * TOKENS_A_HIT
    assert "benchmark" in savings["measured_on"]


async def test_savings_with_look_ups_are_measured_on_the_principals_own(
    app: App, http: httpx2.AsyncClient
) -> None:
    caller = Caller(app.principal)
    await app.services.registry.loaded.wait()
    await app.services.resolve(Question("widget1"), caller)
    await http.post("/index", json=entries(widget1=WIDGET))
    answer = await app.services.resolve(Question("widget1"), caller)
    assert 0 < answer.tokens_saved < tokens(list_text(5))
    app.services.call_log.record("resolve-library-id", {"libraryName": "widget"}, caller, answer)
    savings = (await http.get("/library-cache/stats")).json()["estimated_savings"]
    assert savings["tokens_per_hit"] == answer.tokens_saved
    assert savings["measured_on"] == "1 of the newest look-ups"


async def test_stats_without_a_known_id_name_the_next_step(
    tmp_path: Path, clock: FakeClock
) -> None:
    seeds = tmp_path / "seeds.yaml"
    seeds.write_text("categories: {none: {libraries: [{name: widget}]}}", "utf-8")
    home = tmp_path / "home"
    apps = scripted_app(ScriptedUpstream(), clock, home, MODEL="off", SEED=str(seeds))
    async with apps as app, asking(app) as http:
        reply = await http.get("/library-cache/stats")
        assert reply.status_code == 200
        assert reply.json() == {
            "collection": "library_registry",
            "status": "not_initialized",
            "error": "no library has an id yet",
            "action": "Run: context7-fabric index",
        }

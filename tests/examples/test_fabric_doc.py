"""The examples of docs/fabric.md run on each backend, and print what their comments say.

Those that need a password, the model or a process of their own run in
tests/integration/test_fabric_doc_servers.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from context7_fabric import DiskFabric, Fabric, InMemoryFabric, RedisFabric, get_context7_cache
from contracts.disk_store import execute
from support.examples import examples, printed, said
from support.programs import needed_server
from support.redis_servers import RedisServer, redis_server

ROOT = Path(__file__).parents[2]
CODE = examples((ROOT / "docs" / "fabric.md").read_text("utf-8"))
ELSEWHERE = ROOT / "tests" / "integration" / "test_fabric_doc_servers.py"
ANOTHER = "fabric = InMemoryFabric()\n"
MINE = ("CONTEXT7_", "LIBRARY_CACHE_", "RAG_SERVICE_")
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no room'); END"

STORIES = (
    ("2. Store a prompt", "3. Read it"),
    ("Scopes", "Scopes #2"),
    ("Store on start-up", "Retrieve during execution", "Hot reload"),
    ("Record an execution", "Query executions"),
    ("Feedback recording", "Feedback recording #2"),
    ("Multi-user context",),
    ("TTL (time to live)",),
    ("Monitoring and metrics",),
    ("Error handling", "Error handling #2"),
    ("Memory",),
    ("Performance tuning", "Performance tuning #2", "Performance tuning #3"),
)
"""Examples that follow from each other, on one fabric."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    needed_server("redis-server")
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "disk", "redis"])
def fabric(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fabric]:
    """A fabric on each backend, empty."""
    fabric: Fabric = InMemoryFabric()
    if request.param == "disk":
        fabric = DiskFabric(tmp_path)
    elif request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis")
        server.cli("FLUSHALL")
        fabric = RedisFabric(server.patient_url)
    yield fabric
    asyncio.run(fabric.aclose())


@pytest.fixture
def on_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, named by the environment, and no client that is open on another."""
    for name in [name for name in os.environ if name.startswith(MINE)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(tmp_path))
    get_context7_cache.cache_clear()
    yield
    get_context7_cache.cache_clear()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0])
def test_an_example_prints_what_it_says_on_each_backend(
    fabric: Fabric, story: tuple[str, ...]
) -> None:
    names: dict[str, Any] = {"fabric": fabric}
    for title in story:
        code = CODE[title].removeprefix(ANOTHER)
        assert printed(code, names) == said(code)


@pytest.mark.usefixtures("on_a_home")
def test_the_examples_from_first_to_last_print_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No model is fetched, and nothing of a Redis or a Qdrant that may run here is used.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    script = "\n".join(CODE.values())
    assert printed(script, {}, ("localhost:6379", "localhost:1")) == said(script)


def test_each_kind_of_fabric_is_opened(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    code = CODE["1. Open a fabric"]
    assert printed(code, names, ("prompts", str(tmp_path))) == said(code)
    assert names["fabric"].backend.info()["folder"] == str(tmp_path)
    asyncio.run(names["fabric"].aclose())


def test_words_rank_where_there_are_no_vectors() -> None:
    assert printed(CODE["Without the model"], {}) == said(CODE["Without the model"])


@pytest.mark.usefixtures("on_a_home")
@pytest.mark.parametrize(
    "title",
    ["Library ids from Python", "Library ids from Python #2", "Library ids from Python #3"],
)
def test_library_ids_are_found_from_python(title: str) -> None:
    assert printed(CODE[title], {}) == said(CODE[title])


def test_disk_that_rejects_writes_is_reported_and_still_read(tmp_path: Path) -> None:
    fabric = DiskFabric(tmp_path)
    assert asyncio.run(fabric.set_context("key", "value"))
    execute(tmp_path, REFUSE)
    assert not asyncio.run(fabric.set_context("other", "value"))
    context = asyncio.run(fabric.get_context("key"))
    assert context
    assert context.value == "value"
    assert "no room" in str(fabric.faults.last)
    execute(tmp_path, "DROP TRIGGER refuse")
    assert asyncio.run(fabric.set_context("other", "value"))
    asyncio.run(fabric.aclose())


@pytest.mark.parametrize("title", CODE)
def test_whatever_an_example_prints_it_says(title: str) -> None:
    assert CODE[title].count("print(") == len(said(CODE[title]))


def test_no_example_is_left_out() -> None:
    tested = Path(__file__).read_text("utf-8") + ELSEWHERE.read_text("utf-8")
    assert [title for title in CODE if f'"{title}"' not in tested] == []

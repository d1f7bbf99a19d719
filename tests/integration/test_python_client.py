"""The client for Python programs among real processes: programs, threads, and the server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from support.product import product_environment, run_product

LANGCHAIN = "/websites/langchain_oss_python_langchain"
PYDANTIC = "/pydantic/pydantic"
WIDGET = "/widgets/widget"

PROGRAM = """\
import asyncio

from context7_fabric.client import Context7CacheClient


async def main() -> None:
    cache = Context7CacheClient()
    library_id = await cache.get_library_id("langchain")
    print(library_id)


asyncio.run(main())
"""
LEARNING = """\
import asyncio

from context7_fabric.client import get_context7_cache, get_library_docs_cached


async def resolve(name: str) -> str:
    return "/widgets/" + name


async def docs(library_id: str) -> str:
    return "The documentation of " + library_id


for name in ("widget", "langchain", "widget"):
    print(asyncio.run(get_library_docs_cached(name, resolve, docs)))
print(get_context7_cache().get_stats()["cache_hits"])
asyncio.run(get_context7_cache().aclose())
"""
LIGHT = """\
import sys

import context7_fabric.client

print(sorted({"fastembed", "httpx2", "mcp", "qdrant_client", "uvicorn"} & set(sys.modules)))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A program's and the product's, on one home and without an upstream."""
    return product_environment(tmp_path / "home", {"CONTEXT7_FABRIC_UPSTREAM": "off"})


@pytest.fixture
def here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for this process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def lines_of(program: str, environment: dict[str, str]) -> list[str]:
    """Run a Python program with warnings as errors and return the lines it prints."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=40
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def resolved(name: str, environment: dict[str, str]) -> dict[str, object]:
    """Resolve a name with the command and return its answer."""
    done = run_product("resolve", name, "--json", env=environment)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_program_of_five_lines_gets_an_id(environment: dict[str, str]) -> None:
    assert lines_of(PROGRAM, environment) == [LANGCHAIN]


def test_what_a_program_learned_the_server_knows(environment: dict[str, str]) -> None:
    assert resolved("widget", environment)["library_id"] is None
    assert lines_of(LEARNING, environment) == [
        f"The documentation of {WIDGET}",
        f"The documentation of {LANGCHAIN}",
        f"The documentation of {WIDGET}",
        "2",
    ]
    answer = resolved("widget", environment)
    assert (answer["library_id"], answer["outcome"], answer["tier"]) == (
        WIDGET,
        "offline",
        "learned",
    )


def test_importing_the_client_imports_no_server(environment: dict[str, str]) -> None:
    assert lines_of(LIGHT, environment) == ["[]"]


@pytest.mark.usefixtures("here")
def test_one_client_serves_one_event_loop_after_another() -> None:
    cache = Context7CacheClient(None, lambda name: f"/widgets/{name}")
    names = ["pydantic", "widget", "redis", "widget"]
    ids = [asyncio.run(cache.get_library_id(name)) for name in names]
    assert ids == [PYDANTIC, WIDGET, "/redis/redis-py", WIDGET]
    asyncio.run(cache.aclose())


@pytest.mark.usefixtures("here")
def test_one_client_serves_threads_with_loops_of_their_own() -> None:
    cache = Context7CacheClient(None, lambda name: f"/widgets/{name}")
    names = ["pydantic", "langchain", "widget", "redis"] * 10

    async def several(name: str) -> list[str | None]:
        return await asyncio.gather(*(cache.get_library_id(name) for _ in range(5)))

    with ThreadPoolExecutor(max_workers=8) as threads:
        given = list(threads.map(lambda name: asyncio.run(several(name)), names))
    wanted = {
        "pydantic": PYDANTIC,
        "langchain": LANGCHAIN,
        "widget": WIDGET,
        "redis": "/redis/redis-py",
    }
    assert given == [[wanted[name]] * 5 for name in names]
    asyncio.run(cache.aclose())


@pytest.mark.usefixtures("here")
async def test_a_store_out_of_reach_leaves_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_BACKEND", "redis://127.0.0.1:1")
    async with Context7CacheClient(None, lambda name: f"/widgets/{name}") as cache:
        assert await cache.get_library_id("pydantic") == PYDANTIC
        assert [await cache.get_library_id("widget") for _ in range(2)] == [WIDGET] * 2

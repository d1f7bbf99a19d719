"""The examples of docs/fabric.md for Redis, vectors and the shell, on real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from context7_fabric import DiskFabric, Fabric, RedisFabric
from context7_fabric.errors import StoreError
from support.examples import commands, examples, printed, run, said
from support.model import hub
from support.product import product_environment, run_product
from support.qdrant_rest import qdrant_rest
from support.redis_servers import redis_server

DOCUMENT = (Path(__file__).parents[2] / "docs" / "fabric.md").read_text("utf-8")
CODE = examples(DOCUMENT)
SHELL = examples(DOCUMENT, "console")
CONFIGURED = [line.split() for line in examples(DOCUMENT, "conf")["Persistence"].splitlines()]
OPTIONS = [word for name, value in CONFIGURED for word in (f"--{name}", value)]

REDIS = "localhost:6379"
NO_REDIS = "redis://127.0.0.1:1"
QDRANT = "http://localhost:6333"
FETCH = """\
import sys
from fastembed import TextEmbedding

TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", cache_dir=sys.argv[1], lazy_load=True)
"""


@pytest.fixture(scope="module")
def models(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model as fastembed downloads it."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-c", FETCH, str(folder)]
    with hub() as variables:
        subprocess.run(command, env={**os.environ, **variables}, check=True, timeout=40)
    return folder


@pytest.fixture(params=["Set-up", "Set-up #2"])
def by_meaning(
    request: pytest.FixtureRequest, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fabric]:
    """The fabric that an example makes: in a folder, and on a stand-in of a Qdrant server."""
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(models))
    names: dict[str, Any] = {}
    with qdrant_rest() as qdrant:
        moved = ('"meanings"', repr(str(tmp_path)))
        run(CODE[request.param], names, [(QDRANT, qdrant.url) if "#2" in request.param else moved])
        fabric = names["served" if "#2" in request.param else "fabric"]
        yield fabric
        asyncio.run(fabric.aclose())


def value_of(fabric: Fabric, key: str) -> object:
    """Return the value that is stored under `key`."""
    context = asyncio.run(fabric.get_context(key))
    return context and context.value


def test_search_by_meaning_finds_the_context(by_meaning: Fabric) -> None:
    code = CODE["Semantic search"]
    assert printed(code, {"fabric": by_meaning}) == said(code)
    (found,) = asyncio.run(by_meaning.search("a recipe for dinner", limit=1))
    assert (found.key, found.ranked_by) == ("prompt:cooking", "vectors")


def test_a_connection_takes_database_password_and_namespace() -> None:
    with redis_server(password="open-sesame") as server:
        names: dict[str, Any] = {}
        code = CODE["Connection"]
        assert printed(code, names, (REDIS, f"localhost:{server.port}")) == []
        assert server.cli("-n", "1", "EXISTS", "{agents}:entry:GLOBAL/prompts:support") == "1"
        asyncio.run(names["shared"].aclose())


def test_a_connection_is_checked() -> None:
    names: dict[str, Any] = {"RedisFabric": RedisFabric, "StoreError": StoreError}
    with redis_server() as server:
        run(CODE["Redis connection"], names, [(NO_REDIS, f"redis://localhost:{server.port}")])
        assert names["unreachable"].backend.dbsize() == 0
        assert names["unreachable"].backend.info()["backend"] == "redis"
        asyncio.run(names["unreachable"].aclose())


@pytest.mark.parametrize(
    ("options", "stopped", "killed"),
    [
        (OPTIONS, "first", "second"),
        (["--save", "900 1", "--save", "300 10"], "first", "first"),
        ([], None, None),
    ],
    ids=["appendonly", "save", "neither"],
)
def test_a_restart_leaves_what_redis_was_configured_to_keep(
    options: list[str], stopped: str | None, killed: str | None
) -> None:
    with redis_server(*options) as server:
        fabric = RedisFabric(server.patient_url)
        assert asyncio.run(fabric.set_context("key", "first"))
        server.stop()
        server.start()
        assert value_of(fabric, "key") == stopped
        assert asyncio.run(fabric.set_context("key", "second"))
        server.kill()
        server.start()
        assert value_of(fabric, "key") == killed
        asyncio.run(fabric.aclose())


def test_redis_takes_the_configuration_as_it_stands() -> None:
    with redis_server(*OPTIONS) as server:
        assert server.cli("CONFIG", "GET", "maxmemory-policy").split()[-1] == "volatile-lru"
        assert server.cli("CONFIG", "GET", "maxmemory").split()[-1] == str(2**30)


def test_other_policies_drop_authored_contexts_too() -> None:
    with redis_server("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random") as server:
        fabric = RedisFabric(server.patient_url)
        asyncio.run(_fill(fabric))
        assert len(asyncio.run(fabric.get_many([f"authored:{n}" for n in range(200)]))) < 200
        asyncio.run(fabric.aclose())


async def _fill(fabric: Fabric) -> None:
    for number in range(200):
        await fabric.set_context(f"authored:{number}", "x" * 1000)
    for number in range(3000):
        await fabric.set_context(f"other:{number}", "x" * 1000, disposable=True)


@pytest.mark.either_mode
def test_commands_print_the_output_in_the_document(tmp_path: Path) -> None:
    environment = product_environment(tmp_path, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    for block in SHELL.values():
        for command in commands(block):
            program, *words = command.words
            done = run_product(*words, env=environment)
            assert (program, done.returncode) == ("context7-fabric", 0)
            assert done.stdout.splitlines() == command.printed or not command.printed


def test_a_program_and_the_shell_share_a_store(tmp_path: Path) -> None:
    with redis_server() as server:
        redis = {"CONTEXT7_FABRIC_BACKEND": server.patient_url}
        run_product("context", "set", "a", "in redis", env=product_environment(tmp_path, redis))
        run_product("context", "set", "a", "on disk", env=product_environment(tmp_path))
        fabrics = (RedisFabric(server.patient_url), DiskFabric(tmp_path / "fabric"))
        assert [value_of(fabric, "a") for fabric in fabrics] == ["in redis", "on disk"]
        for fabric in fabrics:
            asyncio.run(fabric.aclose())

"""Every example of the cache fabric's guide runs, only its import line changed.

The guide lies beside the repository, and these tests are skipped where it does not; those of
`docs/fabric.md` always run. An example that names a backend runs on that one, the others on all
that need no model. Stand-ins: `llm`, `StandardExample`, `logger`, `run_graph`, a Qdrant server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from context7_fabric import (
    Context,
    DiskFabric,
    Fabric,
    InMemoryFabric,
    RedisFabric,
    VectorFabric,
    open_fabric,
)
from support.examples import examples, printed, run
from support.model import model_path
from support.programs import needed_server
from support.qdrant_rest import qdrant_rest
from support.redis_servers import RedisServer, redis_server

GUIDE = Path(__file__).parents[3] / "shared" / "mission" / "cache-fabric-guide.md"
CODE = examples(GUIDE.read_text("utf-8")) if GUIDE.exists() else {}
IMPORT = ("from shared.cache_fabric import", "from context7_fabric import")
PLACEHOLDER = ("{...}", '{"theme": "dark"}')
PORT = 6379
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PROMPT = "router:main:system_message"

Function: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]

pytestmark = pytest.mark.skipif(not CODE, reason="the guide does not lie beside the repository")


class StandardExample:
    """Base class of the guide's examples, with a fabric."""

    def __init__(self, cache_backend: str) -> None:
        self.fabric = open_fabric(cache_backend)


class Model:
    """A language model that tells what it was asked."""

    async def generate(self, **asked: object) -> dict[str, object]:
        return asked


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis server where the guide looks for one; no other server is used."""
    needed_server("redis-server")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"port {PORT} is in use")
    with redis_server(port=PORT) as server:
        yield server


@pytest.fixture(params=["memory", "disk", "redis"])
def fabric(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fabric]:
    """A fabric on each backend, empty."""
    if request.param == "redis":
        request.getfixturevalue("redis").cli("FLUSHALL")
    made: dict[str, Callable[[], Fabric]] = {
        "memory": InMemoryFabric,
        "disk": lambda: DiskFabric(tmp_path),
        "redis": RedisFabric,
    }
    fabric = made[request.param]()
    yield fabric
    asyncio.run(fabric.aclose())


def got(fabric: Fabric, key: str, scope: str = "GLOBAL") -> Context:
    context = asyncio.run(fabric.get_context(key, scope))
    assert context
    return context


def method(title: str, names: dict[str, Any], name: str) -> Function:
    """Return the function that an example defines."""
    run(CODE[title], names)
    function: Function = names[name]
    return function


def test_a_fabric_is_made_a_prompt_stored_and_used(redis: RedisServer) -> None:
    redis.cli("FLUSHALL")
    names: dict[str, Any] = {}
    run(CODE["1. Initialize Fabric"], names, [IMPORT])
    assert isinstance(names["fabric"], RedisFabric)
    run(CODE["2. Store System Prompt"], names)
    assert printed(CODE["3. Retrieve & Use"], names) == ["You are a helpful assistant"]
    assert got(names["fabric"], PROMPT).metadata == {"router_name": "main", "version": "1.0"}
    asyncio.run(names["fabric"].aclose())


def test_contexts_are_organised_by_scope(fabric: Fabric) -> None:
    run(CODE["Scopes"], {"fabric": fabric}, [PLACEHOLDER])
    assert got(fabric, "system_prompt").value == "..."
    assert got(fabric, "execution:exec-123:state", "EXECUTION").value == {"theme": "dark"}
    assert got(fabric, "feedback:exec-123:rating", "FEEDBACK").value == {"score": 5}
    assert got(fabric, "user:user-456:preferences", "USER").value == {"theme": "dark"}
    assert asyncio.run(fabric.count_contexts()) == 4


@pytest.mark.parametrize("title", ["Scopes", "TTL (Time To Live)"])
def test_placeholder_of_the_guide_is_rejected_as_no_json(fabric: Fabric, title: str) -> None:
    with pytest.raises(TypeError, match="value is not JSON but set"):
        run(CODE[title], {"fabric": fabric})


def test_prompts_are_stored_on_start_up(redis: RedisServer) -> None:
    redis.cli("FLUSHALL")
    names: dict[str, Any] = {"StandardExample": StandardExample, "asyncio": asyncio}
    run(CODE["Store on Startup"], names)
    fabric = names["MyExample"]().fabric
    assert isinstance(fabric, RedisFabric)
    assert got(fabric, PROMPT).value == "Your prompt here"
    assert got(fabric, "router:tool_router:system_message").metadata == {"source": "manifest"}
    asyncio.run(fabric.aclose())


def test_a_prompt_is_retrieved_and_reloaded_while_running(fabric: Fabric) -> None:
    execute = method("Retrieve During Execution", {"llm": Model()}, "execute")
    runner = SimpleNamespace(fabric=fabric)
    asked = asyncio.run(execute(runner, {"question": "why"}))
    assert asked == {"system": "default system prompt", "question": "why"}
    run(CODE["Hot-Reload Pattern"], {"fabric": fabric})
    asked = asyncio.run(execute(runner, {}))
    assert asked == {"system": "Updated system prompt"}


def test_executions_are_recorded_and_measured(fabric: Fabric) -> None:
    names: dict[str, Any] = {"fabric": fabric}
    code = CODE["Query Executions"]
    assert printed(code, names) == ["Total executions: 0", "Avg latency: 0.00ms"]
    execute = method("Record Execution", {}, "execute")

    async def graph(given: dict[str, object]) -> dict[str, object]:
        return {"seen": given}

    runner = SimpleNamespace(fabric=fabric, run_graph=graph)
    for number in range(12):
        output = asyncio.run(execute(runner, {"number": number}))
        assert output == {"seen": {"number": number}}
    assert printed(code, names)[0] == "Total executions: 10"
    assert [each.value["input"]["number"] for each in names["executions"]] == list(range(11, 1, -1))
    assert all(each.metadata["execution_id"] in each.key for each in names["executions"])


def test_feedback_of_users_and_of_metrics_is_recorded(fabric: Fabric) -> None:
    names: dict[str, Any] = {}
    run("from datetime import datetime", names)
    record = method("Record User Feedback", names, "record_feedback")
    runner = SimpleNamespace(fabric=fabric)
    given = {"rating": 4, "comment": "good"}
    asyncio.run(record(runner, "exec-1", given))
    context = got(fabric, "feedback:exec-1", "FEEDBACK")
    assert isinstance(context.value, dict)
    assert (context.value["rating"], context.value["corrections"]) == (4, None)
    assert context.metadata == {"execution_id": "exec-1"}
    judge = method("Automated Feedback", {}, "record_automated_feedback")
    output = {"confidence": 0.95, "latency_ms": 40, "parsed": {"category": "docs"}}
    asyncio.run(judge(runner, "exec-1", output))
    automated = got(fabric, "feedback:exec-1:auto", "FEEDBACK").value
    assert automated == {"auto_score": 3, "max_score": 3}


def test_every_user_has_a_context_of_their_own(fabric: Fabric) -> None:
    names: dict[str, Any] = {}
    run(CODE["Multi-User Context"], names)
    given = {"preferences": {"theme": "dark"}, "history": ["a"], "settings": {}}
    asyncio.run(names["store_user_context"](fabric, "one", given))
    assert asyncio.run(names["get_user_context"](fabric, "one")) == given
    assert asyncio.run(names["get_user_context"](fabric, "two")) == {}


def test_a_connection_to_redis_takes_database_and_password(redis: RedisServer) -> None:
    names: dict[str, Any] = {}
    run(CODE["Connection Setup"], names, [IMPORT])
    fabric = names["fabric"]
    redis.cli("CONFIG", "SET", "requirepass", "optional_password")
    try:
        assert asyncio.run(fabric.set_context("key", "value"))
        assert got(fabric, "key").value == "value"
    finally:
        redis.cli("-a", "optional_password", "CONFIG", "SET", "requirepass", "")
    asyncio.run(fabric.aclose())


def test_a_context_expires_by_itself(fabric: Fabric) -> None:
    run(CODE["TTL (Time To Live)"], {"fabric": fabric}, [PLACEHOLDER])
    context = got(fabric, "temp_data")
    assert context.expires_at == context.created_at + 3600


def test_what_redis_saved_is_there_after_a_restart() -> None:
    lines = [line.removeprefix("# ") for line in CODE["Persistence"].splitlines()]
    saves = [line.partition("#")[0].split() for line in lines if line.startswith("save ")]
    assert len(saves) == 3
    options = [word for name, *rest in saves for word in (f"--{name}", " ".join(rest))]
    with redis_server(*options) as server:
        fabric = RedisFabric(server.patient_url)
        assert asyncio.run(fabric.set_context("key", "value"))
        server.stop()
        server.start()
        assert got(fabric, "key").value == "value"
        asyncio.run(fabric.aclose())


def test_metrics_are_printed(fabric: Fabric) -> None:
    asyncio.run(fabric.set_context("key", "x" * 1000))
    got(fabric, "key")
    names: dict[str, Any] = {"fabric": fabric, "asyncio": asyncio}
    hits, latency = printed(CODE["Monitoring & Metrics"], names)
    metrics = names["metrics"]
    assert (metrics["context_count"], metrics["hit_rate"]) == (1, 1.0)
    assert metrics["memory_usage_bytes"] >= 1000
    assert metrics["avg_latency_ms"] > 0
    assert hits == "Cache hit rate: 100.00%"
    assert latency.startswith("Avg latency: ")


def test_a_fault_of_the_store_is_none_of_the_caller(fabric: Fabric) -> None:
    names: dict[str, Any] = {"logger": logging.getLogger("guide")}
    run(CODE["Error Handling"], names)
    asyncio.run(fabric.set_context("key", "value"))
    assert asyncio.run(names["safe_get_context"](fabric, "key", "GLOBAL")) == "value"
    asyncio.run(fabric.aclose())
    assert asyncio.run(names["safe_get_context"](fabric, "key", "GLOBAL")) is None
    assert asyncio.run(names["safe_get_context"](fabric, "key", "NOWHERE")) is None


@pytest.mark.usefixtures("redis")
def test_a_connection_is_checked() -> None:
    names: dict[str, Any] = {}
    assert printed(CODE["Redis Connection Issues"], names) == ["Connected!"]
    names["r"].close()


def test_size_is_watched_and_old_data_cleared(fabric: Fabric) -> None:
    asyncio.run(fabric.set_context("key", "value"))
    memory, keys = printed(CODE["Memory Leaks"], {"fabric": fabric})
    assert memory.startswith("Memory: ")
    assert memory[-1] in "BKMG"
    assert keys == "Keys: 1"
    assert got(fabric, "key").value == "value"  # it is no older than 2024


def test_a_thousand_contexts_are_stored_at_once(fabric: Fabric) -> None:
    run(CODE["Performance Tuning"], {"fabric": fabric})
    assert asyncio.run(fabric.count_contexts("GLOBAL")) == 1000
    assert got(fabric, "key:999").value == {"data": 999}


def test_what_is_meant_is_found_on_a_qdrant() -> None:
    model = model_path()
    with qdrant_rest() as qdrant:
        names: dict[str, Any] = {}
        run(
            CODE["Setup"],
            names,
            [IMPORT, ("http://localhost:6333", qdrant.url), (MODEL, str(model))],
        )
        fabric = names["fabric"]
        assert isinstance(fabric, VectorFabric)
        asyncio.run(fabric.set_context("prompt:2", "Season the soup and let it simmer"))
        similarity, value, *_ = printed(CODE["Semantic Search"], names)
        asyncio.run(fabric.aclose())
    assert [(each.key, each.ranked_by) for each in names["similar"]] == [
        ("prompt:1", "vectors"),
        ("prompt:2", "vectors"),
    ]
    assert value == "Value: You are a helpful assistant focused on Python"
    assert similarity > "Similarity: 0.4"


def test_no_example_is_left_out() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [title for title in CODE if f'"{title}"' not in tested] == []

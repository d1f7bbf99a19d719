"""The library-id cache's ticket against the REST face: its commands, its script, and its client.

The ticket lies beside the repository, and these tests are skipped where it does not.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from context7_fabric import Context7CacheClient
from support.examples import examples
from support.programs import needed
from support.rest import at_a_port
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

TICKET = Path(__file__).parents[3] / "shared" / "mission" / "library-id-cache-ticket.md"
TEXT = TICKET.read_text("utf-8") if TICKET.exists() else ""
SERVICE = "https://codechef.appsmithery.co/rag"
LANGCHAIN = "/websites/langchain_oss_python_langchain"
SCRIPT, CLIENT = "3. Indexing Script", "4. Library Cache Middleware"

pytestmark = pytest.mark.skipif(not TEXT, reason="the ticket does not lie beside the repository")


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """The service at a port, named by the environment as the ticket does."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    apps = scripted_app(ScriptedUpstream(), FakeClock(), home, MODEL="off")
    async with apps as app, at_a_port(app) as address:
        monkeypatch.setenv("RAG_SERVICE_URL", f"{address}/rag")
        monkeypatch.setenv("CONTEXT7_RESOLVE_DELAY", "0")
        yield f"{address}/rag"


def module(title: str, path: Path) -> dict[str, Any]:
    """Return what a Python file of the ticket defines."""
    names: dict[str, Any] = {"__name__": "ticket", "__file__": str(path)}
    code = compile(examples(TEXT)[title], path, "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102  # the ticket is the project's own
    return names


@pytest.fixture
def script(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The indexing script, in a folder as it expects it, with the ticket's seeds."""
    seeds = tmp_path / "config" / "rag" / "library-seed.yaml"
    seeds.parent.mkdir(parents=True)
    seeds.write_text(examples(TEXT, "yaml")["2. Library Seed Configuration"], "utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return module(SCRIPT, tmp_path / "support" / "scripts" / "rag" / "index.py")


async def curl(line: str, service: str) -> Any:  # noqa: ANN401  # JSON
    """Run a command of the ticket against our service."""
    needed("curl")
    words = [word.replace(SERVICE, service) for word in shlex.split(line)]
    done = await to_thread.run_sync(
        lambda: subprocess.run([*words, "-sS"], capture_output=True, check=True, timeout=40)
    )
    return json.loads(done.stdout)


async def test_the_commands_that_verify_the_cache_say_that_it_works(service: str) -> None:
    lines = [line.strip() for line in TEXT.splitlines() if line.strip().startswith("curl ")]
    assert len(lines) == 3
    stats, found, listed = [await curl(line, service) for line in lines]
    assert (stats["collection"], stats["status"]) == ("library_registry", "active")
    assert stats["total_libraries"] >= 40
    assert set(stats["estimated_savings"]) >= {"tokens_per_hit", "potential_daily_savings"}
    assert 1 <= len(found["results"]) <= 3
    assert found["results"][0]["metadata"]["library_id"] == LANGCHAIN
    assert found["results"][0]["relevance_score"] == 1.0
    assert [each["name"] for each in listed] == ["library_registry"]


async def test_the_script_indexes_all_of_its_seed(script: dict[str, Any]) -> None:
    assert await script["verify_collection_exists"]()
    counts = await script["index_all_libraries"](refresh=True)
    assert counts == {"total": 46, "indexed": 46, "skipped": 0, "failed": 0, "unknown": 0}
    # It looks for rows that are called by the very name; four of its names are aliases.
    counts = await script["index_all_libraries"]()
    assert (counts["skipped"], counts["indexed"]) == (42, 4)


async def test_the_script_runs_as_a_whole(
    script: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["index", "--category", "testing"])
    assert await script["verify_collection_exists"]()
    await script["main"]()
    out = capsys.readouterr().out
    assert "RAG service: healthy" in out
    assert "Qdrant: idle" in out
    assert "Total libraries:   5" in out


async def test_the_tickets_client_finds_learns_and_never_takes_a_suggestion(
    service: str, tmp_path: Path
) -> None:
    names = module(CLIENT, tmp_path / "cache.py")

    async def resolve(name: str) -> str:
        return f"/widgets/{name}"

    client = names["Context7CacheClient"](fallback_resolver=resolve)
    assert await client.get_library_id("langchain") == LANGCHAIN
    assert await client.get_library_id("validate data", use_fallback=False) is None
    assert await client.get_library_id("widget") == "/widgets/widget"
    assert client.get_stats()["cache_hits"] == 1
    assert await names["Context7CacheClient"]().get_library_id("widget") == "/widgets/widget"


async def test_our_client_asks_the_service_that_the_ticket_names(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(tmp_path / "client"))
    asked: list[str] = []
    clock = FakeClock()  # the service's: what is verified in the future is not believed

    def resolve(name: str) -> str:
        asked.append(name)
        return f"/widgets/{name}"

    for _ in range(2):
        async with Context7CacheClient(fallback_resolver=resolve, clock=clock) as client:
            assert await client.get_library_id("langchain") == LANGCHAIN
            assert await client.get_library_id("widget") == "/widgets/widget"
    async with Context7CacheClient(rag_url=service, clock=clock) as client:
        assert await client.get_library_id("widget") == "/widgets/widget"
    assert asked == ["widget"]
    assert not (tmp_path / "client").exists()

"""The examples of docs/rest.md reply what they say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from support.examples import Command, commands, examples, printed, said
from support.programs import needed
from support.rest import at_a_port
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

DOCUMENT = (Path(__file__).parents[2] / "docs" / "rest.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:3000"
COMMANDS = [
    command for block in examples(DOCUMENT, "console").values() for command in commands(block)
]
MINE = ("CONTEXT7_", "LIBRARY_CACHE_", "RAG_SERVICE_")


@pytest.fixture
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """URL of a running REST API with a loaded registry, without variables of ours."""
    foreign = (name for name in os.environ if name.startswith(MINE) or "_proxy" in name.lower())
    for name in list(foreign):
        monkeypatch.delenv(name)
    apps = scripted_app(ScriptedUpstream(), FakeClock(), tmp_path, MODEL="off")
    async with apps as app, at_a_port(app) as address:
        await app.services.registry.loaded.wait()
        yield address


def curl(command: Command, address: str) -> Any:  # noqa: ANN401  # JSON
    """Run a command of the document."""
    needed("curl")
    words = [word.replace(ADDRESS, address) for word in command.words]
    done = subprocess.run(words, capture_output=True, check=True, timeout=40)
    return json.loads(done.stdout)


def holds(actual: object, shown: object) -> bool:
    """Tell whether a reply has all that the document shows of it."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        return all(key in actual and holds(actual[key], each) for key, each in shown.items())
    if isinstance(shown, list) and isinstance(actual, list):
        return len(actual) >= len(shown) and all(map(holds, actual, shown))
    return actual == shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{COMMANDS.index(each)}")
async def test_a_command_replies_what_the_document_shows(command: Command, address: str) -> None:
    actual = await to_thread.run_sync(curl, command, address)
    assert holds(actual, json.loads("\n".join(command.printed))), actual


async def test_the_python_example_prints_what_it_says(address: str) -> None:
    (code,) = examples(DOCUMENT).values()
    assert said(code)
    assert await to_thread.run_sync(printed, code, {}, (ADDRESS, address)) == said(code)


def test_there_are_examples_of_all_that_is_served() -> None:
    words = " ".join(word for command in COMMANDS for word in command.words)
    for path in ("/query", "/docs", "/index", "/health", "/collections", "/library-cache/stats"):
        assert f"{ADDRESS}{path}" in words

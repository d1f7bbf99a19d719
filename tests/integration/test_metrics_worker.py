"""States of model and index in the metrics, through the life of a real worker."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker_client import open_worker
from support.processes import wait_gone

LONG = 45.0
ROWS = (Row("httpx", "pypi", description="Asynchronous HTTP client"),)


class NothingStored:
    """An empty vector store that keeps nothing."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def save(self, vectors: dict[str, bytes]) -> None:
        pass


@asynccontextmanager
async def suggesting(settings: SuggestionSettings) -> AsyncIterator[Suggester]:
    """A suggester for the length of the block."""
    async with open_worker(settings) as worker, anyio.create_task_group() as tasks:
        suggester = Suggester(tasks, lambda: ROWS, NothingStored(), worker, PUBLIC)
        yield suggester
        suggester.close()
        tasks.cancel_scope.cancel()


async def kill(suggester: Suggester) -> None:
    """End the worker, and wait until the suggester has noticed."""
    pid = suggester.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await anyio.to_thread.run_sync(wait_gone, [pid], LONG)
    while suggester.worker_pid == pid:
        await anyio.lowlevel.checkpoint()


async def test_a_worker_is_idle_starting_ready_and_idle_again(model: Path) -> None:
    settings = SuggestionSettings(Path("/nowhere"), model_path=model)
    async with suggesting(settings) as suggester:
        states = [suggester.state]
        await suggester.suggest("an http client")
        states.append(suggester.state)
        assert await suggester.settle(LONG), suggester.trouble
        states.append(suggester.state)
        await kill(suggester)
        states.append(suggester.state)
    assert states == ["idle", "starting", "ready", "idle"]


async def test_worker_that_cannot_start_is_trouble(tmp_path: Path) -> None:
    async with suggesting(SuggestionSettings(tmp_path)) as suggester:
        states = [suggester.state]
        assert not await suggester.settle(LONG)
        states.append(suggester.state)
    assert states == ["idle", "trouble"]


async def test_worker_that_is_disabled_is_off(tmp_path: Path) -> None:
    async with suggesting(SuggestionSettings(tmp_path, enabled=False)) as suggester:
        await suggester.suggest("an http client")
        assert suggester.state == "off"

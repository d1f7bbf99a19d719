"""Suggesters with the real model, each for the length of a block, and their stored vectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker_client import WorkerClient, open_worker
from support.model import model_path
from support.processes import wait_gone

SOON, LONG = 10.0, 45.0

ROWS = (
    Row("httpx", "pypi", description="Asynchronous HTTP client"),
    Row("langgraph", "pypi", description="Stateful agent workflows as graphs"),
    Row("reportlab", "pypi", description="Creates PDF documents"),
    Row("passlib", "pypi", description="Password hashing framework"),
)
MEANT = "make a printable document file"
"""Shares no word with the row that it means."""


class Stored:
    """Vectors by key."""

    def __init__(self) -> None:
        self.vectors: dict[str, bytes] = {}

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.vectors[key] for key in keys if key in self.vectors}

    async def save(self, vectors: dict[str, bytes]) -> None:
        self.vectors |= vectors


def chosen(**others: object) -> SuggestionSettings:
    """Settings with the real model, and patience with a worker that has to wait its turn."""
    usual = {"model_folder": Path("/nowhere"), "model_path": model_path(), "patience": LONG}
    settings = {**usual, **others}
    return SuggestionSettings(**settings)  # type: ignore[arg-type]  # checked where they are used


@asynccontextmanager
async def suggesting(
    settings: SuggestionSettings, rows: Iterable[Row] = ROWS
) -> AsyncIterator[Suggester]:
    async with open_worker(settings) as worker, sharing(worker, PUBLIC, rows) as suggester:
        yield suggester


@asynccontextmanager
async def sharing(
    worker: WorkerClient, principal: str, rows: Iterable[Row]
) -> AsyncIterator[Suggester]:
    async with anyio.create_task_group() as tasks:
        suggester = Suggester(tasks, lambda: rows, Stored(), worker, principal)
        yield suggester
        suggester.close()
        tasks.cancel_scope.cancel()


def pid_of(suggester: Suggester) -> int:
    assert suggester.worker_pid is not None
    return suggester.worker_pid


async def method(suggester: Suggester) -> str:
    return (await suggester.suggest(MEANT)).method


async def gone(pid: int) -> None:
    await anyio.to_thread.run_sync(wait_gone, [pid], LONG)


async def under_way(suggester: Suggester) -> None:
    while not (suggester._worker._worker and suggester._worker._worker._waiting):
        await anyio.lowlevel.checkpoint()

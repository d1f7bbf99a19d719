"""One worker for several principals: each has its own rows, and connects independently."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker_client import WorkerClient, open_worker
from support.suggesting import (
    LONG,
    MEANT,
    ROWS,
    SOON,
    chosen,
    gone,
    method,
    pid_of,
    sharing,
    under_way,
)

pytestmark = pytest.mark.usefixtures("model")

WEASYPRINT = Row("weasyprint", "pypi", description="PDF files from web pages")
OTHERWISE = Row("reportlab", "pypi", description="Weather forecasts by radio")


@dataclass(frozen=True)
class Two:
    """Two ready principals that share a worker; Bob's row of one library differs."""

    ann: Suggester
    bob: Suggester

    async def settle(self) -> None:
        for each in (self.ann, self.bob):
            assert await each.settle(LONG), each.trouble


@pytest.fixture(scope="module")
async def worker(model: Path) -> AsyncIterator[WorkerClient]:
    async with open_worker(chosen()) as worker:
        yield worker


@pytest.fixture
async def two(worker: WorkerClient) -> AsyncIterator[Two]:
    async with (
        sharing(worker, "key-ann", [*ROWS, WEASYPRINT]) as ann,
        sharing(worker, "key-bob", [*ROWS[:2], OTHERWISE]) as bob,
    ):
        two = Two(ann, bob)
        await two.settle()
        yield two


async def found(suggester: Suggester, phrase: str) -> set[Row]:
    """Return the rows near a phrase by meaning."""
    suggestions = await suggester.suggest(phrase, 50)
    assert suggestions.method == "vectors"
    return {each.row for each in suggestions.candidates}


async def test_principals_share_a_worker_and_none_sees_the_rows_of_another(two: Two) -> None:
    assert pid_of(two.ann) == pid_of(two.bob)
    assert [await two.ann.indexed(), await two.bob.indexed()] == [len(ROWS) + 1, 3]
    for phrase in (MEANT, "weasyprint", "forecasts by radio", "asynchronous"):
        assert await found(two.ann, phrase) <= {*ROWS, WEASYPRINT}
        assert await found(two.bob, phrase) <= {*ROWS[:2], OTHERWISE}
    assert WEASYPRINT in await found(two.ann, MEANT)
    assert OTHERWISE in await found(two.bob, "what the weather will be like")
    assert OTHERWISE not in await found(two.bob, MEANT)


async def test_a_principal_that_leaves_takes_its_index_along_and_leaves_the_worker(
    two: Two,
) -> None:
    pid = pid_of(two.bob)
    two.ann.close()
    assert await method(two.ann) == "words"
    assert not await two.ann.settle(SOON)
    assert WEASYPRINT not in await found(two.bob, MEANT)
    assert pid_of(two.bob) == pid


async def test_a_worker_killed_in_mid_query_comes_back_for_all_principals(two: Two) -> None:
    killed = pid_of(two.ann)
    os.kill(killed, signal.SIGSTOP)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(method, two.ann)
        await under_way(two.ann)
        os.kill(killed, signal.SIGKILL)
    await gone(killed)
    assert await method(two.bob) == "words"
    await two.settle()
    assert WEASYPRINT in await found(two.ann, MEANT)
    assert OTHERWISE in await found(two.bob, "radio weather")
    assert pid_of(two.ann) == pid_of(two.bob) != killed


async def test_a_principal_that_comes_back_has_its_rows_again(two: Two) -> None:
    worker = two.bob._worker
    two.ann.close()
    async with sharing(worker, "key-ann", [WEASYPRINT]) as again:
        assert await again.settle(LONG)
        assert await again.indexed() == 1
        assert await found(again, MEANT) == {WEASYPRINT}
    assert await two.bob.indexed() == 3

"""The worker as a process: it answers, and however it dies, no caller gets an error."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker.process import MOST_WAITING
from context7_fabric.suggestions.worker_client import WorkerClient, open_worker
from support.model import hub, model_command
from support.processes import wait_gone
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
    suggesting,
    under_way,
)
from support.upstreams import free_port

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture(scope="module")
async def worker(model: Path) -> AsyncIterator[WorkerClient]:
    """A worker that tests share; one that is killed comes back."""
    async with open_worker(chosen()) as worker:
        yield worker


@pytest.fixture
async def suggester(worker: WorkerClient, tmp_path: Path) -> AsyncIterator[Suggester]:
    """A suggester of its own principal, whose worker is ready."""
    async with sharing(worker, f"key-{tmp_path.name}", ROWS) as suggester:
        assert await suggester.settle(LONG), suggester.trouble
        yield suggester


async def test_the_first_phrase_waits_for_no_worker_and_later_ones_are_ranked_by_meaning() -> None:
    async with suggesting(chosen()) as suggester:
        first = await suggester.suggest(MEANT)
        assert first.method == "words"
        assert await suggester.settle(LONG)
        later = await suggester.suggest(MEANT)
    assert later.method == "vectors"
    assert later.candidates[0].row.name == "reportlab"
    assert 0 < later.candidates[0].score <= 1


async def test_learned_rows_are_found_by_meaning_and_forgotten_ones_not(
    suggester: Suggester,
) -> None:
    await suggester.learn([Row("weasyprint", "pypi", description="PDF files from web pages")])
    await suggester.forget(["lib-pypi-reportlab"])
    assert await suggester.settle(LONG)
    assert await suggester.indexed() == len(ROWS)
    found = [each.row.name for each in (await suggester.suggest(MEANT)).candidates]
    assert found[0] == "weasyprint"
    assert "reportlab" not in found


async def test_an_index_is_rebuilt_while_it_is_asked(suggester: Suggester) -> None:
    suggester.rebuild()
    assert await method(suggester) == "vectors"
    assert await suggester.settle(LONG)
    assert await suggester.indexed() == len(ROWS)


async def test_a_worker_killed_in_mid_query_costs_its_caller_only_the_vectors(
    suggester: Suggester,
) -> None:
    killed = pid_of(suggester)
    os.kill(killed, signal.SIGSTOP)
    results: list[str] = []

    async def ask() -> None:
        results.append(await method(suggester))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await under_way(suggester)
        os.kill(killed, signal.SIGKILL)
    assert results == ["words"]
    await gone(killed)
    assert await suggester.settle(LONG)
    assert await method(suggester) == "vectors"
    assert pid_of(suggester) != killed


async def test_a_worker_that_hangs_is_waited_for_a_moment_and_then_replaced() -> None:
    async with suggesting(chosen(patience=0.2)) as suggester:
        assert await suggester.settle(LONG)
        hanging = pid_of(suggester)
        os.kill(hanging, signal.SIGSTOP)
        for _ in range(3):
            assert await method(suggester) == "words"
        await gone(hanging)
        assert await suggester.settle(LONG)
        assert pid_of(suggester) != hanging


async def test_an_idle_worker_ends_and_comes_back_when_it_is_needed() -> None:
    async with suggesting(chosen(idle_seconds=0.5)) as suggester:
        assert await suggester.settle(LONG)
        await gone(pid_of(suggester))
        assert await suggester.settle(LONG)
        assert await method(suggester) == "vectors"


async def test_keeping_the_index_in_step_does_not_count_as_use() -> None:
    async with suggesting(chosen(idle_seconds=1.0)) as suggester:
        assert await suggester.settle(LONG)
        idle = pid_of(suggester)
        with anyio.fail_after(LONG):
            while suggester.worker_pid == idle:
                await suggester.learn([Row("busy", "npm", usage_count=1)])
                await anyio.sleep(0.05)


async def test_two_workers_at_once_know_nothing_of_each_other() -> None:
    async with suggesting(chosen()) as one, suggesting(chosen(), ROWS[:1]) as other:
        assert await one.settle(LONG)
        assert await other.settle(LONG)
        assert pid_of(one) != pid_of(other)
        assert [await one.indexed(), await other.indexed()] == [len(ROWS), 1]
        os.kill(pid_of(one), signal.SIGKILL)
        assert await method(other) == "vectors"


async def test_many_questions_at_once_are_all_answered_and_few_of_them_wait(
    suggester: Suggester,
) -> None:
    methods: list[str] = []

    async def ask() -> None:
        methods.append(await method(suggester))

    async with anyio.create_task_group() as tasks:
        for _ in range(4 * MOST_WAITING):
            tasks.start_soon(ask)
        await under_way(suggester)
        assert suggester._worker._worker is not None
        assert len(suggester._worker._worker._waiting) <= MOST_WAITING
    assert len(methods) == 4 * MOST_WAITING
    assert methods.count("vectors") >= MOST_WAITING


async def test_a_closed_client_has_ended_its_worker_and_starts_none() -> None:
    async with open_worker(chosen()) as worker, sharing(worker, PUBLIC, ROWS) as suggester:
        assert await suggester.settle(LONG)
        ended = pid_of(suggester)
        await worker.aclose()
        wait_gone([ended], 0)
        assert await method(suggester) == "words"
        assert not await suggester.settle(SOON)


async def test_closing_does_not_wait_for_a_worker_that_is_still_starting() -> None:
    async with open_worker(chosen()) as worker, sharing(worker, PUBLIC, ROWS) as suggester:
        await suggester.suggest(MEANT)
        with anyio.fail_after(SOON):
            await worker.aclose()
        assert suggester.worker_pid is None


async def test_a_model_that_cannot_be_loaded_is_reported_and_not_tried_again_at_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.onnx").write_text("no model")
    async with suggesting(chosen(model_path=tmp_path)) as suggester:
        assert not await suggester.settle(LONG)
        assert "cannot be loaded" in (suggester.trouble or "")
        assert await method(suggester) == "words"
        with anyio.fail_after(SOON):
            assert not await suggester.settle(LONG)


async def test_a_qdrant_server_that_is_not_there_costs_only_the_vectors() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with suggesting(chosen(qdrant_url=url)) as suggester:
        assert not await suggester.settle(LONG)
        assert suggester.trouble
        assert await method(suggester) == "words"


def open_files(pid: int) -> set[Path]:
    return {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}


async def test_a_worker_has_none_of_our_open_files(suggester: Suggester, tmp_path: Path) -> None:
    os.kill(pid_of(suggester), signal.SIGKILL)
    secret = tmp_path / "secret"
    with secret.open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003  # the signature is os's
        assert await suggester.settle(LONG)
        assert secret not in open_files(pid_of(suggester))


async def test_a_fetched_model_ranks(tmp_path: Path) -> None:
    with hub() as variables:
        await anyio.to_thread.run_sync(lambda: model_command(tmp_path, "fetch", **variables))
    settings = SuggestionSettings(tmp_path / "models")
    async with suggesting(settings) as suggester:
        assert await suggester.settle(LONG), suggester.trouble
        assert (await suggester.suggest(MEANT)).candidates[0].row.name == "reportlab"


async def test_a_missing_model_is_fetched_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SuggestionSettings(tmp_path / "models", fetches=True)
    async with suggesting(settings) as suggester:
        assert await method(suggester) == "words"
        with hub() as variables:
            monkeypatch.setenv("HF_ENDPOINT", variables["HF_ENDPOINT"])
            await suggester.fetch_model()
        assert await suggester.settle(LONG), suggester.trouble
        assert await method(suggester) == "vectors"

"""The worker as a process: it answers, it dies in every way, and nobody who asks gets an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from context7_fabric.registry.rows import Row
from context7_fabric.registry.suggestions import Suggester, SuggestionSettings
from context7_fabric.registry.worker.link import MOST_WAITING, open_link
from support.model import hub, model_path
from support.processes import Process, spawn, wait_gone
from support.upstreams import free_port

WORKER = [sys.executable, "-P", "-m", "context7_fabric.registry.worker"]
COMMAND = "import sys; from context7_fabric.cli.model import run; sys.exit(run(sys.argv[1:]))"
SOON, LONG = 5.0, 20.0

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
    """Settings with the real model."""
    settings = {"model_folder": Path("/nowhere"), "model_path": model_path(), **others}
    return SuggestionSettings(**settings)  # type: ignore[arg-type]  # checked where they are used


@asynccontextmanager
async def suggesting(
    settings: SuggestionSettings, rows: Iterable[Row] = ROWS
) -> AsyncIterator[Suggester]:
    """A suggester for the length of the block."""
    async with anyio.create_task_group() as tasks:
        suggester = Suggester(tasks, lambda: rows, Stored(), settings)
        yield suggester
        await suggester.aclose()


@pytest.fixture
async def suggester() -> AsyncIterator[Suggester]:
    """A suggester whose worker is ready."""
    async with suggesting(chosen()) as suggester:
        assert await suggester.settle(LONG), suggester.trouble
        yield suggester


def pid_of(suggester: Suggester) -> int:
    assert suggester.worker_pid is not None
    return suggester.worker_pid


async def method(suggester: Suggester) -> str:
    return (await suggester.suggest(MEANT)).method


async def gone(pid: int) -> None:
    await anyio.to_thread.run_sync(wait_gone, [pid], LONG)


async def under_way(suggester: Suggester) -> None:
    """Wait until a question waits for the worker's reply."""
    while not (suggester._worker._link and suggester._worker._link._waiting):
        await anyio.lowlevel.checkpoint()


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
        assert suggester._worker._link is not None
        assert len(suggester._worker._link._waiting) <= MOST_WAITING
    assert len(methods) == 4 * MOST_WAITING
    assert methods.count("vectors") >= MOST_WAITING


async def test_a_closed_suggester_has_ended_its_worker_and_starts_none() -> None:
    async with suggesting(chosen()) as suggester:
        assert await suggester.settle(LONG)
        ended = pid_of(suggester)
        await suggester.aclose()
        wait_gone([ended], 0)
        assert await method(suggester) == "words"
        assert not await suggester.settle(SOON)


async def test_closing_does_not_wait_for_a_worker_that_is_still_starting() -> None:
    async with suggesting(chosen()) as suggester:
        await suggester.suggest(MEANT)
        with anyio.fail_after(SOON):
            await suggester.aclose()
        assert suggester.worker_pid is None


async def test_a_model_that_cannot_be_loaded_is_told_and_not_tried_again_at_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "model.onnx").write_text("no model")
    async with suggesting(chosen(model_path=tmp_path)) as suggester:
        assert not await suggester.settle(LONG)
        assert "cannot be loaded" in (suggester.trouble or "")
        assert await method(suggester) == "words"
        with anyio.fail_after(0.5):
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


async def test_what_a_worker_complains_of_is_in_our_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with open_link(LONG) as link:
        reply = await link.request("upsert", LONG, rows=[], vectors={})
        link._take(b"garbage")
        assert await link.request("upsert", LONG, rows=[], vectors={}) == reply
        pid = link.pid
    assert reply is not None
    assert "say hello first" in reply["error"]
    assert f"worker {pid}: INFO a request failed" in caplog.text
    assert f"worker {pid} wrote a line that is no reply" in caplog.text
    assert await link.request("status", LONG) is None


@pytest.fixture
def raw() -> Iterator[Process]:
    """A worker with nobody but the test at the other end."""
    with spawn(WORKER) as process:
        yield process


def test_a_worker_ends_when_its_input_does(raw: Process) -> None:
    raw.close_stdin()
    assert raw.wait(LONG) == 0


def test_garbage_is_answered_with_an_error_and_the_next_request_is_done(raw: Process) -> None:
    lines = ["garbage", '"text"', "{}", '{"id": 1, "do": "dance"}', "x" * 5_000_000, ""]
    for line in lines:
        raw.send(line)
    raw.send(json.dumps({"id": 7, "do": "describe", "model": chosen().model}))
    assert json.loads(raw.out.wait_for('"id":7', LONG).string)["megabytes"] > 0
    before = [json.loads(line) for line in raw.out.text.splitlines()[:-1]]
    assert len(before) == len(lines)
    assert all(reply["error"] for reply in before)


def test_a_worker_does_not_outlive_a_serving_process_that_is_killed() -> None:
    with spawn([sys.executable, "-c", SERVING, str(model_path())]) as serving:
        pid = int(serving.out.wait_for(r"^\d+$", LONG)[0])
        os.kill(serving.pid, signal.SIGKILL)
        wait_gone([pid], LONG)


SERVING = f"""
import sys
from pathlib import Path
import anyio
from context7_fabric.registry.worker.link import open_link
async def main():
    async with open_link({LONG}) as link:
        print(link.pid, flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@contextmanager
def no_hub() -> Iterator[dict[str, str]]:
    """No network: a hub's address where nobody listens."""
    yield {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}


def model_command(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CONTEXT7_FABRIC_HOME": str(home), **variables}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_fetched_model_is_there_from_then_on_without_a_network(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = model_command(home, "status")
    assert before.returncode == 1
    assert "context7-fabric model fetch" in before.stderr
    assert not home.exists()
    with hub() as variables:
        fetched = model_command(home, "fetch", **variables)
    assert (fetched.returncode, fetched.stderr) == (0, "")
    with no_hub() as variables:
        state = json.loads(model_command(home, "status", "--json", **variables).stdout)
        again = model_command(home, "fetch", **variables)
    assert state["ready"]
    assert state["dimension"] == 384
    assert state["place"] == str(home / "models")
    assert (again.returncode, again.stdout) == (0, fetched.stdout)


async def test_a_fetched_model_ranks(tmp_path: Path) -> None:
    with hub() as variables:
        await anyio.to_thread.run_sync(lambda: model_command(tmp_path, "fetch", **variables))
    settings = SuggestionSettings(tmp_path / "models")
    async with suggesting(settings) as suggester:
        assert await suggester.settle(LONG), suggester.trouble
        assert (await suggester.suggest(MEANT)).candidates[0].row.name == "reportlab"


def test_without_a_network_fetching_fails_in_one_line(tmp_path: Path) -> None:
    with no_hub() as variables:
        failed = model_command(tmp_path, "fetch", **variables)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.count("\n") == 1
    assert "cannot be downloaded: is there a network" in failed.stderr


def test_a_model_of_ones_own_is_not_fetched(tmp_path: Path) -> None:
    own = {"CONTEXT7_FABRIC_MODEL_PATH": str(model_path())}
    told = model_command(tmp_path, "fetch", **own)
    assert told.returncode == 0
    assert str(model_path()) in told.stdout
    assert "nothing is fetched" in told.stderr


def test_an_unknown_model_is_told(tmp_path: Path) -> None:
    told = model_command(tmp_path, "fetch", "--json", CONTEXT7_FABRIC_MODEL="nobody/knows")
    assert told.returncode == 1
    assert "nobody/knows" in json.loads(told.stdout)["trouble"]

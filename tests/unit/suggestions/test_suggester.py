"""Suggestions without a model: by words alone, saying so, and always of the rows as they are."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import anyio
import pytest

from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import MostUsed
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker_client import WorkerClient

HTTPX = Row("httpx", "pypi", description="asynchronous HTTP client")
AIOHTTP = Row("aiohttp", "pypi", description="asynchronous HTTP client and server")
LANGGRAPH = Row("langgraph", "pypi", description="stateful agents as graphs")


class NoVectors:
    """Stores nothing, because nothing is computed."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        raise AssertionError

    async def save(self, vectors: dict[str, bytes]) -> None:
        raise AssertionError


class Source:
    """The rows there are, and how often they were asked for."""

    def __init__(self, *rows: Row) -> None:
        self.rows = list(rows)
        self.asked = 0

    def __call__(self) -> Iterable[Row]:
        self.asked += 1
        return self.rows


@pytest.fixture
def source() -> Source:
    return Source(HTTPX, AIOHTTP, LANGGRAPH)


@pytest.fixture
async def suggester(source: Source, tmp_path: Path) -> AsyncIterator[Suggester]:
    """A suggester where no model was ever fetched."""
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, SuggestionSettings(tmp_path / "models"))
        yield Suggester(tasks, source, NoVectors(), worker, PUBLIC)


async def names(suggester: Suggester, phrase: str) -> list[str]:
    return [each.row.name for each in (await suggester.suggest(phrase)).candidates]


async def test_a_worker_that_cannot_be_started_fetches_nothing_and_breaks_nothing(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, SuggestionSettings(tmp_path / "models", fetches=True))
        await Suggester(tasks, source, NoVectors(), worker, PUBLIC).fetch_model()
    assert not (tmp_path / "models").exists()


async def test_without_a_model_words_decide_and_it_says_so(suggester: Suggester) -> None:
    suggestions = await suggester.suggest("agents with a graph of states")
    assert suggestions.method == "words"
    assert [each.row for each in suggestions.candidates] == [LANGGRAPH]
    assert 0 < suggestions.candidates[0].score <= 1


async def test_settle_without_a_model_returns_at_once_with_the_reason(
    suggester: Suggester,
) -> None:
    assert not await suggester.settle(5)
    assert "model fetch" in (suggester.trouble or "")
    assert suggester.worker_pid is None
    assert await suggester.indexed() is None


async def test_a_model_that_was_fetched_in_part_is_no_model(
    suggester: Suggester, tmp_path: Path
) -> None:
    (tmp_path / "models" / "models--some--model" / "snapshots" / "1").mkdir(parents=True)
    assert not await suggester.settle(5)
    assert "model fetch" in (suggester.trouble or "")


async def test_no_more_candidates_than_asked_for_are_given(suggester: Suggester) -> None:
    assert len((await suggester.suggest("http client", 1)).candidates) == 1
    assert len((await suggester.suggest("http client", 2)).candidates) == 2


@pytest.mark.parametrize("phrase", ["", "   ", "what is the weather", "\ud800\x00"])
async def test_a_phrase_that_is_like_nothing_gives_no_candidates(
    suggester: Suggester, phrase: str
) -> None:
    assert (await suggester.suggest(phrase)).candidates == ()


async def test_an_endless_phrase_counts_by_its_beginning(suggester: Suggester) -> None:
    assert await names(suggester, "langgraph " * 100_000) == ["langgraph"]
    assert await names(suggester, "x " * 500 + "langgraph") == []


async def test_rows_are_read_at_the_first_phrase_and_once(
    suggester: Suggester, source: Source
) -> None:
    await suggester.learn([Row("early", "pypi")])
    assert source.asked == 0
    for _ in range(3):
        await suggester.suggest("http")
    assert source.asked == 1


async def test_what_is_learned_is_suggested(suggester: Suggester) -> None:
    await suggester.suggest("http")
    await suggester.learn([Row("niquests", "pypi", description="HTTP client for humans")])
    assert await names(suggester, "http for humans") == ["niquests", "httpx", "aiohttp"]


async def test_what_is_forgotten_is_not_suggested(suggester: Suggester) -> None:
    await suggester.suggest("http")
    await suggester.forget([HTTPX.key, "lib-pypi-never-known"])
    assert await names(suggester, "http client") == ["aiohttp"]


async def test_what_changes_while_rows_are_read_goes_before_them(
    suggester: Suggester, source: Source
) -> None:
    source.rows = [Row(f"http-{n}", "pypi", description="old words") for n in range(500)]
    new = Row("http-499", "pypi", description="stateful agents")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(suggester.suggest, "begin")
        while not source.asked:
            await anyio.lowlevel.checkpoint()
        await suggester.learn([new])
        await suggester.forget(["lib-pypi-http-498"])
    assert await names(suggester, "stateful agents") == ["http-499"]
    assert "http-498" not in await names(suggester, "http-498")


async def test_others_get_their_turn_while_many_rows_are_read(
    suggester: Suggester, source: Source
) -> None:
    source.rows = [Row(f"http-{n}", "pypi") for n in range(320)]
    turns = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(suggester.suggest, "begin")
        while len(suggester._words) < 320:
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert turns >= 10


def test_a_shortlist_without_a_bound_holds_everything() -> None:
    shortlist = MostUsed(None)
    assert [shortlist.offer(str(n), 0) for n in range(100)] == [None] * 100
    assert len(shortlist) == 100


def test_a_full_shortlist_lets_go_of_what_is_used_least() -> None:
    shortlist = MostUsed(2)
    assert [shortlist.offer("a", 1), shortlist.offer("b", 5)] == [None, None]
    assert shortlist.offer("c", 3) == "a"
    assert shortlist.offer("d", 0) == "d"
    assert sorted(shortlist.keys()) == ["b", "c"]


def test_a_row_that_is_used_more_by_now_keeps_its_place() -> None:
    shortlist = MostUsed(2)
    for key, used in (("a", 1), ("b", 2), ("a", 9)):
        shortlist.offer(key, used)
    assert shortlist.offer("c", 5) == "b"


def test_a_dropped_row_makes_room() -> None:
    shortlist = MostUsed(1)
    shortlist.offer("a", 9)
    assert [shortlist.drop("a"), shortlist.drop("a")] == [True, False]
    assert shortlist.offer("b", 0) is None
    assert shortlist.keys() == ["b"]


def test_a_shortlist_does_not_grow_with_use() -> None:
    shortlist = MostUsed(3)
    for used in range(1_000):
        shortlist.offer("abc"[used % 3], used)
    assert len(shortlist._least) <= 12
    assert shortlist.offer("d", 998) == "b"

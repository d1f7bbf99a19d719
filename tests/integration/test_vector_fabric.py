"""Search by meaning with the real model: on a folder, and on a Qdrant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend, QdrantVectorIndex
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import Vector, VectorSearch
from context7_fabric.fabric.vector_index_memory import MemoryVectorIndex
from support.qdrant_rest import qdrant_rest
from support.vector_fabrics import (
    QUESTION,
    TEXTS,
    Counting,
    embedded_by,
    keys,
    on_folder,
    on_server,
)


@pytest.fixture
def embedder(model: Path) -> Counting:
    return Counting(model)


@pytest.fixture(params=["folder", "embedded", "http"])
async def fabric(
    request: pytest.FixtureRequest, tmp_path: Path, embedder: Counting
) -> AsyncIterator[Fabric]:
    """A fabric of either kind, the one on a Qdrant also over HTTP."""
    if request.param == "folder":
        async with on_folder(tmp_path, embedder) as fabric:
            yield fabric
    elif request.param == "embedded":
        async with on_server(":memory:", embedder) as fabric:
            yield fabric
    else:
        with qdrant_rest() as rest:
            async with on_server(rest.url, embedder) as fabric:
                yield fabric


async def test_what_is_meant_is_found_above_what_is_not(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    found = await fabric.search(QUESTION, limit=3)
    assert len(found) == 3
    assert found[0].key == "prompt:python"
    assert found[0].value == TEXTS["prompt:python"]
    assert {match.ranked_by for match in found} == {"vectors"}
    best, *others = [match.similarity for match in found]
    assert 0.4 < best < 1
    assert 0.2 > others[0] >= others[1] >= 0


async def test_other_words_of_the_same_meaning_are_found(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    assert (await keys(fabric, "what to do with flowers in the yard"))[0] == "prompt:garden"
    assert (await keys(fabric, "a recipe for dinner"))[0] == "prompt:cooking"


async def test_nothing_is_embedded_twice(fabric: Fabric, embedder: Counting) -> None:
    await fabric.set_many(TEXTS)
    await keys(fabric)
    await keys(fabric)
    assert embedded_by(embedder) == 4
    await fabric.set_context("prompt:tax", "another text")
    await keys(fabric)
    assert embedded_by(embedder) == 5


async def test_searches_at_once_embed_once(fabric: Fabric, embedder: Counting) -> None:
    await fabric.set_many(TEXTS)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(keys, fabric)
    assert embedded_by(embedder) == 4


async def test_an_overwritten_context_is_found_by_its_new_text_alone(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    assert (await keys(fabric))[0] == "prompt:python"
    await fabric.set_context("prompt:python", "Clean the windows with vinegar")
    best = (await fabric.search(QUESTION, limit=4))[0]
    assert (best.key, best.value) == ("prompt:python", "Clean the windows with vinegar")
    assert (await keys(fabric, "washing glass panes"))[0] == "prompt:python"


async def test_what_is_overwritten_during_a_search_is_not_ranked_by_its_old_text(
    tmp_path: Path, model: Path
) -> None:
    class Slow(Counting):
        async def of_question(self, text: str) -> Vector:
            await overwritten.set_context("prompt:python", "Clean the windows with vinegar")
            return await super().of_question(text)

    async with on_folder(tmp_path, Slow(model)) as overwritten:
        await overwritten.set_many(TEXTS)
        assert sorted(await keys(overwritten)) == ["prompt:cooking", "prompt:garden", "prompt:tax"]


async def test_deleted_and_expired_contexts_do_not_come_back(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    assert len(await keys(fabric)) == 4
    await fabric.delete_context("prompt:python")
    await fabric.set_context("prompt:tax", TEXTS["prompt:tax"], ttl=-1)
    assert sorted(await keys(fabric)) == ["prompt:cooking", "prompt:garden"]


async def test_unreadable_entries_hinder_no_search(fabric: Fabric) -> None:
    await fabric.backend.write([WriteRequest("GLOBAL/broken", b"no context", at=1.0)])
    assert await keys(fabric) == []
    await fabric.set_many(TEXTS)
    assert (await keys(fabric))[0] == "prompt:python"


async def test_no_limit_and_no_query_are_served(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    assert await fabric.search(QUESTION, limit=0) == []
    assert len(await keys(fabric, "", limit=100)) == 4
    assert len(await keys(fabric, "\ud800")) == 4


async def test_a_search_gives_as_many_as_it_may_though_the_nearest_are_over(
    tmp_path: Path, embedder: Counting
) -> None:
    now = [1000.0]
    backend = DiskBackend(tmp_path)
    search = VectorSearch(MemoryVectorIndex(backend), embedder)
    async with Fabric(backend, clock=lambda: now[0], searcher=search) as fabric:
        await fabric.set_many({"prompt:tax": TEXTS["prompt:tax"]})
        await fabric.set_context("one", TEXTS["prompt:python"], ttl=60)
        await fabric.set_context("two", TEXTS["prompt:python"], ttl=60)
        assert sorted(await keys(fabric, limit=2)) == ["one", "two"]
        now[0] += 100
        assert await keys(fabric, limit=1) == ["prompt:tax"]


async def test_what_one_search_may_embed_is_bounded(
    tmp_path: Path, embedder: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "context7_fabric")
    async with on_folder(tmp_path, embedder, at_most=3) as fabric:
        for number in range(5):
            await fabric.set_context(f"{number}", "text")
        assert sorted(await keys(fabric)) == ["2", "3", "4"]
        assert "more than 3 contexts" in caplog.text
        assert len(await keys(fabric)) == 5
        assert embedded_by(embedder) == 5


async def test_a_reopened_folder_embeds_nothing_twice(tmp_path: Path, model: Path) -> None:
    async with on_folder(tmp_path, Counting(model)) as fabric:
        await fabric.set_many(TEXTS)
        before = await fabric.search(QUESTION)
    again = Counting(model)
    async with on_folder(tmp_path, again) as fabric:
        after = await fabric.search(QUESTION)
        assert [match.key for match in after] == [match.key for match in before]
        assert [match.similarity for match in after] == pytest.approx(
            [match.similarity for match in before], abs=1e-5
        )
    assert again.embedded == 0


async def test_two_fabrics_on_one_folder_find_what_the_other_wrote(
    tmp_path: Path, model: Path
) -> None:
    one, two = Counting(model), Counting(model)
    async with on_folder(tmp_path, one) as first, on_folder(tmp_path, two) as second:
        await first.set_many(TEXTS)
        assert (await keys(second))[0] == "prompt:python"
        assert (await keys(first))[0] == "prompt:python"
        assert one.embedded + two.embedded == 4
        await second.set_context("prompt:rust", "Help with the Rust programming language")
        await second.delete_context("prompt:python")
        assert (await keys(first))[0] == "prompt:rust"
        assert "prompt:python" not in await keys(first)


def test_one_fabric_serves_several_event_loops(tmp_path: Path, embedder: Counting) -> None:
    fabric = on_folder(tmp_path, embedder)
    asyncio.run(_set(fabric))
    for _ in range(3):
        assert asyncio.run(keys(fabric))[0] == "prompt:python"
    asyncio.run(fabric.aclose())
    assert embedder.embedded == 4


async def _set(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)


async def test_a_closed_fabric_finds_nothing(fabric: Fabric) -> None:
    await fabric.set_many(TEXTS)
    await fabric.aclose()
    assert await fabric.search(QUESTION) == []


async def test_an_index_that_fails_leaves_the_ranking_to_words(
    tmp_path: Path, embedder: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = QdrantBackend(":memory:", vector_size=5)
    search = VectorSearch(QdrantVectorIndex(elsewhere), embedder)
    async with Fabric(DiskBackend(tmp_path), searcher=search) as fabric:
        await fabric.set_many(TEXTS)
        await elsewhere.aclose()
        (match,) = await fabric.search(QUESTION)
    assert (match.key, match.ranked_by) == ("prompt:python", "words")
    assert "this search ranks by words" in caplog.text

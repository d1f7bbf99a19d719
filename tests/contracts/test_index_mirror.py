"""After every write the index holds the payloads of the rows, all or the most used; no process.

The worker's side is in this module too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import CollectionPayload, Row, row_key
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import IndexSync
from context7_fabric.suggestions.worker import requests as session_module
from context7_fabric.suggestions.worker.qdrant_index import RowIndex
from context7_fabric.suggestions.worker.requests import WorkerSession
from context7_fabric.suggestions.worker.wire import LineTooLong, Message, decode, encode
from contracts.index_contract import COLLECTION, of_rows
from support.model import model_path
from support.suggesting import Stored


class Direct:
    """The worker's side in this process."""

    def __init__(self) -> None:
        settings = SuggestionSettings(Path("/nowhere"), model_path=model_path())
        self.session = WorkerSession()
        self.model = str(self._answer("hello", **settings.hello())["model"])
        self.made = 0
        self.ended = anyio.Event()

    async def request(self, do: str, seconds: float, **details: object) -> Message | None:
        await anyio.lowlevel.checkpoint()
        try:
            message = self._answer(do, **details)
        except LineTooLong as error:
            return {"error": str(error)}
        self.made += len(message.get("vectors", ()))
        return message

    def end(self) -> None:
        self.ended.set()

    def index(self, principal: str = PUBLIC) -> RowIndex:
        return self.session._open[principal].index

    def payloads(self, principal: str) -> dict[str, CollectionPayload]:
        return {row_key(payload): payload for payload in self.index(principal).payloads()}

    def _answer(self, do: str, **details: object) -> Message:
        _, reply = self.session.answer(encode({"do": do, **details}).rstrip())
        return decode(reply)


class Registry:
    """Rows, and the index that mirrors them."""

    def __init__(
        self,
        worker: Direct,
        stored: Stored,
        most_rows: int | None,
        *rows: Row,
        principal: str = PUBLIC,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.mirror = IndexSync(principal, self.rows.get, stored, most_rows)
        self.worker = worker
        self._settled = anyio.Event()
        self.put(*rows)

    def put(self, *rows: Row) -> None:
        for row in rows:
            self.rows[row.key] = row
            self.mirror.put(row)

    def remove(self, key: str) -> None:
        self.rows.pop(key, None)
        self.mirror.remove(key)

    async def keep(self) -> None:
        await self.mirror.keep(self.worker, self.worker.model, self._tell)

    def _tell(self) -> None:
        self._settled.set()

    async def settled(self) -> dict[str, CollectionPayload]:
        """Content of the index once it is in step."""
        while not self.mirror.settled:
            self._settled = anyio.Event()
            await self._settled.wait()
        return self.worker.payloads(self.mirror.principal)


async def filled(registry: Registry) -> dict[str, CollectionPayload]:
    """Content of an index that was filled and released."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.keep)
        held = await registry.settled()
        tasks.cancel_scope.cancel()
    return held


HTTPX = Row("httpx", "pypi", description="asynchronous HTTP client", usage_count=5)
REDIS = Row("redis", "npm", description="client of a key-value store", usage_count=3)
FLASK = Row("flask", "pypi", description="micro web framework", usage_count=1)
WAIT = 20.0
ASKED = {"principal": PUBLIC, "text": "HTTP client", "limit": 9}


class Broken(Stored):
    """A store that fails."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        raise StoreUnavailable("get", "the disk is gone")

    async def save(self, vectors: dict[str, bytes]) -> None:
        raise StoreUnavailable("put", "the disk is gone")


@pytest.fixture
def worker() -> Iterator[Direct]:
    worker = Direct()
    yield worker
    worker.session.close()


@pytest.fixture
async def registry(worker: Direct) -> AsyncIterator[Registry]:
    registry = Registry(worker, Stored(), None, HTTPX, REDIS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.keep)
        await registry.settled()
        yield registry
        tasks.cancel_scope.cancel()


async def test_an_index_is_filled_with_the_rows(registry: Registry) -> None:
    assert await registry.settled() == of_rows(HTTPX, REDIS)


async def test_after_every_change_rows_and_payloads_are_equal(registry: Registry) -> None:
    busier = replace(REDIS, usage_count=4, last_verified=1.5, aliases=("node-redis",))
    changes: list[list[Row | str]] = [
        [FLASK],
        [busier],
        [HTTPX.key, "lib-pypi-unknown"],
        [HTTPX, replace(HTTPX, id="/encode/httpx")],
        [FLASK, FLASK.key],
        [HTTPX.key, HTTPX],
        [Row(f"row-{number}", "npm") for number in range(100)],
    ]
    for each in changes:
        for change in each:
            registry.remove(change) if isinstance(change, str) else registry.put(change)
        assert await registry.settled() == of_rows(*registry.rows.values())


async def test_vectors_are_computed_once_and_stored(worker: Direct) -> None:
    stored = Stored()
    await filled(Registry(worker, stored, None, HTTPX, REDIS))
    await filled(Registry(worker, stored, None, HTTPX, replace(REDIS, usage_count=9)))
    assert worker.made == 2
    assert sorted(stored.vectors) == sorted([HTTPX.key, REDIS.key])


async def test_a_row_that_reads_otherwise_gets_another_vector(worker: Direct) -> None:
    stored = Stored()
    await filled(Registry(worker, stored, None, HTTPX))
    before = stored.vectors[HTTPX.key]
    await filled(Registry(worker, stored, None, replace(HTTPX, description="a web framework")))
    assert stored.vectors[HTTPX.key] != before


@pytest.mark.parametrize("value", [b"", b"garbage", bytes(16 + 4 * 384)])
async def test_a_stored_vector_of_another_model_is_computed_again(
    worker: Direct, value: bytes
) -> None:
    stored = Stored()
    stored.vectors[HTTPX.key] = value
    await filled(Registry(worker, stored, None, HTTPX))
    assert worker.made == 1
    assert stored.vectors[HTTPX.key] != value


async def test_a_store_that_fails_costs_only_time(worker: Direct) -> None:
    assert await filled(Registry(worker, Broken(), None, HTTPX)) == of_rows(HTTPX)


async def test_where_there_is_not_room_for_all_the_most_used_are_held(worker: Direct) -> None:
    registry = Registry(worker, Stored(), 2, HTTPX, REDIS, FLASK)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.keep)
        assert await registry.settled() == of_rows(HTTPX, REDIS)
        registry.put(popular := replace(FLASK, usage_count=4))
        assert await registry.settled() == of_rows(HTTPX, popular)
        registry.put(Row("unused", "npm"))
        assert await registry.settled() == of_rows(HTTPX, popular)
        tasks.cancel_scope.cancel()


async def test_a_rebuilt_index_can_be_asked_meanwhile_and_loses_what_is_no_row(
    registry: Registry,
) -> None:
    stray = {"principal": PUBLIC, "rows": [{"name": "stray", "ecosystem": "npm"}], "vectors": {}}
    await registry.worker.request("upsert", WAIT, **stray)
    registry.mirror.refill()
    asked = 0
    while not registry.mirror.settled:
        asked += 1
        assert registry.mirror.complete
        near = await registry.worker.request("query", WAIT, **ASKED)
        assert near is not None
        assert near["near"][0][0] == HTTPX.key
    assert asked
    assert await registry.settled() == of_rows(HTTPX, REDIS)


async def test_what_changes_during_a_rebuild_is_in_the_index_after_it(registry: Registry) -> None:
    registry.put(*(Row(f"row-{number}", "npm") for number in range(100)))
    registry.mirror.refill()
    await anyio.lowlevel.checkpoint()
    registry.put(FLASK)
    registry.remove(HTTPX.key)
    registry.mirror.refill()
    assert await registry.settled() == of_rows(*registry.rows.values())


async def test_a_row_that_no_index_can_take_is_left_out(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.put(FLASK, Row("\ud800", "pypi"), Row("long", "npm", description="x" * 5_000_000))
    assert await registry.settled() == of_rows(HTTPX, REDIS, FLASK)
    assert not registry.worker.ended.is_set()
    assert "lib-npm-long" in caplog.text


async def test_a_worker_whose_index_takes_nothing_is_given_up(registry: Registry) -> None:
    registry.worker.session.close()
    registry.put(*(Row(f"row-{number}", "npm") for number in range(10)))
    await registry.worker.ended.wait()
    await anyio.lowlevel.checkpoint()
    assert not registry.mirror.settled


async def test_a_worker_that_removed_much_wants_to_be_replaced(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "WORN", 2)
    worn = []
    for row in (HTTPX, REDIS):
        registry.remove(row.key)
        await registry.settled()
        worn.append(registry.worker.session.worn)
    assert worn == [False, True]


async def test_the_index_of_no_rows_is_empty(worker: Direct) -> None:
    assert await filled(Registry(worker, Stored(), None)) == {}
    assert COLLECTION.name == "library_registry"


async def test_two_principals_in_one_worker_have_their_own_rows(worker: Direct) -> None:
    ann = Registry(worker, Stored(), None, HTTPX, REDIS, principal="key-ann")
    bob = Registry(worker, Stored(), None, FLASK, principal="key-bob")
    assert await filled(ann) == of_rows(HTTPX, REDIS)
    assert await filled(bob) == of_rows(FLASK)
    ann.remove(HTTPX.key)
    bob.put(HTTPX)
    assert await filled(ann) == of_rows(REDIS)
    assert worker.payloads("key-bob") == of_rows(FLASK)
    assert await filled(bob) == of_rows(FLASK, HTTPX)


async def test_removals_from_an_index_that_was_let_go_of_wear_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "WORN", 1)
    registry.remove(HTTPX.key)
    await registry.settled()
    assert registry.worker.session.worn
    await registry.worker.request("release", WAIT, principal=PUBLIC)
    assert not registry.worker.session.worn

"""The rows in memory keep in step with those that others write, and are only so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry import row_store as module
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import REVISION, WRITTEN, RowStore, announce_changed_rows
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds

ME = "alice"

PAD = Row("left-pad", "npm", id="/left/pad")
NEXT = Row("right-pad", "npm", id="/right/pad")


class Slow(MemoryBackend):
    """A store of which one operation waits at a gate, or fails after it."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = ""
        self.fails = False
        self.gate: anyio.Event | None = None

    async def get(self, key: str) -> BackendEntry | None:
        await self._pass("get")
        return await super().get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        await self._pass("get_many")
        return await super().get_many(keys)

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        await self._pass("items")
        return await super().items(prefix, after, limit)

    async def _pass(self, operation: str) -> None:
        """Wait and fail once, whatever is asked meanwhile."""
        if operation == self.slow:
            self.slow = ""
            if self.gate is not None:
                await self.gate.wait()
            if self.fails:
                raise StoreUnavailable(operation, "no answer within 1 s")


@dataclass
class House:
    """Our rows, those of others on the same store, and what is heard of them."""

    backend: Slow
    fabric: Fabric
    store: RowStore
    registry: Registry
    news: ChangeFeed
    loads: int = 0

    async def others_write(self, *rows: Row, principal: str = PUBLIC) -> None:
        """Another process writes rows, and the store announces it."""
        before = set(await self.fabric.keys(Scope.GLOBAL))
        await RowStore(self.fabric, principal).save(rows)
        written = set(await self.fabric.keys(Scope.GLOBAL)) - before
        names = {f"row:{row.key}#{principal}" for row in rows}
        self.hear(*written | names, REVISION)

    def hear(self, *keys: str) -> None:
        for ear in self.news._listeners:
            ear.receive(tuple(address(Scope.GLOBAL, key) for key in keys))

    async def others_write_unheard(self, *rows: Row) -> None:
        """Another process writes rows, and it is heard only that it may have been anything."""
        await RowStore(self.fabric, PUBLIC).save(rows)
        for ear in self.news._listeners:
            ear.receive(None)

    async def catch_up_cancelled_at(self, operation: str) -> None:
        """Catch up, and be cancelled while an operation of the store takes its time."""
        self.backend.slow, self.backend.gate = operation, anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.registry.catch_up)
            await anyio.wait_all_tasks_blocked()
            assert not self.backend.slow
            tasks.cancel_scope.cancel()
        self.backend.gate = None

    async def catch_up_failing_at(self, operation: str) -> None:
        """Catch up while an operation of the store fails, once."""
        self.backend.slow, self.backend.fails = operation, True
        await self.registry.catch_up()
        assert not self.backend.slow

    def knows(self, *rows: Row) -> bool:
        return all(self.registry.row(row.id) is not None for row in rows)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> House:
    fabric = Fabric(backend := Slow())
    news = ChangeFeed(fabric.backend)
    news.is_live = True
    store = RowStore(fabric, ME, news.listen(*WRITTEN))
    registry = Registry(store, lambda: Seeds(()), lambda: 0.0)
    house = House(backend, fabric, store, registry, news)
    load = store.load

    async def counted() -> dict[str, Row]:
        house.loads += 1
        return await load()

    monkeypatch.setattr(store, "load", counted)
    await registry.load()
    await registry.catch_up()
    house.loads = 0
    return house


async def test_a_row_that_others_wrote_is_taken_in_alone(house: House) -> None:
    await house.others_write(Row("left-pad", "npm", id="/left/pad"))
    await house.registry.catch_up()
    match = house.registry.find("left-pad")
    assert match is not None
    assert match.row.id == "/left/pad"
    assert house.loads == 0


async def test_suggestions_are_notified_too(house: House) -> None:
    heard = list[Row]()

    async def hear(rows: Sequence[Row]) -> None:
        heard.extend(rows)

    house.registry.on_change = hear
    await house.others_write(Row("left-pad", "npm", id="/left/pad"))
    await house.registry.catch_up()
    assert [row.id for row in heard] == ["/left/pad"]


async def test_a_row_of_ones_own_stays_before_the_public_one(house: House) -> None:
    await house.others_write(Row("left-pad", "npm", id="/mine/pad"), principal=ME)
    await house.registry.catch_up()
    await house.others_write(Row("left-pad", "npm", id="/left/pad"))
    await house.registry.catch_up()
    match = house.registry.find("left-pad")
    assert match is not None
    assert match.row.id == "/mine/pad"


async def test_a_row_of_another_principal_is_not_seen(house: House) -> None:
    await house.others_write(Row("secret", "npm", id="/bob/secret"), principal="bob")
    await house.registry.catch_up()
    assert house.registry.find("secret") is None
    assert house.registry.row("/bob/secret") is None


async def test_where_rows_were_removed_all_are_read_again(house: House) -> None:
    await house.others_write(Row("left-pad", "npm", id="/left/pad"))
    await house.registry.catch_up()
    (key,) = await house.fabric.keys(Scope.GLOBAL, "row:")
    await house.fabric.delete_context(key)
    await announce_changed_rows(house.fabric)
    house.hear(key, REVISION)
    await house.registry.catch_up()
    assert house.registry.find("left-pad") is None
    assert house.loads == 1


async def test_where_it_is_not_heard_what_changed_all_are_read_if_any_did(house: House) -> None:
    house.news.is_live = False
    await house.registry.catch_up()
    first = house.loads
    await house.registry.catch_up()
    assert house.loads == first
    await RowStore(house.fabric, PUBLIC).save([Row("left-pad", "npm", id="/left/pad")])
    await house.registry.catch_up()
    assert house.loads == first + 1
    assert house.registry.row("/left/pad") is not None


async def test_of_too_many_rows_the_most_used_are_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    rows = [Row(f"lib{use}", "npm", id=f"/lib/{use}", usage_count=use) for use in range(12)]
    await RowStore(house.fabric, PUBLIC).save(rows)
    await house.registry.load()
    assert {row.usage_count for row in house.registry.rows()} == {8, 9, 10, 11}


class TestALookThatEndsBadly:
    """What it heard is made up for by the next, also where more was written since."""

    async def test_by_being_cancelled_leaves_its_rows_to_the_next(self, house: House) -> None:
        await house.others_write(PAD)
        await house.catch_up_cancelled_at("get_many")
        await house.others_write(NEXT)
        await house.registry.catch_up()
        assert house.knows(PAD, NEXT)
        assert house.loads == 0

    async def test_by_being_cancelled_leaves_them_to_one_that_heard_of_none(
        self, house: House
    ) -> None:
        await house.others_write(PAD)
        await house.catch_up_cancelled_at("get_many")
        await house.registry.catch_up()
        assert house.knows(PAD)

    async def test_by_being_cancelled_has_reported_the_rows_it_took_in(self, house: House) -> None:
        heard = list[Row]()

        async def hear(rows: Sequence[Row]) -> None:
            heard.extend(rows)

        house.registry.on_change = hear
        await house.others_write(PAD)
        await house.catch_up_cancelled_at("get")
        await house.registry.catch_up()
        assert house.knows(PAD)
        assert [row.id for row in heard] == [PAD.id]

    @pytest.mark.parametrize("operation", ["get", "items"])
    async def test_by_being_cancelled_while_all_are_read_has_them_read_again(
        self, house: House, operation: str
    ) -> None:
        await house.others_write_unheard(PAD)
        await house.catch_up_cancelled_at(operation)
        await house.others_write(NEXT)
        await house.registry.catch_up()
        assert house.knows(PAD, NEXT)

    async def test_by_a_failing_read_of_its_rows_has_all_read_again(self, house: House) -> None:
        await house.others_write(PAD)
        house.backend.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.catch_up_failing_at, "get_many")
            await anyio.wait_all_tasks_blocked()
            await house.others_write(NEXT)
            await house.registry.catch_up()  # goes well meanwhile
            house.backend.gate.set()
        await house.registry.catch_up()
        assert house.knows(PAD, NEXT)

    @pytest.mark.parametrize("operation", ["get", "items"])
    async def test_by_a_failing_read_of_all_has_them_read_again(
        self, house: House, operation: str
    ) -> None:
        await house.others_write_unheard(PAD)
        await house.catch_up_failing_at(operation)
        await house.others_write(NEXT)
        await house.registry.catch_up()
        assert house.knows(PAD, NEXT)


async def test_rows_written_unannounced_during_a_look_are_read(
    house: House,
) -> None:
    await house.others_write(PAD)
    house.backend.slow, house.backend.gate = "get", anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.registry.catch_up)
        await anyio.wait_all_tasks_blocked()
        await house.others_write_unheard(NEXT)  # before it is asked how the rows stand
        house.backend.gate.set()
    await house.registry.catch_up()
    assert house.knows(PAD, NEXT)


async def test_an_empty_store_is_not_read_again_once_it_has_rows(house: House) -> None:
    for ear in house.news._listeners:
        ear.receive(None)
    await house.registry.catch_up()
    await house.others_write(PAD)
    await house.registry.catch_up()
    await house.registry.load_if_changed()
    assert house.knows(PAD)
    assert house.loads == 0

"""Whoever is told of rows is told how they stand, whatever becomes of the look that found them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.lowlevel import checkpoint

from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.libraries import Library, LibraryList
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import WRITTEN, RowStore, tell_of_changed_rows
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from context7_fabric.views.purge import Purge

PAD = Row("left-pad", "npm", id="/left/pad")
NEXT = Row("right-pad", "npm", id="/right/pad")
ENTRY = Library("/a/b", "B", "", None, None, None, None, (), None, "")


class Slow(MemoryBackend):
    """A store whose pages, once read, wait at a gate."""

    gate: anyio.Event | None = None

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        page = await super().items(prefix, after, limit)
        if self.gate is not None:
            await self.gate.wait()
        return page


@dataclass
class House:
    """A registry, and what somebody knows who is told of its rows and takes a while over it."""

    backend: Slow = field(default_factory=Slow)
    told: dict[str, Row] = field(default_factory=dict)
    times: int = 0
    gate: anyio.Event | None = None

    def __post_init__(self) -> None:
        self.fabric = Fabric(self.backend)
        self.news = ChangeFeed(self.backend)
        self.news.is_live = True
        rows = RowStore(self.fabric, PUBLIC, self.news.listen(*WRITTEN))
        self.registry = Registry(rows, lambda: Seeds(()), lambda: 0.0)
        self.registry.on_change = self.learn
        self.registry.on_forget = self.forget

    async def learn(self, rows: Sequence[Row]) -> None:
        await self._think()
        self.told |= {row.key: row for row in rows}

    async def forget(self, keys: Iterable[str]) -> None:
        await self._think()
        for key in keys:
            self.told.pop(key, None)

    async def _think(self) -> None:
        self.times += 1
        await checkpoint()
        if self.gate is not None:
            await self.gate.wait()

    async def others_write(self, *rows: Row) -> None:
        await RowStore(self.fabric, PUBLIC).save(rows)

    def hear(self, *rows: Row) -> None:
        """Hear that others wrote `rows`, which may be any where none are named."""
        keys = tuple(address(Scope.GLOBAL, f"row:{row.key}#{PUBLIC}") for row in rows)
        for ear in self.news._listeners:
            ear.receive(keys or None)

    async def others_replace_all_by(self, *rows: Row) -> None:
        await Purge(self.fabric).everything()
        await self.others_write(*rows)
        await tell_of_changed_rows(self.fabric)
        self.hear()

    async def catch_up_cancelled_as_it_tells(self) -> None:
        self.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.registry.catch_up)
            while not self.times:  # a thread's work comes before
                await checkpoint()
            tasks.cancel_scope.cancel()
        self.gate = None

    async def catch_up_cancelled_as_it_compares(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Catch up, and be cancelled as soon as all rows are taken in."""
        end = self.registry._end
        with monkeypatch.context() as patch, anyio.CancelScope() as scope:

            def cancel(meanwhile: dict[str, Row]) -> None:
                end(meanwhile)
                scope.cancel()

            patch.setattr(self.registry, "_end", cancel)
            await self.registry.catch_up()
        assert scope.cancelled_caught

    def tells_how_rows_stand(self) -> bool:
        return self.told == {row.key: row for row in self.registry.rows()}


@pytest.fixture
async def house() -> House:
    house = House()
    await house.registry.load()
    await house.others_write(PAD)
    await house.registry.catch_up()
    assert house.tells_how_rows_stand()
    house.times = 0
    return house


class TestALookThatIsCancelled:
    """The next one tells in its place, though it reads nothing again."""

    async def test_as_it_tells_of_all_rows(self, house: House) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_tells()
        assert house.registry.rows() == [NEXT]
        assert not house.tells_how_rows_stand()
        await house.registry.catch_up()
        assert house.tells_how_rows_stand()

    async def test_before_it_tells_of_all_rows(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_compares(monkeypatch)
        assert house.registry.rows() == [NEXT]
        assert not house.tells_how_rows_stand()
        await house.registry.catch_up()
        assert house.tells_how_rows_stand()

    async def test_as_it_tells_of_the_rows_that_it_heard_of(self, house: House) -> None:
        await house.others_write(NEXT)
        house.hear(NEXT)
        await house.catch_up_cancelled_as_it_tells()
        assert not house.tells_how_rows_stand()
        await house.registry.catch_up()
        assert house.tells_how_rows_stand()

    async def test_also_where_rows_went_and_came_back(self, house: House) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_tells()
        await house.others_replace_all_by(PAD)
        await house.registry.catch_up()
        assert house.registry.rows() == [PAD]
        assert house.tells_how_rows_stand()

    async def test_tells_once(self, house: House) -> None:
        await house.others_replace_all_by(PAD, NEXT)
        await house.catch_up_cancelled_as_it_tells()
        await house.registry.catch_up()
        times = house.times
        await house.registry.catch_up()
        assert house.times == times


async def test_what_is_learned_while_all_rows_are_read_is_told_as_it_is(house: House) -> None:
    gate = house.backend.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.registry.load)
        await anyio.wait_all_tasks_blocked()
        await house.registry.moved(PAD.id, "/moved/pad")
        await house.registry.teach(None, LibraryList("", None, (ENTRY,)))
        gate.set()
    assert {row.id for row in house.registry.rows()} == {"/moved/pad", ENTRY.id}
    assert house.tells_how_rows_stand()

"""Reports of rows have their current state, also after a look that was cut short."""

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
from context7_fabric.registry.row_store import WRITTEN, RowStore, announce_changed_rows
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
    """Registry, and a slow observer of its rows."""

    backend: Slow = field(default_factory=Slow)
    reported: dict[str, Row] = field(default_factory=dict)
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
        self.reported |= {row.key: row for row in rows}

    async def forget(self, keys: Iterable[str]) -> None:
        await self._think()
        for key in keys:
            self.reported.pop(key, None)

    async def _think(self) -> None:
        self.times += 1
        await checkpoint()
        if self.gate is not None:
            await self.gate.wait()

    async def others_write(self, *rows: Row) -> None:
        await RowStore(self.fabric, PUBLIC).save(rows)

    def hear(self, *rows: Row) -> None:
        """Announce that others wrote `rows`, or any rows if none are named."""
        keys = tuple(address(Scope.GLOBAL, f"row:{row.key}#{PUBLIC}") for row in rows)
        for ear in self.news._listeners:
            ear.receive(keys or None)

    async def others_replace_all_by(self, *rows: Row) -> None:
        await Purge(self.fabric).everything()
        await self.others_write(*rows)
        await announce_changed_rows(self.fabric)
        self.hear()

    async def catch_up_cancelled_as_it_reports(self) -> None:
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

    def reported_all(self) -> bool:
        return self.reported == {row.key: row for row in self.registry.rows()}


@pytest.fixture
async def house() -> House:
    house = House()
    await house.registry.load()
    await house.others_write(PAD)
    await house.registry.catch_up()
    assert house.reported_all()
    house.times = 0
    return house


class TestALookThatIsCancelled:
    """The next look reports in its place, though it reads nothing again."""

    async def test_as_it_reports_all_rows(self, house: House) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_reports()
        assert house.registry.rows() == [NEXT]
        assert not house.reported_all()
        await house.registry.catch_up()
        assert house.reported_all()

    async def test_before_it_reports_all_rows(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_compares(monkeypatch)
        assert house.registry.rows() == [NEXT]
        assert not house.reported_all()
        await house.registry.catch_up()
        assert house.reported_all()

    async def test_as_it_reports_the_announced_rows(self, house: House) -> None:
        await house.others_write(NEXT)
        house.hear(NEXT)
        await house.catch_up_cancelled_as_it_reports()
        assert not house.reported_all()
        await house.registry.catch_up()
        assert house.reported_all()

    async def test_also_where_rows_went_and_came_back(self, house: House) -> None:
        await house.others_replace_all_by(NEXT)
        await house.catch_up_cancelled_as_it_reports()
        await house.others_replace_all_by(PAD)
        await house.registry.catch_up()
        assert house.registry.rows() == [PAD]
        assert house.reported_all()

    async def test_reports_once(self, house: House) -> None:
        await house.others_replace_all_by(PAD, NEXT)
        await house.catch_up_cancelled_as_it_reports()
        await house.registry.catch_up()
        times = house.times
        await house.registry.catch_up()
        assert house.times == times


async def test_rows_learned_during_a_load_are_reported_in_their_current_state(house: House) -> None:
    gate = house.backend.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.registry.load)
        await anyio.wait_all_tasks_blocked()
        await house.registry.moved(PAD.id, "/moved/pad")
        await house.registry.teach(None, LibraryList("", None, (ENTRY,)))
        gate.set()
    assert {row.id for row in house.registry.rows()} == {"/moved/pad", ENTRY.id}
    assert house.reported_all()

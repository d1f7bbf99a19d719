"""Known rows outlast a failing store, slow loads and other writers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore, announce_changed_rows
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from context7_fabric.views.purge import Purge

PAD = Row("left-pad", "npm", id="/left/pad")


class Fickle(MemoryBackend):
    """A store that fails, holds a load up, or counts loads, as a test wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.loads = 0
        self.gate: anyio.Event | None = None

    async def get(self, key: str) -> BackendEntry | None:
        self._check()
        return await super().get(key)

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        self._check()
        self.loads += 1
        page = await super().items(prefix, after, limit)
        if self.gate is not None:
            await self.gate.wait()
        return page

    def _check(self) -> None:
        if self.fails:
            raise StoreUnavailable("get", "it fails")


@dataclass
class House:
    """Registry, its store, and the changes that it reports."""

    backend: Fickle = field(default_factory=Fickle)
    changed: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fabric = Fabric(self.backend)
        self.registry = Registry(RowStore(self.fabric, PUBLIC), lambda: Seeds(()), lambda: 0.0)
        self.registry.on_change = self.hear
        self.registry.on_forget = self.hear_of_gone

    async def hear(self, rows: Sequence[Row]) -> None:
        self.changed += [row.id for row in rows]

    async def hear_of_gone(self, keys: Iterable[str]) -> None:
        self.forgotten += keys

    async def others_write(self, *rows: Row) -> None:
        await RowStore(self.fabric, PUBLIC).save(rows)


@pytest.fixture
async def house() -> House:
    house = House()
    await house.others_write(PAD)
    await house.registry.load()
    house.backend.loads = 0
    return house


def uses(house: House) -> int:
    row = house.registry.row(PAD.id)
    assert row is not None
    return row.usage_count


class TestAStoreThatFails:
    @pytest.mark.parametrize("again", ["load", "catch_up"])
    async def test_takes_nothing_from_what_is_known(self, house: House, again: str) -> None:
        house.backend.fails = True
        await getattr(house.registry, again)()
        assert house.registry.row(PAD.id) == PAD

    async def test_is_read_as_soon_as_it_works(self, house: House) -> None:
        house.backend.fails = True
        await house.registry.load()
        house.backend.fails = False
        await house.others_write(Row("right-pad", "npm", id="/right/pad"))
        await house.registry.catch_up()
        assert house.registry.row("/right/pad") is not None

    async def test_at_the_start_leaves_the_seeds_and_is_read_later(self) -> None:
        house = House()
        await house.others_write(PAD)
        house.backend.fails = True
        await house.registry.load()
        assert house.registry.loaded.is_set()
        house.backend.fails = False
        await house.registry.catch_up()
        assert house.registry.row(PAD.id) == PAD


class TestUses:
    async def test_are_added_to_those_that_others_counted(self, house: House) -> None:
        house.registry.used(PAD.id)
        await house.others_write(Row("left-pad", "npm", id=PAD.id, usage_count=40))
        await house.registry.catch_up()
        assert uses(house) == 41
        await house.registry.flush()
        again = House(house.backend)
        await again.registry.load()
        assert uses(again) == 41

    async def test_take_nothing_back_that_others_learned(self, house: House) -> None:
        house.registry.used(PAD.id)
        await house.others_write(Row("left-pad", "npm", id="/moved/pad"))
        await house.registry.catch_up()
        await house.registry.flush()
        again = House(house.backend)
        await again.registry.load()
        assert again.registry.row("/moved/pad") is not None
        assert again.registry.row(PAD.id) is None


class TestReadingAll:
    async def test_is_not_done_for_what_one_wrote_alone(self, house: House) -> None:
        house.registry.used(PAD.id)
        await house.registry.flush()
        await house.registry.catch_up()
        assert house.backend.loads == 0

    async def test_is_done_where_others_wrote_as_well(self, house: House) -> None:
        await house.others_write(Row("right-pad", "npm", id="/right/pad"))
        house.registry.used(PAD.id)
        await house.registry.flush()
        await house.registry.catch_up()
        assert house.backend.loads > 0
        assert house.registry.row("/right/pad") is not None

    async def test_keeps_what_came_meanwhile(self, house: House) -> None:
        house.backend.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.registry.load)
            await anyio.wait_all_tasks_blocked()
            await house.registry.moved(PAD.id, "/moved/pad")
            house.registry.used("/moved/pad")
            house.backend.gate.set()
        row = house.registry.row("/moved/pad")
        assert row is not None
        assert row.usage_count == 1

    async def test_reports_new_rows_and_rows_that_are_gone(self, house: House) -> None:
        await Purge(house.fabric).everything()
        await house.others_write(Row("right-pad", "npm", id="/right/pad"))
        await announce_changed_rows(house.fabric)
        house.changed.clear()
        await house.registry.catch_up()
        assert house.forgotten == [PAD.key]
        assert house.changed == ["/right/pad"]

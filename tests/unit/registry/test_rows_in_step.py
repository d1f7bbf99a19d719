"""The rows in memory keep in step with those that others write, and are only so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.news import News
from context7_fabric.models import PUBLIC
from context7_fabric.registry import store as module
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from context7_fabric.registry.store import REVISION, WRITTEN, RowStore, tell_of_changed_rows

ME = "alice"


@dataclass
class House:
    """Our rows, those of others on the same store, and what is heard of them."""

    fabric: Fabric
    store: RowStore
    registry: Registry
    news: News
    loads: int = 0

    async def others_write(self, *rows: Row, principal: str = PUBLIC) -> None:
        """Another process writes rows, and the store tells of it."""
        before = set(await self.fabric.keys(Scope.GLOBAL))
        await RowStore(self.fabric, principal).save(rows)
        written = set(await self.fabric.keys(Scope.GLOBAL)) - before
        names = {f"row:{row.key}#{principal}" for row in rows}
        self.hear(*written | names, REVISION)

    def hear(self, *keys: str) -> None:
        for ear in self.news._ears:
            ear.hear(tuple(address(Scope.GLOBAL, key) for key in keys))


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> House:
    fabric = Fabric(MemoryBackend())
    news = News(fabric.backend)
    news.is_live = True
    store = RowStore(fabric, ME, news.ear(*WRITTEN))
    registry = Registry(store, lambda: Seeds(()), lambda: 0.0)
    house = House(fabric, store, registry, news)
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


async def test_suggestions_hear_of_it_too(house: House) -> None:
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
    await tell_of_changed_rows(house.fabric)
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

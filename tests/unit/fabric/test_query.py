"""Queries page through what there is, newest first; cleaning up removes what is old."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import NOON, Broken, FakeClock


@pytest.fixture
async def many(fabric: Fabric, clock: FakeClock) -> Fabric:
    """A fabric of 300 contexts, three a second."""
    for number in range(300):
        clock.now = NOON + number // 3
        await fabric.set_context(f"key:{number:03}", number)
    return fabric


async def test_pages_follow_each_other_without_a_gap(many: Fabric) -> None:
    page = await many.query("key:*", limit=7)
    found = page
    while page:
        page = await many.query("key:*", limit=7, after=page[-1])
        found += page
    assert [context.value for context in found] == list(range(299, -1, -1))


async def test_what_is_stored_meanwhile_moves_no_page(many: Fabric, clock: FakeClock) -> None:
    first = await many.query(limit=2)
    clock.now = NOON + 1000
    await many.set_context("key:new", None)
    second = await many.query(limit=2, after=first[-1])
    assert [context.value for context in first + second] == [299, 298, 297, 296]


async def test_a_rare_match_is_found_behind_many_others(many: Fabric) -> None:
    assert [context.key for context in await many.query("*:00[12]")] == ["key:002", "key:001"]
    assert [context.key for context in await many.query("*9", limit=1)] == ["key:299"]


async def test_get_many_keeps_the_order_of_the_keys(many: Fabric) -> None:
    found = await many.get_many(["key:200", "never", "key:003", "key:100"])
    assert [context.value for context in found] == [200, 3, 100]


@pytest.mark.parametrize(
    "moment",
    [
        NOON + 50,
        datetime.fromtimestamp(NOON + 50, UTC),
        datetime.fromtimestamp(NOON + 50, UTC).replace(tzinfo=None),
        datetime.fromtimestamp(NOON + 50, UTC).isoformat(),
    ],
    ids=["seconds", "datetime", "no zone", "text"],
)
async def test_what_was_stored_before_a_time_is_cleaned_up(
    many: Fabric, moment: str | float | datetime
) -> None:
    assert await many.cleanup(before_timestamp=moment) == 150
    assert await many.count_contexts() == 150
    assert (await many.query())[-1].created_at == NOON + 50


async def test_a_day_is_a_time(many: Fabric) -> None:
    assert await many.cleanup(before_timestamp="2023-11-01") == 0
    assert await many.cleanup(before_timestamp="2024-01-01") == 300


async def test_cleaning_up_reaches_every_scope_or_one(fabric: Fabric) -> None:
    for scope in Scope:
        await fabric.set_context("key", None, scope)
    assert await fabric.cleanup(NOON + 1, Scope.EXECUTION) == 1
    assert await fabric.count_contexts() == 3
    assert await fabric.cleanup(NOON + 1) == 3


async def test_cleanup_before_an_invalid_time_is_refused(many: Fabric) -> None:
    with pytest.raises(ValueError, match="yesterday"):
        await many.cleanup("yesterday")
    assert await many.count_contexts() == 300


async def test_cleanup_raises_the_error_of_the_store(clock: FakeClock) -> None:
    with pytest.raises(StoreUnavailable):
        await Fabric(Broken(), clock).cleanup(NOON)

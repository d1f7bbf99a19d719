"""A fabric tells how many contexts it has, how much room they take, and how well it serves."""

from __future__ import annotations

import re

from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import Broken, FakeClock


async def test_contexts_are_counted_by_scope_and_in_all(fabric: Fabric) -> None:
    for key in ("a", "b"):
        await fabric.set_context(key, 1)
    await fabric.set_context("a", 1, Scope.USER)
    await fabric.lease("work", 60)
    assert await fabric.count_contexts() == 3
    assert [await fabric.count_contexts(scope) for scope in ("GLOBAL", "USER")] == [2, 1]


async def test_the_room_that_is_taken_grows_with_what_is_stored(fabric: Fabric) -> None:
    before = await fabric.get_memory_usage()
    await fabric.set_context("key", "x" * 10_000)
    assert await fabric.get_memory_usage() >= before + 10_000


async def test_the_hit_rate_is_the_share_of_reads_that_found_something(fabric: Fabric) -> None:
    assert await fabric.get_hit_rate() == 0.0
    await fabric.set_context("key", 1)
    for key in ("key", "key", "key", "never"):
        await fabric.get_context(key)
    assert await fabric.get_hit_rate() == 0.75


async def test_the_latency_is_the_mean_of_all_operations(fabric: Fabric) -> None:
    assert await fabric.get_avg_latency() == 0.0
    await fabric.set_context("key", 1)
    await fabric.query("*")
    assert 0 < await fabric.get_avg_latency() < 1000


async def test_info_and_dbsize_are_plain_calls(fabric: Fabric) -> None:
    await fabric.set_context("key", "x" * 2048)
    info = fabric.backend.info()
    assert info["backend"] == "memory"
    assert re.fullmatch(r"2\.\d\dK", str(info["memory_human"]))
    assert fabric.backend.dbsize() == 1


async def test_a_failing_store_has_empty_statistics_and_counts_errors(clock: FakeClock) -> None:
    fabric = Fabric(Broken(), clock)
    assert await fabric.count_contexts("GLOBAL") == 0
    assert await fabric.get_memory_usage() == 0
    assert await fabric.get_context("key") is None
    assert await fabric.get_hit_rate() == 0.0
    assert fabric.faults.count == 3

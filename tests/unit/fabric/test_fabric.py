"""The fabric: what is stored is found, by scope and until its end."""

from __future__ import annotations

import pytest

from context7_fabric.errors import StoreClosed
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from contracts.entries import put
from unit.fabric.fakes import NOON, FakeClock, scanned


async def test_what_is_set_is_got_with_its_time_and_metadata(fabric: Fabric) -> None:
    assert await fabric.set_context("key", {"a": [1, None]}, metadata={"by": "me"}, ttl=60)
    assert await fabric.get_context("key") == Context(
        key="key",
        value={"a": [1, None]},
        scope=Scope.GLOBAL,
        created_at=NOON,
        expires_at=NOON + 60,
        metadata={"by": "me"},
    )


async def test_setting_again_replaces_value_metadata_and_end(fabric: Fabric) -> None:
    await fabric.set_context("key", "one", metadata={"by": "me"}, ttl=60)
    await fabric.set_context("key", "two")
    assert await fabric.get_context("key") == Context("key", "two", Scope.GLOBAL, NOON, version=2)


async def test_nothing_is_got_where_nothing_was_set(fabric: Fabric) -> None:
    assert await fabric.get_context("key") is None
    assert fabric.faults.count == 0


async def test_null_is_a_value(fabric: Fabric) -> None:
    await fabric.set_context("key", None)
    context = await fabric.get_context("key")
    assert context is not None
    assert context.value is None


@pytest.mark.parametrize("scope", list(Scope))
async def test_scopes_do_not_see_each_other(fabric: Fabric, scope: Scope) -> None:
    await fabric.set_context("key", "value", scope)
    holding = [other for other in Scope if await fabric.get_context("key", other)]
    listing = [other for other in Scope if await fabric.keys(other)]
    finding = [other for other in Scope if await fabric.query("*", other)]
    assert holding == listing == finding == [scope]
    others = [await fabric.delete_context("key", other) for other in Scope if other != scope]
    assert others == [False] * 3
    assert await fabric.delete_context("key", scope)


async def test_a_scope_may_be_given_by_its_name(fabric: Fabric) -> None:
    await fabric.set_context("key", "value", "USER")
    assert await fabric.get_context("key", Scope.USER) == await fabric.get_context("key", "USER")
    assert [context.scope for context in await fabric.query("k*", "USER")] == [Scope.USER]
    assert await fabric.delete_context("key", "USER")


async def test_a_scope_that_is_none_is_refused(fabric: Fabric) -> None:
    with pytest.raises(ValueError, match="ELSEWHERE"):
        await fabric.set_context("key", "value", "ELSEWHERE")
    with pytest.raises(ValueError, match="ELSEWHERE"):
        await fabric.get_context("key", "ELSEWHERE")


async def test_an_entry_is_there_until_its_time_is_over(fabric: Fabric, clock: FakeClock) -> None:
    await fabric.set_context("key", "value", ttl=60)
    clock.now = NOON + 59.9
    assert await fabric.get_context("key") is not None
    clock.now = NOON + 60
    assert await fabric.get_context("key") is None
    assert await fabric.query("*") == []


async def test_an_entry_without_an_end_stays(fabric: Fabric, clock: FakeClock) -> None:
    await fabric.set_context("key", "value")
    clock.now = NOON + 1e9
    assert await fabric.get_context("key") is not None


async def test_no_time_at_all_is_over_at_once(fabric: Fabric) -> None:
    await fabric.set_context("key", "value", ttl=0)
    assert await fabric.get_context("key") is None


async def test_what_is_over_is_no_fault(fabric: Fabric, clock: FakeClock) -> None:
    await fabric.set_context("key", "value", ttl=60)
    clock.now = NOON + 60
    await fabric.get_context("key")
    assert fabric.faults.count == 0


async def test_only_json_is_stored(fabric: Fabric) -> None:
    not_json: list[Json] = [object(), b"bytes", {1: "a"}]  # type: ignore[list-item, dict-item]
    for value in not_json:
        with pytest.raises(TypeError):
            await fabric.set_context("key", value)
    assert await fabric.keys(Scope.GLOBAL) == []


async def test_delete_returns_whether_the_key_existed(fabric: Fabric) -> None:
    await fabric.set_context("key", "value")
    assert [await fabric.delete_context("key"), await fabric.delete_context("key")] == [True, False]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", {"docs:/a/b?x", "docs:/a/b@1?x", "docs:/a/bc?x", "list:[a]", "List:a"}),
        ("docs:/a/b?x", {"docs:/a/b?x"}),
        ("docs:/a/b[@?]*", {"docs:/a/b?x", "docs:/a/b@1?x"}),
        ("docs:*", {"docs:/a/b?x", "docs:/a/b@1?x", "docs:/a/bc?x"}),
        ("list:[[]a]", {"list:[a]"}),
        ("list:[a]", set()),
        ("?ist:a", {"List:a"}),
        ("docs", set()),
        ("", set()),
    ],
)
async def test_a_query_finds_the_keys_of_its_pattern(
    fabric: Fabric, pattern: str, found: set[str]
) -> None:
    for key in ("docs:/a/b?x", "docs:/a/b@1?x", "docs:/a/bc?x", "list:[a]", "List:a"):
        await fabric.set_context(key, None)
    assert {context.key for context in await fabric.query(pattern)} == found


async def test_a_query_returns_the_newest_first_up_to_its_limit(
    fabric: Fabric, clock: FakeClock
) -> None:
    for later, key in ((2, "b"), (3, "c"), (1, "a")):
        clock.now = NOON + later
        await fabric.set_context(key, None)
    assert [context.key for context in await fabric.query("*")] == ["c", "b", "a"]
    assert [context.key for context in await fabric.query("*", limit=2)] == ["c", "b"]
    assert await fabric.query("*", limit=0) == []


async def test_keys_are_those_of_the_prefix(fabric: Fabric) -> None:
    for key in ("docs:a", "docs:b", "list:a"):
        await fabric.set_context(key, None)
    assert sorted(await fabric.keys(Scope.GLOBAL, "docs:")) == ["docs:a", "docs:b"]
    assert len(await fabric.keys(Scope.GLOBAL)) == 3


async def test_a_scan_gives_what_lives_below_a_prefix(fabric: Fabric, clock: FakeClock) -> None:
    await fabric.set_context("docs:short", 1, ttl=60)
    await fabric.set_context("docs:long", 2, metadata={"by": "me"})
    await fabric.set_context("list:a", 3)
    await fabric.set_context("docs:other", 4, Scope.USER)
    clock.now = NOON + 60
    assert await scanned(fabric, "docs:") == [
        Context("docs:long", 2, Scope.GLOBAL, NOON, metadata={"by": "me"})
    ]
    assert [context.scope for context in await scanned(fabric, "", "USER")] == [Scope.USER]


async def test_several_are_got_at_once(fabric: Fabric, clock: FakeClock) -> None:
    await fabric.set_context("short", 1, ttl=60)
    await fabric.set_context("long", 2)
    await fabric.set_context("mine", 3, Scope.USER)
    clock.now = NOON + 60
    assert await fabric.get_many(["short", "long", "mine", "never"]) == [
        Context("long", 2, Scope.GLOBAL, NOON)
    ]
    assert [context.value for context in await fabric.get_many(["mine"], "USER")] == [3]
    assert await fabric.get_many([]) == []


async def test_many_are_set_at_once(fabric: Fabric) -> None:
    assert await fabric.set_many({"a": 1, "b": [2]}, "USER")
    assert await fabric.get_context("b", Scope.USER) == Context("b", [2], Scope.USER, NOON)
    assert sorted(await fabric.keys(Scope.USER)) == ["a", "b"]


async def test_of_many_none_is_set_when_one_is_no_json(fabric: Fabric) -> None:
    with pytest.raises(TypeError):
        await fabric.set_many({"a": 1, "b": {1: 2}})  # type: ignore[dict-item]
    assert await fabric.keys(Scope.GLOBAL) == []


async def test_those_that_match_are_deleted_and_counted(fabric: Fabric, clock: FakeClock) -> None:
    for key in ("docs:1", "docs:2", "docs:3", "list:1"):
        await fabric.set_context(key, key)
    await fabric.set_context("docs:1", "docs:1", Scope.USER)
    assert await fabric.delete_matching("docs:", lambda context: context.key != "docs:2") == 2
    assert sorted(await fabric.keys(Scope.GLOBAL)) == ["docs:2", "list:1"]
    assert await fabric.delete_matching("docs:", lambda _context: True, "USER") == 1


async def test_unreadable_entries_are_deleted_with_those_that_match(fabric: Fabric) -> None:
    await put(fabric.backend, "GLOBAL/docs:broken", b"{")
    await fabric.set_context("docs:whole", None)
    assert await fabric.delete_matching("docs:", lambda _context: False) == 1
    assert await fabric.keys(Scope.GLOBAL) == ["docs:whole"]


async def test_the_backend_is_closed_with_the_fabric(clock: FakeClock) -> None:
    backend = MemoryBackend()
    async with Fabric(backend, clock):
        pass
    with pytest.raises(StoreClosed):
        await backend.get("key")

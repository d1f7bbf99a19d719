"""Visibility of entries: a caller's own and the public ones, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.call_log.records import CallLog
from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import EntryPosition
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import LOCAL_OWNER, PUBLIC, Answer, Caller, Outcome, Tier, Viewer
from context7_fabric.privacy.principals import owned
from context7_fabric.settings.values import ExecutionSettings
from context7_fabric.views.visibility import (
    MOST_COUNTED,
    PAGE,
    EntryIndex,
    VisibleEntries,
    is_public,
    is_visible,
)
from support.scripted import FakeClock
from support.viewing import ME, MINE, OTHER, Ticking, answer, as_json, context


@pytest.mark.parametrize(
    ("entry", "seen_by"),
    [
        (context("docs:/a/b?x"), {PUBLIC, ME, OTHER}),
        (context(owned("docs:/a/b?x", ME)), {ME}),
        (context("row:lib-pypi-widget#"), {PUBLIC, ME, OTHER}),
        (context(f"row:lib-pypi-widget#{OTHER}"), {OTHER}),
        (context("list:widget#anonymous"), {PUBLIC}),
        (context("move:/a/c#sharp#" + ME), {ME}),
        (context("docs:/a/b?x", as_json(answer(ME))), {ME}),
        (context("docs:/a/b?x", {"principal": None}), set()),
        (context(f"meter:{ME}:2027-01:writer"), {ME}),
        (context("meter::2027-01:writer"), {PUBLIC, ME, OTHER}),
        (context(f"upstream:rest:{ME}"), {ME}),
        (context(f"upstream:rest:{ME}:said"), {ME}),
        (context("upstream:tools:https://somewhere"), {PUBLIC, ME, OTHER}),
        (context("vector:0123:lib--acme/private"), set()),
        (context("rows:revision"), set()),
        (context("note", {"principal": OTHER}), {PUBLIC, ME, OTHER}),
        (context("note", principal=ME), {ME}),
        (context("e", scope=Scope.EXECUTION, principal=ME), {ME}),
        (context("e", scope=Scope.EXECUTION, principal=[ME]), set()),
        (context("e", scope=Scope.EXECUTION), {PUBLIC, ME, OTHER}),
        (context("e#" + ME, scope=Scope.FEEDBACK, principal=OTHER), {OTHER}),
    ],
)
def test_an_entry_is_seen_by_those_it_belongs_to(entry: Context, seen_by: set[str]) -> None:
    assert {
        each for each in (PUBLIC, ME, OTHER) if is_visible(entry, Viewer(each, "anyone"))
    } == seen_by
    assert is_public(entry) == (entry.scope is Scope.GLOBAL and OTHER in seen_by and ME in seen_by)


def test_a_users_context_is_seen_by_its_owner_alone() -> None:
    hers, unowned = (context("k", scope=Scope.USER, owner="eve"), context("k", scope=Scope.USER))
    assert is_visible(hers, Viewer(ME, "eve"))
    assert not is_visible(hers, MINE)
    assert is_visible(unowned, MINE)
    assert not is_visible(unowned, Viewer(ME, "eve"))
    assert not is_public(unowned)


async def test_pages_hold_what_is_seen_newest_first_and_leave_nothing_out(
    fabric: Fabric, views: VisibleEntries
) -> None:
    keys = [owned(f"docs:/a/b?{n:03}", ME if n % 3 else OTHER) for n in range(3 * PAGE)]
    for key in keys:
        await fabric.set_context(key, 1)
    seen, after, sizes = list[str](), None, list[int]()
    while page := await views.page(Scope.GLOBAL, after, MINE):
        seen += [each.key for each in page.entries]
        sizes.append(len(page.entries))
        after = seen[-1]
        if not page.more:
            break
    assert seen == [key for key in reversed(keys) if key.endswith(ME)]
    assert sizes == [PAGE, PAGE]


async def test_page_behind_an_entry_of_another_owner_is_none(
    fabric: Fabric, views: VisibleEntries
) -> None:
    await fabric.set_context("mine", 1)
    await fabric.set_context(owned("docs:x", OTHER), 1)
    assert await views.page(Scope.GLOBAL, owned("docs:x", OTHER), MINE) is None
    assert await views.page(Scope.GLOBAL, "gone", MINE) is None


async def counted(
    views: VisibleEntries, scope: Scope, viewer: Viewer, after: str | None
) -> tuple[int, bool]:
    page = await views.page(scope, after, viewer)
    assert page is not None
    return page.count, page.exact


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (0, (0, True)),
        (PAGE + 1, (PAGE + 1, True)),
        (MOST_COUNTED, (MOST_COUNTED, True)),
        (MOST_COUNTED + 1, (MOST_COUNTED, False)),
    ],
)
async def test_every_page_counts_all_that_its_viewer_sees_up_to_a_bound(
    fabric: Fabric, views: VisibleEntries, stored: int, expected: tuple[int, bool]
) -> None:
    mine = [owned(f"docs:/a/b?{n}", ME) for n in range(stored)]
    await fabric.set_many(dict.fromkeys([*mine, owned("docs:/a/b?x", OTHER)]))
    for after in (None, *mine[-1:], *mine[:1]):
        assert await counted(views, Scope.GLOBAL, MINE, after) == expected


async def test_page_among_many_entries_of_others_counts_ones_own(
    fabric: Fabric, views: VisibleEntries
) -> None:
    pipe = fabric.pipeline()
    for n in range(3 * MOST_COUNTED):
        whose: dict[str, Json] = {"principal": OTHER if n % MOST_COUNTED else ME}
        await pipe.set_context(f"e{n}", n, Scope.EXECUTION, whose)
    await pipe.execute()
    assert await counted(views, Scope.EXECUTION, MINE, None) == (3, True)
    assert await counted(views, Scope.EXECUTION, Viewer(PUBLIC), None) == (0, True)


async def test_page_does_not_count_expired_entries(
    fabric: Fabric, views: VisibleEntries, clock: FakeClock
) -> None:
    await fabric.set_context("short", 1, ttl=60)
    await fabric.set_context("long", 1)
    clock.forward(61)
    assert await counted(views, Scope.GLOBAL, MINE, None) == (1, True)


async def test_a_call_that_was_answered_just_now_is_seen(
    views: VisibleEntries, executions: CallLog
) -> None:
    given = Answer("text", Outcome.HIT, Tier.NAME)
    executions.record("query-docs", {}, Caller(ME), given)
    key = f"execution:{given.execution_id}"
    assert await views.entry(Scope.EXECUTION, key, MINE) is not None
    assert await views.entry(Scope.EXECUTION, key, Viewer(OTHER)) is None


class Failing(MemoryBackend):
    """A medium that cannot be searched."""

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        raise StoreUnavailable("query", "out of order")


async def test_a_store_that_fails_shows_nothing_and_counts_the_fault(clock: FakeClock) -> None:
    async with Fabric(Failing(), clock) as fabric:
        views = VisibleEntries(fabric, CallLog(fabric, clock, str, ExecutionSettings()), clock)
        page = await views.page(Scope.GLOBAL, None, MINE)
    assert page is not None
    assert page.entries == ()
    assert fabric.faults.count == 1


PRINCIPALS = st.sampled_from([PUBLIC, ME, OTHER, "anonymous"])
OWNERS = st.sampled_from([LOCAL_OWNER, "eve"])
BELONGING = st.tuples(st.sampled_from(Scope), PRINCIPALS, OWNERS)


def entries(whose: list[tuple[Scope, str, str]]) -> Iterator[Context]:
    """Give an entry for each, which says whose it is."""
    for n, (scope, principal, owner) in enumerate(whose):
        if scope is Scope.GLOBAL:
            yield context(owned(f"docs:/a/b?{n}", principal), f"of {principal}")
        elif scope is Scope.USER:
            yield context(f"k{n}", f"of {owner}", scope, owner=owner)
        else:
            yield context(f"k{n}", f"of {principal}", scope, principal=principal)


@settings(max_examples=100, deadline=None)
@given(st.lists(BELONGING, max_size=80), st.sampled_from([PUBLIC, ME, OTHER]), OWNERS)
def test_every_page_and_entry_shows_what_is_ones_own_or_public_and_nothing_else(
    whose: list[tuple[Scope, str, str]], principal: str, owner: str
) -> None:
    readable = {PUBLIC, principal} | ({"anonymous"} if principal == PUBLIC else set())
    mine = {f"of {each}" for each in readable}

    async def walk() -> None:
        clock = Ticking()
        async with Fabric(MemoryBackend(), clock) as fabric:
            views = VisibleEntries(fabric, CallLog(fabric, clock, str, ExecutionSettings()), clock)
            viewer = Viewer(principal, owner)
            stored = list(entries(whose))
            for each in stored:
                await fabric.set_context(each.key, each.value, each.scope, each.metadata)
            for scope in Scope:
                own = {f"of {owner}"} if scope is Scope.USER else mine
                expected = [
                    each.key for each in stored if each.scope is scope and each.value in own
                ]
                found = await views.newest(scope, "", len(whose) + 1, viewer)
                assert [each.key for each in reversed(found)] == expected
            for each in stored:
                seen = await views.entry(each.scope, each.key, viewer)
                own = {f"of {owner}"} if each.scope is Scope.USER else mine
                assert (seen is not None) == (each.value in own)

    anyio.run(walk)


@settings(max_examples=60, deadline=None)
@given(st.lists(BELONGING, max_size=80), st.sampled_from([PUBLIC, ME, OTHER]), OWNERS)
def test_page_is_the_same_whatever_others_own(
    whose: list[tuple[Scope, str, str]], principal: str, owner: str
) -> None:
    viewer, clock = Viewer(principal, owner), FakeClock()

    async def indexes(stored: Iterable[tuple[int, Context]]) -> list[EntryIndex | None]:
        async with Fabric(MemoryBackend(), clock) as fabric:
            views = VisibleEntries(fabric, CallLog(fabric, clock, str, ExecutionSettings()), clock)
            for moment, each in stored:
                clock.now = moment
                await fabric.set_context(each.key, each.value, each.scope, each.metadata)
            pages = [await views.page(scope, None, viewer) for scope in Scope]
            behind = [page.entries[-1] for page in pages if page and page.more]
            later = [await views.page(each.scope, each.key, viewer) for each in behind]
            return [*pages, *later]

    async def compare() -> None:
        stored = list(enumerate(entries(whose)))
        own = [
            (moment, each) for moment, each in stored if is_visible(each, Viewer(principal, owner))
        ]
        assert await indexes(stored) == await indexes(own)

    anyio.run(compare)

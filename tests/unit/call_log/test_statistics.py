"""Statistics of records: hits, savings, times and errors; other contexts are left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from bench.recorded import ERROR, HIT, LOOK_UP, MISS, keep, made_up
from context7_fabric.call_log.records import PREFIX, CallRecord
from context7_fabric.call_log.statistics import (
    MOST_ERRORS,
    CallTotals,
    Statistics,
    as_object,
    ranked,
    read_statistics,
)
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import NOON, Broken, FakeClock

ALWAYS = 1e12
DAY = 86400.0


def added(executions: Iterable[CallRecord], since: float = 0.0) -> Statistics:
    """Return what calls add up to, the days being those of UTC."""
    statistics = Statistics(since, ALWAYS, UTC)
    for each in executions:
        statistics.add(each)
    return statistics


class TestCallTotals:
    def test_totals_without_calls_are_zero(self) -> None:
        totals = CallTotals()
        assert (totals.hit_rate, totals.percentile(0.5), totals.percentile(0.95)) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("calls", "share", "expected"),
        [
            (100, 0.95, 95),
            (100, 0.5, 50),
            (100, 1.0, 100),
            (20, 0.95, 19),
            (3, 0.5, 2),
            (1, 0.5, 1),
        ],
    )
    def test_a_percentile_is_what_its_share_of_the_calls_took_at_most(
        self, calls: int, share: float, expected: float
    ) -> None:
        totals = CallTotals()
        for latency in reversed(range(1, calls + 1)):
            totals.add(replace(HIT, latency_ms=float(latency)))
        assert totals.percentile(share) == expected

    def test_served_calls_are_hits_and_others_are_not(self) -> None:
        totals = added([HIT, HIT, HIT, MISS]).total
        assert (totals.calls, totals.hits, totals.hit_rate) == (4, 3, 0.75)

    @pytest.mark.parametrize(
        ("outcome", "upstream", "saved"),
        [
            ("hit", False, 1),
            ("coalesced", False, 1),
            ("offline", False, 1),
            ("negative", False, 1),
            ("negative", True, 0),
            ("offline", True, 0),
            ("stale", False, 0),
            ("miss", True, 0),
            ("suggestion", False, 0),
            ("error", False, 0),
        ],
    )
    def test_a_call_is_saved_where_an_answer_cost_none_now_or_behind(
        self, outcome: str, upstream: bool, saved: int
    ) -> None:
        totals = added([replace(HIT, outcome=outcome, upstream=upstream)]).total
        assert (totals.calls_saved, totals.upstream_calls) == (saved, int(upstream))

    def test_tokens_and_failures_add_up(self) -> None:
        totals = added([LOOK_UP, LOOK_UP, ERROR, HIT]).total
        assert (totals.tokens_saved, totals.failed) == (2 * LOOK_UP.tokens_saved, 1)


class TestStatistics:
    def test_statistics_group_calls_by_tool_tier_and_library(self) -> None:
        statistics = added([HIT, LOOK_UP, LOOK_UP, MISS, ERROR])
        calls = {name: totals.calls for name, totals in statistics.tools.items()}
        assert calls == {"query-docs": 3, "resolve-library-id": 2}
        rates = {name: totals.hit_rate for name, totals in statistics.tiers.items()}
        assert rates == {"question": 1, "learned": 1, "upstream": 0, "local": 0}
        assert {name: each.calls for name, each in statistics.libraries.items()} == {
            "/widgets/widget1": 4
        }

    def test_five_libraries_are_the_most_asked_and_five_the_slowest(self) -> None:
        asked = [
            replace(HIT, library_id=f"/l/{number}", latency_ms=10.0 * (9 - number))
            for number in range(9)
            for _ in range(1 + number)
        ]
        statistics = added(asked)
        most_asked = [name for name, _ in statistics.most_asked]
        assert most_asked == ["/l/8", "/l/7", "/l/6", "/l/5", "/l/4"]
        slowest = [name for name, _ in statistics.slowest]
        assert slowest == ["/l/0", "/l/1", "/l/2", "/l/3", "/l/4"]

    def test_one_slow_call_of_many_does_not_make_a_library_slow(self) -> None:
        steady = [replace(HIT, library_id="/l/steady", latency_ms=5.0) for _ in range(40)]
        quick = [replace(HIT, library_id="/l/quick", latency_ms=1.0) for _ in range(40)]
        once = replace(HIT, library_id="/l/quick", latency_ms=9_000.0)
        assert [name for name, _ in added([*steady, *quick, once]).slowest] == [
            "/l/steady",
            "/l/quick",
        ]

    def test_a_day_is_one_of_the_zone(self) -> None:
        late = datetime(2026, 11, 1, 23, 30, tzinfo=UTC).timestamp()
        calls = [replace(HIT, at=late), replace(MISS, at=late - DAY)]
        assert list(added(calls).days) == [date(2026, 11, 1), date(2026, 10, 31)]
        east = Statistics(0.0, ALWAYS, timezone(timedelta(hours=1)))
        for each in calls:
            east.add(each)
        assert {day: totals.hits for day, totals in east.days.items()} == {
            date(2026, 11, 2): 1,
            date(2026, 11, 1): 0,
        }

    def test_only_calls_of_the_time_that_is_asked_for_count(self) -> None:
        times = (NOON - 1, NOON, NOON + 1, ALWAYS + 1)
        statistics = added([replace(HIT, at=at) for at in times], since=NOON)
        assert (statistics.read, statistics.total.calls) == (4, 2)
        assert (statistics.first_at, statistics.last_at) == (NOON, NOON + 1)

    def test_errors_that_differ_in_numbers_count_as_the_latest(self) -> None:
        waits = [
            replace(ERROR, at=NOON + at, error=f"not asked for\nanother {at} s") for at in (2, 3, 1)
        ]
        first, second = added([*waits, ERROR]).failures
        assert (first.calls, first.text, first.last_at) == (
            3,
            "not asked for another 3 s",
            NOON + 3,
        )
        assert (second.calls, second.text) == (1, ERROR.error)

    def test_the_commonest_errors_are_kept(self) -> None:
        letters = "abcdefghijklmnop"
        failed = [replace(ERROR, error=letter) for letter in letters for _ in range(ord(letter))]
        failures = added(failed).failures
        assert [each.text for each in failures] == list(reversed(letters))[:MOST_ERRORS]

    def test_ranks_by_calls(self) -> None:
        assert [name for name, _ in ranked(added([MISS, HIT, HIT, LOOK_UP]).tiers)] == [
            "question",
            "learned",
            "upstream",
        ]


class TestReading:
    async def test_every_page_of_the_records_is_read(self) -> None:
        async with Fabric(MemoryBackend(), FakeClock()) as fabric:
            executions = list(made_up(2_500, NOON))
            await keep(fabric, executions)
            statistics = await read_statistics(fabric, 0.0, NOON)
        assert statistics.read == 2_500
        days = {"days": None}  # of another zone
        assert as_object(statistics) | days == as_object(added(executions)) | days
        assert sum(totals.calls for totals in statistics.days.values()) == 2_500

    async def test_read_statistics_leaves_out_other_contexts(self) -> None:
        async with Fabric(MemoryBackend(), FakeClock()) as fabric:
            await keep(fabric, [replace(HIT, at=NOON)])
            await fabric.set_context(f"{PREFIX}odd", {"at": "noon"}, Scope.EXECUTION)
            await fabric.set_context("note", "no record", Scope.EXECUTION)
            statistics = await read_statistics(fabric, 0.0, NOON)
        assert (statistics.read, statistics.total.calls) == (1, 1)

    async def test_a_store_that_fails_has_no_records_and_a_fault(self) -> None:
        async with Fabric(Broken(), FakeClock()) as fabric:
            statistics = await read_statistics(fabric, 0.0, NOON)
            assert (statistics.read, fabric.faults.count) == (0, 1)


def test_as_object_has_all_figures() -> None:
    calls = [replace(each, at=NOON) for each in (HIT, LOOK_UP, MISS, ERROR)]
    figures = as_object(added(calls, since=NOON - DAY))
    assert {name: figures[name] for name in ("read", "since", "first_at", "last_at", "p95_ms")} == {
        "read": 4,
        "since": NOON - DAY,
        "first_at": NOON,
        "last_at": NOON,
        "p95_ms": ERROR.latency_ms,
    }
    query = {
        "calls": 3,
        "hits": 1,
        "hit_rate": 0.3333,
        "upstream_calls": 2,
        "calls_saved": 1,
        "tokens_saved": 0,
        "failed": 1,
        "p50_ms": MISS.latency_ms,
        "p95_ms": ERROR.latency_ms,
    }
    assert isinstance(figures["tools"], dict)
    assert figures["tools"]["query-docs"] == query
    assert figures["errors"] == [{"text": ERROR.error, "calls": 1, "last_at": NOON}]
    widget = {
        "library_id": "/widgets/widget1",
        "calls": 3,
        "hits": 2,
        "hit_rate": 0.6667,
        "upstream_calls": 1,
        "calls_saved": 2,
        "tokens_saved": LOOK_UP.tokens_saved,
        "failed": 0,
        "p50_ms": 1.0,
        "p95_ms": 900.0,
    }
    assert figures["most_asked"] == figures["slowest"] == [widget]
    total = {name: figures[name] for name in query}
    assert figures["days"] == [{"day": "2023-11-14", **total}]

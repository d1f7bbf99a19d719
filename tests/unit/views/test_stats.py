"""View of the figures: counts of visible entries, and the hit rate."""

from __future__ import annotations

from context7_fabric.call_log.records import CallLog
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Answer, Caller, Outcome, Tier
from context7_fabric.privacy.principals import owned
from context7_fabric.settings.values import DAY
from context7_fabric.upstream.quota import Quota
from context7_fabric.views.stats import LOOKED_AT, StatsView
from context7_fabric.views.visibility import VisibleEntries
from support.scripted import FakeClock
from support.viewing import ME, MINE, OTHER


async def test_figures_count_what_is_seen_and_the_last_days_hits(
    views: VisibleEntries, fabric: Fabric, executions: CallLog, clock: FakeClock
) -> None:
    meter = Quota(fabric, clock, ME, 1000)
    executions.record("t", {}, Caller(ME), Answer("", Outcome.HIT, Tier.NAME))
    clock.forward(DAY)
    for outcome in (Outcome.HIT, Outcome.HIT, Outcome.MISS):
        executions.record("t", {}, Caller(ME), Answer("", outcome, Tier.NAME))
    executions.record("t", {}, Caller(OTHER), Answer("", Outcome.MISS, Tier.NAME))
    for n in range(LOOKED_AT):
        await fabric.set_context(owned(f"k{n}", OTHER if n == 3 else ME), n)
    meter.count_call()
    meter.count_saved()
    shown = await StatsView(views, meter).read(MINE)
    assert shown["last_day"] == {"records": 3, "hits": 2, "hit_rate": 0.6667}
    assert (shown["calls_this_month"], shown["calls_saved"], shown["monthly_calls"]) == (1, 1, 1000)
    assert shown["stored"] == {
        "GLOBAL": {"count": LOOKED_AT - 1, "more": True},
        "EXECUTION": {"count": 4, "more": False},
        "FEEDBACK": {"count": 0, "more": False},
        "USER": {"count": 0, "more": False},
    }


async def test_stats_without_records_have_no_hit_rate(
    views: VisibleEntries, fabric: Fabric, clock: FakeClock
) -> None:
    shown = await StatsView(views, Quota(fabric, clock, ME, None)).read(MINE)
    assert shown["last_day"] == {"records": 0, "hits": 0, "hit_rate": None}
    assert (shown["store_faults"], shown["last_store_fault_at"]) == (0, None)

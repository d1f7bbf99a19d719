"""View of the figures: the month's calls, the hit rate, the number of stored entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from context7_fabric.call_log.records import record_in
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.models import Viewer
from context7_fabric.settings.values import DAY
from context7_fabric.upstream.quota import Quota
from context7_fabric.views.visibility import VisibleEntries

LOOKED_AT = 500
"""The newest entries of each scope that are counted, of all owners."""


@dataclass(frozen=True, slots=True)
class StatsView:
    """Figures of one principal, whose `quota` it is."""

    views: VisibleEntries
    quota: Quota

    async def read(self, viewer: Viewer) -> dict[str, Json]:
        """Return the figures. Of each scope only the newest `LOOKED_AT` entries are counted.

        Each `count` is of those that `viewer` sees, and `more` says that there are older ones. The
        text of a store fault is left out: it may name an entry of another owner.
        """
        pages = [await self.views.among_newest(scope, LOOKED_AT, viewer) for scope in Scope]
        records = next(page.entries for page in pages if page.scope is Scope.EXECUTION)
        counts: dict[str, Json] = {
            page.scope.value: {"count": len(page.entries), "more": page.more} for page in pages
        }
        usage = await self.quota.month()
        fault = usage.last_fault
        return {
            "calls_this_month": usage.calls,
            "calls_saved": usage.saved,
            "monthly_calls": self.quota.monthly_calls,
            "store_faults": usage.faults,
            "last_store_fault_at": fault.at if fault else None,
            "last_day": _last_day(records, self.views.clock()),
            "stored": counts,
        }


def _last_day(contexts: Iterable[Context], now: float) -> dict[str, Json]:
    """Return the hit rate of the records of the last day; None where there are none."""
    records = (record_in(context) for context in contexts)
    hits = [each.automated.hit for each in records if each and now - DAY < each.at <= now]
    rate = round(sum(hits) / len(hits), 4) if hits else None
    return {"records": len(hits), "hits": sum(hits), "hit_rate": rate}

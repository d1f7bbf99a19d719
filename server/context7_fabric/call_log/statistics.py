"""What the records of calls add up to: hits, savings, times and errors.

Counting is pure; `read_statistics` alone reads the store.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from math import ceil

from anyio import to_thread

from context7_fabric.call_log.records import PREFIX, CallRecord, record_in
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Outcome

TOP = 5
"""Libraries that are named as the slowest, and as those asked most."""

MOST_ERRORS = 10
ERROR_LENGTH = 200
"""Characters that are kept of an error's text."""

_NUMBER = re.compile(r"\d+")
_FREE = frozenset({Outcome.HIT, Outcome.OFFLINE, Outcome.COALESCED, Outcome.NEGATIVE})
"""Outcomes that saved a call, unless this one went upstream; stale ones are refreshed behind."""


@dataclass(slots=True)
class CallTotals:
    """Calls that have something in common, added up."""

    calls: int = 0
    hits: int = 0
    upstream_calls: int = 0
    calls_saved: int = 0
    tokens_saved: int = 0
    failed: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Of each call, in milliseconds."""

    def add(self, execution: CallRecord) -> None:
        """Count one more."""
        self.calls += 1
        self.hits += execution.automated.hit
        self.upstream_calls += execution.upstream
        self.calls_saved += execution.outcome in _FREE and not execution.upstream
        self.tokens_saved += execution.tokens_saved
        self.failed += execution.error is not None
        self.latencies.append(execution.latency_ms)

    @property
    def hit_rate(self) -> float:
        """The share of calls that were hits, 0 to 1; 0 where there was none."""
        return self.hits / self.calls if self.calls else 0.0

    def percentile(self, share: float) -> float:
        """Return the milliseconds that `share` of the calls took at most; 0 where there was none.

        `share` is above 0 and at most 1.
        """
        if not self.latencies:
            return 0.0
        return sorted(self.latencies)[ceil(len(self.latencies) * share) - 1]


@dataclass(slots=True)
class ErrorCount:
    """Calls that failed alike: how many, and the text of the latest (at epoch seconds)."""

    calls: int = 0
    text: str = ""
    last_at: float = float("-inf")

    def add(self, at: float, text: str) -> None:
        """Count one more."""
        self.calls += 1
        if at >= self.last_at:
            self.text, self.last_at = text, at


def _tallies() -> defaultdict[str, CallTotals]:
    return defaultdict(CallTotals)


@dataclass
class Statistics:
    """Calls from `since` until `until` (epoch seconds), added up; days are those of `zone`.

    `zone` None is this machine's. `read` counts every record that was looked at.
    """

    since: float
    until: float
    zone: tzinfo | None = None
    read: int = 0
    first_at: float | None = None
    last_at: float | None = None
    total: CallTotals = field(default_factory=CallTotals)
    tools: dict[str, CallTotals] = field(default_factory=_tallies)
    tiers: dict[str, CallTotals] = field(default_factory=_tallies)
    libraries: dict[str, CallTotals] = field(default_factory=_tallies)
    days: dict[date, CallTotals] = field(default_factory=lambda: defaultdict(CallTotals))
    errors: dict[str, ErrorCount] = field(default_factory=lambda: defaultdict(ErrorCount))

    def add(self, execution: CallRecord) -> None:
        """Count a call, if it was made in the time that is asked for."""
        self.read += 1
        if self.since <= execution.at <= self.until:
            self._count(execution)

    @property
    def most_asked(self) -> list[tuple[str, CallTotals]]:
        """The libraries asked most, the first of them first."""
        return ranked(self.libraries)[:TOP]

    @property
    def slowest(self) -> list[tuple[str, CallTotals]]:
        """The libraries whose 95th percentile of latency is longest, the slowest first."""
        p95 = {name: tally.percentile(0.95) for name, tally in self.libraries.items()}
        names = sorted(p95, key=lambda name: (-p95[name], name))[:TOP]
        return [(name, self.libraries[name]) for name in names]

    @property
    def failures(self) -> list[ErrorCount]:
        """The commonest errors, the most frequent first; alike are those that differ in numbers."""
        return sorted(self.errors.values(), key=lambda each: (-each.calls, each.text))[:MOST_ERRORS]

    def _count(self, execution: CallRecord) -> None:
        at = execution.at
        self.first_at = at if self.first_at is None else min(at, self.first_at)
        self.last_at = at if self.last_at is None else max(at, self.last_at)
        tallies = [self.total, self.tools[execution.tool], self.tiers[execution.tier]]
        tallies.append(self.days[datetime.fromtimestamp(at, self.zone).date()])
        if execution.library_id is not None:
            tallies.append(self.libraries[execution.library_id])
        for tally in tallies:
            tally.add(execution)
        if execution.error is not None:
            text = " ".join(execution.error.split())[:ERROR_LENGTH]
            self.errors[_NUMBER.sub("0", text)].add(at, text)


async def read_statistics(fabric: Fabric, since: float, until: float) -> Statistics:
    """Return what the records in `fabric` add up to, of calls between two times (epoch seconds).

    What the store cannot read is left out, and counts among the fabric's faults.
    """
    statistics = Statistics(since, until)
    async for page in fabric.scan(PREFIX, Scope.EXECUTION):
        await to_thread.run_sync(_add_all, statistics, page)
    return statistics


def _add_all(statistics: Statistics, page: Iterable[Context]) -> None:
    for context in page:
        execution = record_in(context)
        if execution is not None:
            statistics.add(execution)


def ranked(tallies: Mapping[str, CallTotals]) -> list[tuple[str, CallTotals]]:
    """Return `tallies` with their names, the one of most calls first."""
    return sorted(tallies.items(), key=lambda each: (-each[1].calls, each[0]))


def as_object(statistics: Statistics) -> dict[str, Json]:
    """Return `statistics` as JSON tells them; times are in epoch seconds, latencies in ms."""
    days = sorted(statistics.days.items())
    return {
        "read": statistics.read,
        "since": statistics.since,
        "first_at": statistics.first_at,
        "last_at": statistics.last_at,
        **_figures(statistics.total),
        "tools": _named(statistics.tools),
        "tiers": _named(statistics.tiers),
        "most_asked": [
            {"library_id": name, **_figures(each)} for name, each in statistics.most_asked
        ],
        "slowest": [{"library_id": name, **_figures(each)} for name, each in statistics.slowest],
        "days": [{"day": day.isoformat(), **_figures(each)} for day, each in days],
        "errors": [
            {"text": each.text, "calls": each.calls, "last_at": each.last_at}
            for each in statistics.failures
        ],
    }


def _named(tallies: Mapping[str, CallTotals]) -> dict[str, Json]:
    return {name: _figures(tally) for name, tally in ranked(tallies)}


def _figures(tally: CallTotals) -> dict[str, Json]:
    return {
        "calls": tally.calls,
        "hits": tally.hits,
        "hit_rate": round(tally.hit_rate, 4),
        "upstream_calls": tally.upstream_calls,
        "calls_saved": tally.calls_saved,
        "tokens_saved": tally.tokens_saved,
        "failed": tally.failed,
        "p50_ms": tally.percentile(0.5),
        "p95_ms": tally.percentile(0.95),
    }

"""Statistics of the call log: hits, savings, times and errors.

Counting is pure; only `read_statistics` reads the store.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, tzinfo
from math import ceil

from anyio import to_thread

from context7_fabric.call_log.records import PREFIX, CallRecord, record_in
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Outcome

TOP = 5
"""Libraries in the lists of the slowest, and of those asked most."""

MOST_ERRORS = 10
ERROR_LENGTH = 200
"""Characters that are kept of an error's text."""

_NUMBER = re.compile(r"\d+")
_FREE = frozenset({Outcome.HIT, Outcome.OFFLINE, Outcome.COALESCED, Outcome.NEGATIVE})
"""Outcomes that saved a call, unless the record went upstream; stale answers are refreshed."""


@dataclass(slots=True)
class CallTotals:
    """Sums over calls that have something in common."""

    calls: int = 0
    hits: int = 0
    upstream_calls: int = 0
    calls_saved: int = 0
    tokens_saved: int = 0
    failed: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Of each call, in milliseconds."""

    def add(self, record: CallRecord) -> None:
        """Count one more call."""
        self.calls += 1
        self.hits += record.automated.hit
        self.upstream_calls += record.upstream
        self.calls_saved += record.outcome in _FREE and not record.upstream
        self.tokens_saved += record.tokens_saved
        self.failed += record.error is not None
        self.latencies.append(record.latency_ms)

    @property
    def hit_rate(self) -> float:
        """The share of calls that were hits, 0 to 1; 0 without calls."""
        return self.hits / self.calls if self.calls else 0.0

    def percentile(self, share: float) -> float:
        """Return the greatest latency of `share` (above 0, at most 1) of the calls, in ms.

        0 without calls.
        """
        if not self.latencies:
            return 0.0
        return sorted(self.latencies)[ceil(len(self.latencies) * share) - 1]


@dataclass(slots=True)
class DocsetTotals:
    """Sums over the questions about libraries that have a docset.

    `answers` are pages of docsets, `calls_saved` those without a call to Context7, `tokens_served`
    the tokens that Context7 did not have to send. `unconfident` are the questions that went to
    Context7 because the docset's confidence was too low.
    """

    answers: int = 0
    calls_saved: int = 0
    tokens_served: int = 0
    tokens_saved: int = 0
    unconfident: int = 0

    def add(self, record: CallRecord) -> None:
        """Count one more call, if a docset had a part in it."""
        self.unconfident += record.is_for_want_of_confidence
        if record.is_from_docset:
            self.answers += 1
            self.calls_saved += not record.upstream
            self.tokens_served += record.tokens
            self.tokens_saved += record.tokens_saved

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was counted."""
        return not (self.answers or self.unconfident)


@dataclass(slots=True)
class ErrorCount:
    """Calls that failed alike: their number, and the text of the latest (at epoch seconds)."""

    calls: int = 0
    text: str = ""
    last_at: float = float("-inf")

    def add(self, at: float, text: str) -> None:
        """Count one more call."""
        self.calls += 1
        if at >= self.last_at:
            self.text, self.last_at = text, at


def _totals() -> defaultdict[str, CallTotals]:
    return defaultdict(CallTotals)


@dataclass
class Statistics:
    """Totals of calls from `since` until `until` (epoch seconds); days are those of `zone`.

    `zone` None is this machine's. `read` is the number of records that were read.
    """

    since: float
    until: float
    zone: tzinfo | None = None
    read: int = 0
    first_at: float | None = None
    last_at: float | None = None
    total: CallTotals = field(default_factory=CallTotals)
    tools: dict[str, CallTotals] = field(default_factory=_totals)
    tiers: dict[str, CallTotals] = field(default_factory=_totals)
    libraries: dict[str, CallTotals] = field(default_factory=_totals)
    days: dict[date, CallTotals] = field(default_factory=lambda: defaultdict(CallTotals))
    docsets: DocsetTotals = field(default_factory=DocsetTotals)
    docset_libraries: dict[str, DocsetTotals] = field(
        default_factory=lambda: defaultdict(DocsetTotals)
    )
    errors: dict[str, ErrorCount] = field(default_factory=lambda: defaultdict(ErrorCount))

    def add(self, record: CallRecord) -> None:
        """Count a call, if it is between `since` and `until`."""
        self.read += 1
        if self.since <= record.at <= self.until:
            self._count(record)

    @property
    def most_asked(self) -> list[tuple[str, CallTotals]]:
        """The libraries asked most, in that order."""
        return ranked(self.libraries)[:TOP]

    @property
    def slowest(self) -> list[tuple[str, CallTotals]]:
        """The libraries with the greatest 95th percentile of latency, in that order."""
        p95 = {name: totals.percentile(0.95) for name, totals in self.libraries.items()}
        names = sorted(p95, key=lambda name: (-p95[name], name))[:TOP]
        return [(name, self.libraries[name]) for name in names]

    @property
    def failures(self) -> list[ErrorCount]:
        """The most frequent errors, in that order; errors that differ in numbers are alike."""
        return sorted(self.errors.values(), key=lambda each: (-each.calls, each.text))[:MOST_ERRORS]

    def _count(self, record: CallRecord) -> None:
        at = record.at
        self.first_at = at if self.first_at is None else min(at, self.first_at)
        self.last_at = at if self.last_at is None else max(at, self.last_at)
        day = datetime.fromtimestamp(at, self.zone).date()
        groups = [self.total, self.tools[record.tool], self.tiers[record.tier], self.days[day]]
        if record.library_id is not None:
            groups.append(self.libraries[record.library_id])
        for totals in groups:
            totals.add(record)
        if record.docset is not None:
            self.docsets.add(record)
            self.docset_libraries[record.library_id or record.docset.name].add(record)
        if record.error is not None:
            text = " ".join(record.error.split())[:ERROR_LENGTH]
            self.errors[_NUMBER.sub("0", text)].add(at, text)


async def read_statistics(fabric: Fabric, since: float, until: float) -> Statistics:
    """Return the statistics of the calls in `fabric` between two times (epoch seconds).

    Records that cannot be read are left out, and count among the fabric's faults.
    """
    statistics = Statistics(since, until)
    async for page in fabric.scan(PREFIX, Scope.EXECUTION):
        await to_thread.run_sync(_add_all, statistics, page)
    return statistics


def _add_all(statistics: Statistics, page: Iterable[Context]) -> None:
    for context in page:
        record = record_in(context)
        if record is not None:
            statistics.add(record)


def ranked(groups: Mapping[str, CallTotals]) -> list[tuple[str, CallTotals]]:
    """Return `groups` with their names, the one of most calls first."""
    return sorted(groups.items(), key=lambda each: (-each[1].calls, each[0]))


def as_object(statistics: Statistics) -> dict[str, Json]:
    """Return `statistics` as JSON; times are in epoch seconds, latencies in milliseconds."""
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
        "docsets": {**asdict(statistics.docsets), "libraries": _by_docset(statistics)},
        "days": [{"day": day.isoformat(), **_figures(each)} for day, each in days],
        "errors": [
            {"text": each.text, "calls": each.calls, "last_at": each.last_at}
            for each in statistics.failures
        ],
    }


def _named(groups: Mapping[str, CallTotals]) -> dict[str, Json]:
    return {name: _figures(totals) for name, totals in ranked(groups)}


def _by_docset(statistics: Statistics) -> list[Json]:
    """Return the sums of each library with a docset, the one with most answers first."""
    counted = [each for each in statistics.docset_libraries.items() if not each[1].is_empty]
    counted.sort(key=lambda each: (-each[1].answers, -each[1].unconfident, each[0]))
    return [{"library_id": name, **asdict(totals)} for name, totals in counted]


def _figures(totals: CallTotals) -> dict[str, Json]:
    return {
        "calls": totals.calls,
        "hits": totals.hits,
        "hit_rate": round(totals.hit_rate, 4),
        "upstream_calls": totals.upstream_calls,
        "calls_saved": totals.calls_saved,
        "tokens_saved": totals.tokens_saved,
        "failed": totals.failed,
        "p50_ms": totals.percentile(0.5),
        "p95_ms": totals.percentile(0.95),
    }

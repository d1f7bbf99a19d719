"""Metrics for Prometheus: calls counted as they end, and the state at the moment of a scrape.

Labels are words of ours alone: tools, outcomes, tiers, ends, states. A question, a key or a
library never becomes a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from context7_fabric.models import Answer, Caller, CallTrace, Outcome, Tier, tokens
from context7_fabric.telemetry.observer import StateFigures

PREFIX = "context7_fabric_"
OPEN_METRICS: Final = "application/openmetrics-text"

# A hit takes a tenth of a millisecond, upstream a second or two and at most a minute.
ANSWER_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)
UPSTREAM_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60)
LATE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
AGES = (MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, *(days * DAY for days in (1, 3, 7, 14, 33, 90, 365)))
"""Buckets in seconds, between which lie the usual limits of fresh, stale and usable answers."""


_DOCSET_USES: Final = ("first", "fallback")


def gauges(figures: StateFigures) -> Iterator[Metric]:
    """Yield `figures` as metrics without those that are not known."""
    store = figures.store
    yield _info("build", "Version of the running server.", version=figures.version)
    yield _info("store", "Place of the answers: disk, redis or memory.", backend=figures.backend)
    yield CounterMetricFamily(
        PREFIX + "store_faults", "Faults of the store since the start.", figures.faults
    )
    for name, help_text, value in (
        ("store_up", "1 if the store answers within a second, else 0.", store.up),
        (
            "month_calls",
            (
                "Calls upstream this month with the server's own credential, by all processes on"
                " the store; absent while the store does not answer."
            ),
            store.month_calls,
        ),
        (
            "quota_left",
            (
                "Calls upstream that the plan of the server's own credential leaves for this month;"
                " absent if no plan is known."
            ),
            store.quota_left,
        ),
        (
            "model_present",
            "1 if there is an embedding model to rank suggestions with, else 0.",
            store.has_model,
        ),
        ("upstream_connections", "Open connections to Context7.", figures.connections),
        (
            "upstream_breakers_open",
            "Apps whose circuit breaker is open: five failures in a row, or no connection.",
            figures.breakers_open,
        ),
        (
            "upstream_resting",
            "Apps that back off after a limit on calls, which Context7 answered with.",
            figures.resting,
        ),
        (
            "registry_rows",
            "Known libraries, for the principal that sees most of them.",
            figures.rows,
        ),
        (
            "apps",
            "Open apps: one for each upstream, credential and name of a token.",
            figures.apps,
        ),
        (
            "flights",
            "Questions in flight to upstream, background refreshes included.",
            figures.flights,
        ),
        (
            "executions_waiting",
            "Records of calls that are not written yet.",
            figures.executions_waiting,
        ),
    ):
        if value is not None:
            yield GaugeMetricFamily(PREFIX + name, help_text, value)
    yield _suggesters(figures.suggesters)


def _suggesters(counts: Mapping[str, int]) -> Metric:
    states = GaugeMetricFamily(
        PREFIX + "suggesters",
        "Suggesters, one for each credential, by the state of their index.",
        labels=["state"],
    )
    for state, count in counts.items():
        states.add_metric([state], count)
    return states


def _info(name: str, help_text: str, **labels: str) -> Metric:
    return InfoMetricFamily(PREFIX + name, help_text, labels)


class Metrics:
    """Counters and histograms of one process; an `Observer`."""

    def __init__(self) -> None:
        """Start at zero, in a registry of its own."""
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Tool calls that were answered.", "tool", "outcome", "tier"
        )
        self._saved = self._counter(
            "tokens_saved", "Tokens that clients did not have to read, estimated for each answer."
        )
        self._from_docsets = self._counter(
            "docset_answers",
            "Answers from docsets: first before Context7, fallback where it gave none.",
            "use",
        )
        for use in _DOCSET_USES:
            self._from_docsets.labels(use)
        self._docset_calls = self._counter(
            "docset_calls_saved", "Answers from docsets that cost no call upstream."
        )
        self._docset_tokens = self._counter(
            "docset_tokens_served", "Tokens of answers from docsets, estimated for each answer."
        )
        self._unconfident = self._counter(
            "docset_unconfident",
            "Questions that went upstream because the docset's confidence was too low.",
        )
        self._calls = self._counter(
            "upstream_calls",
            "Calls that were sent upstream, by their end: answered, or the kind of error.",
            "ended",
        )
        self._took = self._histogram(
            "request_duration_seconds", "Duration of tool calls.", ANSWER_SECONDS, "tool", "outcome"
        )
        self._age = self._histogram(
            "answer_age_seconds", "Age of the answers since they came from upstream.", AGES
        )
        self._call_took = self._histogram(
            "upstream_call_duration_seconds", "Duration of calls upstream.", UPSTREAM_SECONDS
        )
        self._late = self._histogram(
            "event_loop_lag_seconds", "Lag of the event loop, once a second.", LATE_SECONDS
        )
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def answered(
        self,
        tool: str,
        given: Mapping[str, object],  # noqa: ARG002  # part of the protocol; no label is made of it
        caller: Caller,
        answer: Answer,
    ) -> None:
        """Count a tool call."""
        outcome = answer.outcome.value
        self._requests.labels(tool, outcome, answer.tier.value).inc()
        self._took.labels(tool, outcome).observe(caller.trace.milliseconds / 1000)
        self._saved.inc(answer.tokens_saved)
        if answer.age_seconds is not None and answer.tier is not Tier.DOCSET:
            self._age.observe(answer.age_seconds)
        self._count_docset(caller.trace, answer)

    def _count_docset(self, trace: CallTrace, answer: Answer) -> None:
        """Count the part that a docset had in a call, if there is one of the library."""
        if trace.docset is None:
            return
        if trace.went_upstream and trace.docset.is_too_low:
            self._unconfident.inc()
        if answer.tier is Tier.DOCSET:
            first, fallback = _DOCSET_USES
            self._from_docsets.labels(first if answer.outcome is Outcome.HIT else fallback).inc()
            self._docset_calls.inc(not trace.went_upstream)
            self._docset_tokens.inc(tokens(answer.text))

    def asked(self, ended: str, seconds: float) -> None:
        """Count a call upstream."""
        self._calls.labels(ended).inc()
        self._call_took.observe(seconds)

    def loop_was_late(self, seconds: float) -> None:
        """Record the lag of the event loop."""
        self._late.observe(seconds)

    def page(self, figures: StateFigures, accept: str) -> tuple[bytes, str]:
        """Return all metrics, `figures` included, and their media type.

        The form is OpenMetrics if the header `accept` asks for it, else the older text format.
        Reads files of /proc, so it may block.
        """
        scrape = _Scrape(self._registry, figures)
        if OPEN_METRICS in accept:
            page: bytes = openmetrics.generate_latest(scrape)  # type: ignore[no-untyped-call]  # the library's only one
            return page, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(scrape), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, help_text, labels, registry=self._registry)

    def _histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(PREFIX + name, help_text, labels, buckets=buckets, registry=self._registry)


class _Scrape(Collector):
    """Metrics of one scrape: the counted ones, and the figures."""

    def __init__(self, counted: CollectorRegistry, figures: StateFigures) -> None:
        self._counted = counted
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from gauges(self._figures)

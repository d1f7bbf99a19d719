"""Metrics for Prometheus: calls counted as they end, and the state at the moment of a scrape.

Labels are words of ours alone: tools, outcomes, tiers, ends, states. What somebody asked, whose
key it was and which library was meant never become one.
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

from context7_fabric.models import Answer, Caller
from context7_fabric.telemetry.figures import StateFigures, StoreFigures

PREFIX = "context7_fabric_"

MONTH_CALLS = (
    "Calls upstream this month with the server's own credential, by every process on the store;"
    " not there while the store does not answer."
)
QUOTA_LEFT = (
    "Calls upstream that the plan of the server's own credential leaves for this month;"
    " not there where no plan is known."
)
MODEL_PRESENT = "1 where there is an embedding model to rank suggestions with, else 0."


def gauges(figures: StateFigures) -> Iterator[Metric]:
    """Yield `figures` as metrics; what is not known is left out."""
    yield _info("build", "The version that runs.", version=figures.version)
    yield _info("store", "Where answers are kept: disk, redis or memory.", backend=figures.backend)
    yield from _of_store(figures.store)
    yield CounterMetricFamily(
        PREFIX + "store_faults", "How often the store failed since the start.", figures.faults
    )
    yield from _of_upstream(figures)
    yield from _of_registry(figures)
    yield _gauge(
        "apps",
        "Apps that are open: one for each upstream, credential and name of a token.",
        figures.apps,
    )
    yield _gauge(
        "flights", "Questions that upstream is being asked, refreshing included.", figures.flights
    )
    yield _gauge(
        "executions_waiting",
        "Records of calls that are not written yet.",
        figures.executions_waiting,
    )


def _of_store(store: StoreFigures) -> Iterator[Metric]:
    yield _gauge("store_up", "1 where the store answers within a second, else 0.", store.up)
    for name, told, value in (
        ("month_calls", MONTH_CALLS, store.month_calls),
        ("quota_left", QUOTA_LEFT, store.quota_left),
        ("model_present", MODEL_PRESENT, store.has_model),
    ):
        if value is not None:
            yield _gauge(name, told, value)


def _of_upstream(figures: StateFigures) -> Iterator[Metric]:
    yield _gauge(
        "upstream_connections", "Connections to Context7 that are open.", figures.connections
    )
    yield _gauge(
        "upstream_breakers_open",
        "Apps whose circuit breaker is open: five failures in a row, or no connection.",
        figures.breakers_open,
    )
    yield _gauge(
        "upstream_resting",
        "Apps that met a limit on calls, which Context7 answered with.",
        figures.resting,
    )


def _of_registry(figures: StateFigures) -> Iterator[Metric]:
    yield _gauge(
        "registry_rows", "Libraries that are known, to who sees the most of them.", figures.rows
    )
    states = GaugeMetricFamily(
        PREFIX + "suggesters",
        "Those who rank suggestions, one for each credential, by the state of their index.",
        labels=["state"],
    )
    for state, count in figures.suggesters.items():
        states.add_metric([state], count)
    yield states


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, told, value)


def _info(name: str, told: str, **labels: str) -> Metric:
    return InfoMetricFamily(PREFIX + name, told, labels)


OPEN_METRICS: Final = "application/openmetrics-text"

# A hit takes a tenth of a millisecond, upstream a second or two and at most a minute.
ANSWER_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)
UPSTREAM_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60)
LATE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
AGES = (MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, *(days * DAY for days in (1, 3, 7, 14, 33, 90, 365)))
"""Seconds; between them lie the usual borders of fresh, stale and usable in an outage."""


class Metrics:
    """Counts what it hears of, for one process; an `Observer`."""

    def __init__(self) -> None:
        """Begin at zero, in a registry of its own."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            PREFIX + "requests",
            "Calls of tools that were answered.",
            ["tool", "outcome", "tier"],
            registry=registry,
        )
        self._took = Histogram(
            PREFIX + "request_duration_seconds",
            "How long it took to answer calls of tools.",
            ["tool", "outcome"],
            buckets=ANSWER_SECONDS,
            registry=registry,
        )
        self._age = Histogram(
            PREFIX + "answer_age_seconds",
            "How long ago the answers that were given came from upstream.",
            buckets=AGES,
            registry=registry,
        )
        self._saved = Counter(
            PREFIX + "tokens_saved",
            "Tokens that clients did not have to read, as estimated for each answer.",
            registry=registry,
        )
        self._calls = Counter(
            PREFIX + "upstream_calls",
            "Calls that were sent upstream, by how they ended: answered, or the kind of error.",
            ["ended"],
            registry=registry,
        )
        self._call_took = Histogram(
            PREFIX + "upstream_call_duration_seconds",
            "How long calls upstream took.",
            buckets=UPSTREAM_SECONDS,
            registry=registry,
        )
        self._late = Histogram(
            PREFIX + "event_loop_lag_seconds",
            "How late the event loop is, looked at once a second.",
            buckets=LATE_SECONDS,
            registry=registry,
        )
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

    def answered(
        self,
        tool: str,
        given: Mapping[str, object],  # noqa: ARG002  # as every observer is told; no label is made of it
        caller: Caller,
        answer: Answer,
    ) -> None:
        """Count a tool call."""
        outcome = answer.outcome.value
        self._requests.labels(tool, outcome, answer.tier.value).inc()
        self._took.labels(tool, outcome).observe(caller.trace.milliseconds / 1000)
        self._saved.inc(answer.tokens_saved)
        if answer.age_seconds is not None:
            self._age.observe(answer.age_seconds)

    def asked(self, ended: str, seconds: float) -> None:
        """Count a call upstream."""
        self._calls.labels(ended).inc()
        self._call_took.observe(seconds)

    def loop_was_late(self, seconds: float) -> None:
        """Take note of how late the event loop was."""
        self._late.observe(seconds)

    def page(self, figures: StateFigures, accept: str) -> tuple[bytes, str]:
        """Return everything, `figures` included, and its media type.

        That is OpenMetrics where the header `accept` asks for it, else the older text format.
        It may block: the files of /proc are read.
        """
        whole = _Whole(self._registry, figures)
        if OPEN_METRICS in accept:
            page: bytes = openmetrics.generate_latest(whole)  # type: ignore[no-untyped-call]  # the library's only one
            return page, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(whole), CONTENT_TYPE_PLAIN_0_0_4


class _Whole(Collector):
    """What was counted, and the figures of one scrape."""

    def __init__(self, counted: CollectorRegistry, figures: StateFigures) -> None:
        self._counted = counted
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from gauges(self._figures)

"""The figures of one moment as metrics: what is looked at when somebody asks, and not counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from context7_fabric.telemetry.figures import Figures, StoreFigures

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


def gauges(figures: Figures) -> Iterator[Metric]:
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


def _of_upstream(figures: Figures) -> Iterator[Metric]:
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


def _of_registry(figures: Figures) -> Iterator[Metric]:
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

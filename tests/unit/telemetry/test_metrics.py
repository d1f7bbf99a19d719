"""Metrics of calls, and words that never stand in a label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Answer, Caller, Outcome, Tier
from context7_fabric.parsing.admission import Reason
from context7_fabric.suggestions.worker_client import WorkerState
from context7_fabric.telemetry.metrics import Metrics
from context7_fabric.telemetry.observer import StateFigures, StoreFigures
from context7_fabric.upstream.context7 import ANSWERED, ENDS

FIGURES = StateFigures(
    version="1.2.3",
    backend="disk",
    store=StoreFigures(up=True, month_calls=12, quota_left=988, has_model=True),
    faults=2,
    apps=3,
    connections=1,
    breakers_open=1,
    resting=2,
    rows=429,
    suggesters=dict.fromkeys(get_args(WorkerState), 0) | {"ready": 1, "idle": 2},
    flights=4,
    executions_waiting=5,
)
TOOLS = (RESOLVE, QUERY_DOCS, GET_DOCS)
WAYS_TO_END = (ANSWERED, *ENDS.values(), *Reason)
WORDS = {*TOOLS, *Outcome, *Tier, *WAYS_TO_END, *get_args(WorkerState), "1.2.3", "disk"}
WORDS |= {"first", "fallback"}
OURS = "context7_fabric_"
HIT = Answer("some text", Outcome.HIT, Tier.QUESTION, age_seconds=7200, tokens_saved=31)

private = st.text(min_size=6, max_size=40).map(lambda text: f"private {text}")
callers = st.builds(Caller, principal=private, connection=private, client=private)
answers = st.builds(
    Answer,
    private,
    st.sampled_from(Outcome),
    st.sampled_from(Tier),
    library_id=private,
    age_seconds=st.none() | st.floats(0, 1e8),
    note=private,
    tokens_saved=st.integers(0, 10_000),
    execution_id=private,
)
asked = st.dictionaries(private, private)
calls = st.lists(st.tuples(st.sampled_from(TOOLS), asked, callers, answers), min_size=1, max_size=8)
ends = st.lists(st.sampled_from(WAYS_TO_END), min_size=1)


def page(metrics: Metrics, figures: StateFigures = FIGURES) -> str:
    return metrics.page(figures, "")[0].decode()


def families(metrics: Metrics, figures: StateFigures = FIGURES) -> list[Metric]:
    return list(read_text(page(metrics, figures)))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of a sample, None where there is none."""
    samples = (sample for family in families(metrics) for sample in family.samples)
    return next((each.value for each in samples if each[:2] == (OURS + name, labels)), None)


def labels_of(metrics: Iterable[Metric]) -> set[str]:
    """Return the values of every label of ours, except the limits of buckets."""
    samples = (
        each for family in metrics if family.name.startswith(OURS) for each in family.samples
    )
    return {value for each in samples for name, value in each.labels.items() if name != "le"}


@given(calls, ends)
def test_no_label_ever_carries_what_was_asked_or_by_whom_or_the_answer(
    calls: list[tuple[str, dict[str, str], Caller, Answer]], ends: list[str]
) -> None:
    metrics = Metrics()
    for tool, asked_for, caller, answer in calls:
        metrics.answered(tool, asked_for, caller, answer)
    for ended in ends:
        metrics.asked(ended, 0.5)
    counted = families(metrics)
    assert {call[0] for call in calls} <= labels_of(counted) <= WORDS
    assert "private" not in page(metrics)


def test_calls_are_counted_by_tool_outcome_and_tier() -> None:
    metrics = Metrics()
    for _call in range(3):
        metrics.answered(QUERY_DOCS, {}, Caller(), HIT)
    missed = replace(HIT, outcome=Outcome.MISS, tier=Tier.UPSTREAM, tokens_saved=0)
    metrics.answered(RESOLVE, {}, Caller(), missed)
    labels = {"tool": QUERY_DOCS, "outcome": "hit", "tier": "question"}
    assert value(metrics, "requests_total", **labels) == 3
    labels = {"tool": RESOLVE, "outcome": "miss", "tier": "upstream"}
    assert value(metrics, "requests_total", **labels) == 1
    assert value(metrics, "tokens_saved_total") == 93


def test_the_duration_of_a_call_is_counted_in_seconds() -> None:
    metrics, caller = Metrics(), Caller()
    caller.trace._began -= 0.2
    metrics.answered(QUERY_DOCS, {}, caller, HIT)
    labels = {"tool": QUERY_DOCS, "outcome": "hit"}
    name = "request_duration_seconds"
    assert value(metrics, f"{name}_bucket", **labels, le="0.1") == 0
    assert value(metrics, f"{name}_bucket", **labels, le="0.5") == 1
    assert value(metrics, f"{name}_sum", **labels) == pytest.approx(0.2, abs=0.1)


def test_the_age_of_an_answer_that_has_one_is_counted_in_seconds() -> None:
    metrics = Metrics()
    metrics.answered(QUERY_DOCS, {}, Caller(), HIT)
    metrics.answered(QUERY_DOCS, {}, Caller(), replace(HIT, age_seconds=None))
    assert value(metrics, "answer_age_seconds_bucket", le="3600.0") == 0
    assert value(metrics, "answer_age_seconds_bucket", le="21600.0") == 1
    assert value(metrics, "answer_age_seconds_sum") == 7200
    assert value(metrics, "answer_age_seconds_count") == 1


def test_calls_upstream_are_counted_by_their_end() -> None:
    metrics = Metrics()
    for ended, seconds in ((ANSWERED, 1.5), (ANSWERED, 2.5), ("timeout", 55)):
        metrics.asked(ended, seconds)
    assert value(metrics, "upstream_calls_total", ended=ANSWERED) == 2
    assert value(metrics, "upstream_calls_total", ended="timeout") == 1
    assert value(metrics, "upstream_call_duration_seconds_bucket", le="2.0") == 1
    assert value(metrics, "upstream_call_duration_seconds_sum") == 59


def test_lag_of_the_event_loop_is_counted() -> None:
    metrics = Metrics()
    metrics.loop_was_late(0.3)
    assert value(metrics, "event_loop_lag_seconds_bucket", le="0.25") == 0
    assert value(metrics, "event_loop_lag_seconds_bucket", le="0.5") == 1


def test_the_figures_of_the_moment_stand_beside_what_was_counted() -> None:
    metrics = Metrics()
    expected = {
        "store_up": 1,
        "month_calls": 12,
        "quota_left": 988,
        "model_present": 1,
        "store_faults_total": 2,
        "apps": 3,
        "upstream_connections": 1,
        "upstream_breakers_open": 1,
        "upstream_resting": 2,
        "registry_rows": 429,
        "flights": 4,
        "executions_waiting": 5,
    }
    assert {name: value(metrics, name) for name in expected} == expected
    assert value(metrics, "build_info", version="1.2.3") == 1
    assert value(metrics, "store_info", backend="disk") == 1
    by_state = {state: value(metrics, "suggesters", state=state) for state in get_args(WorkerState)}
    assert by_state == {"off": 0, "idle": 2, "starting": 0, "ready": 1, "trouble": 0}


def test_page_while_the_store_does_not_answer_reports_that_alone() -> None:
    text = page(Metrics(), replace(FIGURES, store=StoreFigures()))
    assert f"\n{OURS}store_up 0.0\n" in text
    for name in ("month_calls", "quota_left", "model_present"):
        assert name not in text


def test_two_metrics_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.asked(ANSWERED, 1)
    assert value(one, "upstream_calls_total", ended=ANSWERED) == 1
    assert value(other, "upstream_calls_total", ended=ANSWERED) is None


@pytest.mark.parametrize(
    "accept",
    ["", "text/plain;version=0.0.4", "*/*", "application/openmetrics-text; version=1.0.0, */*"],
)
def test_both_formats_have_the_same_samples(accept: str) -> None:
    metrics = Metrics()
    metrics.answered(QUERY_DOCS, {}, Caller(), HIT)
    text, kind = metrics.page(FIGURES, accept)
    opened = accept.startswith("application/openmetrics-text")
    asked_for = ("application/openmetrics-text", "1.0.0") if opened else ("text/plain", "0.0.4")
    assert kind == "{}; version={}; charset=utf-8".format(*asked_for)
    read = read_open if opened else read_text
    samples = {each.name for family in read(text.decode()) for each in family.samples}
    assert {f"{OURS}requests_total", f"{OURS}build_info", "process_cpu_seconds_total"} <= samples


def test_everything_has_a_line_of_help_and_a_name_in_base_units() -> None:
    metrics = Metrics()
    for family in families(metrics):
        assert family.documentation.endswith(".") or not family.name.startswith(OURS)
        assert not family.name.endswith(("_ms", "_milliseconds", "_count", "_total"))

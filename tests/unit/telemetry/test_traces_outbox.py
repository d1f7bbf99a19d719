"""Queue of spans for a receiver: bounded, and never in the way of a call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Event
from time import time_ns

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.telemetry.spans import AnsweredCall, SdkSpan, new_context
from context7_fabric.telemetry.tracing import MOST_WAITING, Outbox, OutboxItem

SECONDS = 5.0


class Taken(SpanExporter):
    """Exporter that keeps what it gets, holds batches until `go`, and returns `results`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arrived, self.go = Event(), Event()
        self.results: list[SpanExportResult] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.names += [span.name for span in spans]
        self.arrived.set()
        assert self.go.wait(SECONDS)
        return self.results.pop(0) if self.results else SpanExportResult.SUCCESS


def spans_of(item: OutboxItem) -> list[ReadableSpan]:
    return [item.span] if isinstance(item, SdkSpan) else [ReadableSpan(item.tool)]


def seen(name: str) -> SdkSpan:
    return SdkSpan(ReadableSpan(name), None)


def test_outbox_whose_receiver_hangs_drops_the_oldest() -> None:
    exporter = Taken()
    outbox = Outbox("there", exporter, spans_of, every=0.001)
    outbox.put(seen("first"))
    assert exporter.arrived.wait(SECONDS)
    for number in range(MOST_WAITING + 2):
        outbox.put(seen(str(number)))
    exporter.go.set()
    outbox.begin_to_close()
    outbox.join(SECONDS)
    assert exporter.names == ["first", *map(str, range(2, MOST_WAITING + 2))]


def test_outbox_keeps_calls_as_they_are_until_it_is_closed() -> None:
    exporter = Taken()
    exporter.go.set()
    outbox = Outbox("there", exporter, spans_of, every=0.001)
    answer = Answer("text", Outcome.HIT, Tier.QUESTION)
    outbox.put(AnsweredCall(new_context(), "query-docs", {}, answer, [], 1.0, time_ns()))
    outbox.begin_to_close()
    outbox.join(SECONDS)
    outbox.put(seen("too late"))
    assert exporter.names == ["query-docs"]


def test_outbox_logs_an_outage_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "context7_fabric")
    exporter = Taken()
    exporter.go.set()
    outbox = Outbox("there", exporter, spans_of, every=0.001)
    exporter.results = [SpanExportResult.FAILURE, SpanExportResult.FAILURE]
    for _batch in range(4):
        exporter.arrived.clear()
        outbox.put(seen("span"))
        assert exporter.arrived.wait(SECONDS)
    outbox.begin_to_close()
    outbox.join(SECONDS)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert all("there" in record.getMessage() for record in caplog.records)


def test_outbox_whose_exporter_raises_logs_an_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Raising(Taken):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            done = super().export(spans)
            if "bad" in self.names[-1]:
                raise TimeoutError
            return done

    exporter = Raising()
    exporter.go.set()
    outbox = Outbox("there", exporter, spans_of, every=0.001)
    for name in ("bad", "good"):
        exporter.arrived.clear()
        outbox.put(seen(name))
        assert exporter.arrived.wait(SECONDS)
    outbox.begin_to_close()
    outbox.join(SECONDS)
    assert exporter.names == ["bad", "good"]
    assert caplog.records[0].levelname == "WARNING"

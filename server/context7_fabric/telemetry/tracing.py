"""Traces switched on: the SDK's spans and ours go to all who get them.

The MCP SDK makes its spans with whatever tracer provider the process has, takes a trace's context
from a request's `_meta`, and passes it on to upstream in the `_meta` of what is asked there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from context7_fabric.models import Answer, Caller
from context7_fabric.settings.values import TelemetrySettings
from context7_fabric.telemetry.outbox import Outbox, OutboxItem, to_langsmith, to_receiver
from context7_fabric.telemetry.spans import (
    AnsweredCall,
    Attributes,
    SdkSpan,
    SpanMaker,
    is_of_a_call,
    new_context,
    of_answer,
    of_content,
)
from context7_fabric.version import __version__

LAST_WORDS = 0.25
"""Seconds that the end waits for what is not sent yet."""


class Tracing(SpanProcessor):
    """The observer that tells of calls in traces, from its making until it is closed.

    What it hears, and the SDK's spans that end, it only hands on: the rest is done by threads.
    """

    def __init__(self, settings: TelemetrySettings, redacted: Callable[[str], str]) -> None:
        """Begin to trace; questions, if they are to stand there, go through `redacted` first."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # an outbox says it once
        self._redacted = redacted if settings.content else None
        provider = _provider(settings.service)
        scope = InstrumentationScope("context7-fabric", __version__)
        self._maker = SpanMaker(provider.resource, scope, provider.sampler, self._describe)
        self._outboxes = _outboxes(settings, self._spans_of)
        self._under_way: dict[int, AnsweredCall] = {}
        provider.add_span_processor(self)

    def answered(
        self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Keep what is to be told by the SDK's span of a call, or by one of ours if it has none."""
        span = trace.get_current_span()
        context = span.get_span_context()
        call = AnsweredCall(
            context if context.is_valid else new_context(),
            tool,
            given,
            answer,
            caller.trace.steps,
            caller.trace.milliseconds,
            time.time_ns(),
            caller.request_id,
            caller.protocol,
        )
        if span.is_recording():
            self._under_way[context.span_id] = call
        elif not context.is_valid:
            self._put(call)

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span of the SDK's."""
        context = span.context
        if context is None:
            return
        call = self._under_way.pop(context.span_id, None)
        if context.trace_flags.sampled:
            self._put(SdkSpan(span, call))

    def asked(self, ended: str, seconds: float) -> None:
        """Leave calls upstream to the SDK, which makes spans of them."""

    def close(self) -> None:
        """Send what waits, for as long as the end may take; blocks."""
        deadline = time.monotonic() + LAST_WORDS
        for outbox in self._outboxes:
            outbox.begin_to_close()
        for outbox in self._outboxes:
            outbox.join(max(0.0, deadline - time.monotonic()))

    def _put(self, item: OutboxItem) -> None:
        for outbox in self._outboxes:
            outbox.put(item)

    def _describe(self, given: Mapping[str, object], answer: Answer) -> Attributes:
        if self._redacted is None:
            return of_answer(answer)
        return of_answer(answer) | of_content(given, answer, self._redacted)

    def _spans_of(self, item: OutboxItem) -> Sequence[ReadableSpan]:
        return (
            self._maker.of_call(item)
            if isinstance(item, AnsweredCall)
            else self._maker.of_seen(item)
        )


def _provider(service: str) -> TracerProvider:
    """Return the provider of this process, whose spans the SDK's are from then on."""
    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):
        return existing
    named = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    return provider


def _outboxes(
    settings: TelemetrySettings, spans_of: Callable[[OutboxItem], Sequence[ReadableSpan]]
) -> list[Outbox]:
    def of_calls(item: OutboxItem) -> Sequence[ReadableSpan]:
        return [span for span in spans_of(item) if is_of_a_call(span)]

    found = []
    if settings.otlp is not None:
        found.append(Outbox(_host(settings.otlp), to_receiver(), spans_of))
    if settings.langsmith is not None:
        exporter = to_langsmith(settings.langsmith)
        found.append(Outbox(_host(settings.langsmith.url), exporter, of_calls))
    return found


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the receiver"

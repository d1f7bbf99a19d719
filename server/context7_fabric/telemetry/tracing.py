"""Traces for OpenTelemetry and LangSmith: the SDK's spans and ours, sent by background threads.

The MCP SDK makes its spans with the tracer provider of the process. It takes a trace's context
from a request's `_meta`, and passes it on to upstream in the `_meta` of its own requests.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from urllib.parse import urlsplit

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from context7_fabric.models import Answer, Caller
from context7_fabric.settings.values import LangSmithTarget, TelemetrySettings
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

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two rounds of sending."""

MOST_WAITING = 512
"""Calls and spans that wait at once; newer ones take the place of the oldest."""

BATCH = 128
"""Spans in one request: with their contents they are a few megabytes."""

TIMEOUT = 10.0
"""Seconds that LangSmith has for one batch."""

CLOSE_SECONDS = 0.25
"""Seconds at the end for spans that are not sent yet."""

_HTTP_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent"}
)

OutboxItem = AnsweredCall | SdkSpan


class Outbox:
    """Queue of calls and spans for one receiver, emptied by a thread once a second.

    The thread makes the spans as well, so that they cost no caller anything.
    """

    def __init__(
        self,
        label: str,
        exporter: SpanExporter,
        spans_of: Callable[[OutboxItem], Sequence[ReadableSpan]],
        every: float = EVERY,
    ) -> None:
        """Send what `spans_of` makes with `exporter`, in rounds of `every` so many seconds.

        `label` names the receiver in the log.
        """
        self._every = every
        self._label = label
        self._exporter = exporter
        self._spans_of = spans_of
        self._waiting: deque[OutboxItem] = deque(maxlen=MOST_WAITING)
        self._closing = Event()
        self._fails = False
        self._thread = Thread(target=self._run, name=f"traces to {label}", daemon=True)
        self._thread.start()

    def put(self, item: OutboxItem) -> None:
        """Queue an item; never blocks."""
        if not self._closing.is_set():
            self._waiting.append(item)

    def begin_to_close(self) -> None:
        """Accept no more items, and send those that wait."""
        self._closing.set()

    def join(self, seconds: float) -> None:
        """Wait until all is sent, for `seconds` at most; blocks."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            self._send_all()
        if not self._fails:
            self._send_all()

    def _send_all(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        spans = [span for item in waiting for span in self._spans_of(item)]
        for first in range(0, len(spans), BATCH):
            self._send(spans[first : first + BATCH])

    def _send(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            failed = self._exporter.export(spans) is not SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001  # no error of an exporter may end the thread
            log.debug("traces cannot be sent: %r", error)
            failed = True
        if failed and not self._fails:
            log.warning("traces do not reach %s; they are lost until it answers", self._label)
        elif self._fails and not failed:
            log.info("traces reach %s again", self._label)
        self._fails = failed


class Tracing(SpanProcessor):
    """Observer that traces calls, from its construction until it is closed."""

    def __init__(self, settings: TelemetrySettings, redacted: Callable[[str], str]) -> None:
        """Start tracing; questions, if traces may contain them, go through `redacted` first."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # an outbox logs it once
        self._redacted = redacted if settings.content else None
        provider = _provider(settings.service)
        scope = InstrumentationScope("context7-fabric", __version__)
        self._maker = SpanMaker(provider.resource, scope, provider.sampler, self._describe)
        self._outboxes = _outboxes(settings, self._maker.spans_of)
        self._under_way: dict[int, AnsweredCall] = {}
        provider.add_span_processor(self)

    def answered(
        self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Keep a call for the SDK's span of it, or for one of ours if the SDK has none."""
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
        """Queue a span of the SDK."""
        context = span.context
        if context is None:
            return
        call = self._under_way.pop(context.span_id, None)
        if context.trace_flags.sampled:
            self._put(SdkSpan(span, call))

    def asked(self, ended: str, seconds: float) -> None:
        """Ignore calls upstream: the SDK makes spans of them."""

    def close(self) -> None:
        """Send the waiting spans for `CLOSE_SECONDS` at most; blocks."""
        deadline = time.monotonic() + CLOSE_SECONDS
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


def _provider(service: str) -> TracerProvider:
    """Return the tracer provider of this process, which the SDK uses from then on."""
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
        found.append(Outbox(_host(settings.otlp), OTLPSpanExporter(), spans_of))
    if settings.langsmith is not None:
        exporter = _langsmith_exporter(settings.langsmith)
        found.append(Outbox(_host(settings.langsmith.url), exporter, of_calls))
    return found


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the receiver"


def _langsmith_exporter(target: LangSmithTarget) -> OTLPSpanExporter:
    headers = {"x-api-key": target.api_key}
    if target.project is not None:
        headers["Langsmith-Project"] = target.project
    session = requests.Session()
    session.auth = _OnlyHeaders(headers)
    return OTLPSpanExporter(
        target.url,
        headers=headers,
        timeout=TIMEOUT,
        compression=Compression.NoCompression,
        session=session,
    )


class _OnlyHeaders(requests.auth.AuthBase):
    """Removes every header that is not meant for this receiver.

    An exporter adds those of `OTEL_EXPORTER_OTLP_HEADERS`, which hold another receiver's key.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        self._kept = _HTTP_HEADERS | {name.lower() for name in headers}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in self._kept]:
            del request.headers[name]
        return request

"""What waits to be sent to one receiver: a call leaves it here, and a thread takes it on.

Making and sending spans costs no caller anything: the thread does it once a second, of at most so
many. Who cannot be reached gets nothing; what comes meanwhile takes the place of what is older.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from context7_fabric.settings.values import LangSmithTarget
from context7_fabric.telemetry.spans import AnsweredCall, SdkSpan

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two rounds of sending."""

MOST_WAITING = 512
"""Calls and spans that wait at once."""

BATCH = 128
"""Spans that are sent at once: with their contents they are a few megabytes."""

OutboxItem = AnsweredCall | SdkSpan


class Outbox:
    """Takes spans that have ended and calls, and sends them with one exporter."""

    def __init__(
        self,
        label: str,
        exporter: SpanExporter,
        spans_of: Callable[[OutboxItem], Sequence[ReadableSpan]],
    ) -> None:
        """Send with `exporter` what `spans_of` makes; `label` names the receiver in the log."""
        self._label = label
        self._exporter = exporter
        self._spans_of = spans_of
        self._waiting: deque[OutboxItem] = deque(maxlen=MOST_WAITING)
        self._closing = Event()
        self._fails = False
        self._thread = Thread(target=self._run, name=f"traces to {label}", daemon=True)
        self._thread.start()

    def put(self, item: OutboxItem) -> None:
        """Take something to be sent; it waits for nothing."""
        if not self._closing.is_set():
            self._waiting.append(item)

    def begin_to_close(self) -> None:
        """Take nothing more, and send what waits."""
        self._closing.set()

    def join(self, seconds: float) -> None:
        """Wait until all is sent, but so long at most; blocks."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.wait(EVERY):
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
        except Exception as error:  # noqa: BLE001  # the thread is to outlive whatever it is
            log.debug("traces cannot be sent: %r", error)
            failed = True
        if failed and not self._fails:
            log.warning("traces do not reach %s; they are lost until it answers", self._label)
        elif self._fails and not failed:
            log.info("traces reach %s again", self._label)
        self._fails = failed


TIMEOUT = 10.0
"""Seconds that LangSmith has for one batch."""

_OF_HTTP = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent"}
)


def to_receiver() -> OTLPSpanExporter:
    """Return an exporter to where OpenTelemetry's own variables say."""
    return OTLPSpanExporter()


def to_langsmith(target: LangSmithTarget) -> OTLPSpanExporter:
    """Return an exporter to a project of LangSmith's."""
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
    """Takes every header away that is not meant for this receiver.

    An exporter adds those of `OTEL_EXPORTER_OTLP_HEADERS`, which hold another receiver's key.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        self._kept = _OF_HTTP | {name.lower() for name in headers}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in self._kept]:
            del request.headers[name]
        return request

"""Exporters to those who get traces, over OTLP in its protobuf form."""

from __future__ import annotations

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from context7_fabric.settings.values import LangSmithTarget

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

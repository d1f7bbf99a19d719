"""Who gets traces: read from LangSmith's variables, OpenTelemetry's, and one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.settings.reader import SettingsReader
from context7_fabric.settings.values import LangSmithTarget, TelemetrySettings

LANGSMITH = "https://api.smith.langchain.com"
_TRACES = "/otel/v1/traces"
_OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def read_telemetry(reader: SettingsReader) -> TelemetrySettings:
    """Read who gets traces, which is nobody where `OTEL_SDK_DISABLED` says so.

    Nobody either where a variable cannot be used that is not ours: it may be meant for others.

    Raises:
        SettingError: The variable of ours holds something that cannot be used.
    """
    environ = reader.environ
    content = reader.choice("TRACE_CONTENT", ("on", "off"), "off") == "on"
    if _text(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return TelemetrySettings(content=content)
    service = _text(environ, "OTEL_SERVICE_NAME") or TelemetrySettings().service
    try:
        return TelemetrySettings(_langsmith(environ), _otlp(environ), service, content)
    except SettingError as error:
        return TelemetrySettings(problem=str(error), service=service, content=content)


def _langsmith(environ: Mapping[str, str]) -> LangSmithTarget | None:
    key = _printable(environ, "LANGSMITH_API_KEY", "…")
    # LangSmith's own programs trace where this reads "true"; here a key alone is enough.
    if not key or _text(environ, "LANGSMITH_TRACING").lower() not in ("", "true"):
        return None
    project = _printable(environ, "LANGSMITH_PROJECT")
    endpoint = _url(environ, "LANGSMITH_ENDPOINT") or LANGSMITH
    return LangSmithTarget(endpoint.rstrip("/") + _TRACES, key, project or None)


def _otlp(environ: Mapping[str, str]) -> str | None:
    if _text(environ, "OTEL_TRACES_EXPORTER").lower() == "none":
        return None
    return next((url for name in _OTLP if (url := _url(environ, name))), None)


def _text(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _printable(environ: Mapping[str, str], name: str, shown: str | None = None) -> str:
    """Return a variable that goes out as a header; `shown` stands for it in an error."""
    text = _text(environ, name)
    if not (text.isascii() and (text.isprintable() or not text)):
        raise SettingError(name, shown or text, "printable ASCII")
    return text


def _url(environ: Mapping[str, str], name: str) -> str:
    text = _text(environ, name)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if text and not usable:
        raise SettingError(name, "…", "an http(s) URL")
    return text

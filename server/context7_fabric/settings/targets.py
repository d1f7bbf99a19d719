"""Targets of calls and of traces: Context7, LangSmith, an OTLP receiver.

Both are read from variables of other programs as well.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.relay.handshake import UPSTREAM_ENVIRONMENT
from context7_fabric.settings.reader import SettingsReader, unusable
from context7_fabric.settings.values import (
    DEFAULT_UPSTREAM,
    CommandTarget,
    LangSmithTarget,
    OffTarget,
    Target,
    TelemetrySettings,
    UpstreamSettings,
    UrlTarget,
    bare_key,
)

DEFAULT_COMMAND = ("npx", "-y", "@upstash/context7-mcp")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PASSED_ON = (*UPSTREAM_ENVIRONMENT, "PATH")
"""Variables that an upstream command gets, beyond the SDK's short default list."""

SOURCE_ENVIRONMENT = (
    *(name for name in UPSTREAM_ENVIRONMENT if name.upper().endswith("_PROXY")),
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
)
"""Variables that sources of docsets depend on: proxies, certificates, the way to git."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def read_upstream(
    reader: SettingsReader, api_key: str | None, directory: Path | None
) -> UpstreamSettings:
    """Return target, key and environment of upstream; `api_key` precedes the environment's.

    A command of the user's runs in `directory`.

    Raises:
        SettingError: A variable cannot be used.
    """
    environ = reader.environ
    api_url = _text(environ, "CONTEXT7_API_URL") or None
    target = _target(reader.text("UPSTREAM"), api_url)
    key = bare_key((api_key or _text(environ, "CONTEXT7_API_KEY")).strip()) or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError("CONTEXT7_API_KEY", "…", "a key: it holds blanks or odd characters")
    extra_ca = _text(environ, "NODE_EXTRA_CA_CERTS")
    return UpstreamSettings(
        target=target,
        api_key=key,
        origin=_origin(target, api_url),
        child_environment={name: environ[name] for name in PASSED_ON if environ.get(name)},
        directory=None if target == CommandTarget(DEFAULT_COMMAND) else directory,
        extra_ca_file=Path(extra_ca) if extra_ca else None,
        timeout=_timeout(reader),
    )


def _timeout(reader: SettingsReader) -> float:
    seconds: float = reader.value("UPSTREAM_TIMEOUT")
    if seconds <= 0:
        off = "CONTEXT7_FABRIC_UPSTREAM=off switches Context7 off"
        raise unusable("UPSTREAM_TIMEOUT", "0s", f"greater than 0; {off}")
    return seconds


def _target(text: str | None, api_url: str | None) -> Target:
    if text is None:
        return CommandTarget(DEFAULT_COMMAND) if api_url else UrlTarget(DEFAULT_UPSTREAM)
    if text.lower() == "off":
        return OffTarget()
    if _URL.match(text):
        return _url_target(text, api_url)
    return _command_target(text)


def _url_target(text: str, api_url: str | None) -> UrlTarget:
    scheme, host = _split(text) or ("", "")
    if scheme not in ("http", "https"):
        raise unusable("UPSTREAM", _shown(text), "an http(s) URL, a command line or off")
    other = host if api_url is None else (_split(api_url) or ("", ""))[1]
    if host != other and not {host, other} <= LOOPBACK_HOSTS:
        elsewhere = (
            f"on the host of CONTEXT7_API_URL ({_shown(api_url or '')}): unset one of the two"
        )
        raise unusable("UPSTREAM", _shown(text), elsewhere)
    return UrlTarget(text)


def _shown(url: str) -> str:
    """Return `url` without a key in it, for messages."""
    return UrlTarget(url).label if _split(url) else "…"


def _split(url: str) -> tuple[str, str] | None:
    """Return scheme and host of `url`, None if it is no URL."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname is not None and parts.port != 0 and len(url.split()) == 1
    except ValueError:
        return None
    return (parts.scheme, parts.hostname or "") if usable else None


def _command_target(text: str) -> CommandTarget:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise unusable("UPSTREAM", "…", f"a command line ({error})") from error
    if not words[0]:
        raise unusable("UPSTREAM", "…", "a command line: it names no program")
    if _ASSIGNMENT.match(words[0]):
        raise unusable("UPSTREAM", "…", "a command line: to set variables, begin it with `env`")
    return CommandTarget(words)


def _origin(target: Target, api_url: str | None) -> str:
    """Return the name of the Context7 installation, which keeps its answers apart."""
    if api_url is not None:
        return _shown(api_url)
    return target.label if isinstance(target, UrlTarget) else DEFAULT_UPSTREAM


LANGSMITH = "https://api.smith.langchain.com"
_TRACES = "/otel/v1/traces"
_OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def read_telemetry(reader: SettingsReader) -> TelemetrySettings:
    """Return the receivers of traces: none if `OTEL_SDK_DISABLED` is true.

    There is none either if a variable of another program cannot be used: it may not be meant
    for this one.

    Raises:
        SettingError: A variable of this program cannot be used.
    """
    environ = reader.environ
    content = reader.value("TRACE_CONTENT")
    if _text(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return TelemetrySettings(content=content)
    service = _text(environ, "OTEL_SERVICE_NAME") or TelemetrySettings().service
    try:
        return TelemetrySettings(_langsmith(environ), _otlp(environ), service, content)
    except SettingError as error:
        return TelemetrySettings(problem=str(error), service=service, content=content)


def _langsmith(environ: Mapping[str, str]) -> LangSmithTarget | None:
    key = _printable(environ, "LANGSMITH_API_KEY", "…")
    # LangSmith's own programs need "true" here; a key alone is enough for this one.
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
    """Return a variable that becomes a header; errors show `shown` in its place."""
    text = _text(environ, name)
    if not (text.isascii() and (text.isprintable() or not text)):
        raise SettingError(name, shown or text, "printable ASCII")
    return text


def _url(environ: Mapping[str, str], name: str) -> str:
    text = _text(environ, name)
    if text and (_split(text) or ("", ""))[0] not in ("http", "https"):
        raise SettingError(name, "…", "an http(s) URL")
    return text

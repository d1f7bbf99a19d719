"""Handshake of a client with a daemon: one line with its purpose, identity and environment.

Neither `json`, `dataclasses` nor `typing` is imported: each takes longer than all else here.
"""

from __future__ import annotations

import os
import sys

from context7_fabric.relay.folders import DATA, HOME, base_folder, home_of, written_out
from context7_fabric.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UPSTREAM_ENVIRONMENT = (
    "CONTEXT7_API_URL",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
    "npm_config_cache",
    "NPM_CONFIG_CACHE",
    "XDG_CACHE_HOME",
)
"""Variables that connections to upstream depend on, besides the settings."""

TELEMETRY_ENVIRONMENT = (
    "LANGSMITH_API_KEY",
    "LANGSMITH_ENDPOINT",
    "LANGSMITH_PROJECT",
    "LANGSMITH_TRACING",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
)
"""Variables of the receiver of a daemon's traces, keys among them."""

WINDOW_ENVIRONMENT = (
    "CONTEXT7_API_KEY",
    "CONTEXT7_API_URL",
    "CONTEXT7_FABRIC_UPSTREAM",
    "CONTEXT7_FABRIC_PRINCIPAL",
    "CONTEXT7_FABRIC_TOOLS",
    "CONTEXT7_FABRIC_META",
    "CONTEXT7_FABRIC_DOCSETS",
    "CONTEXT7_FABRIC_PROJECT",
    "PATH",
)
"""Variables in which clients of one daemon may differ, credentials among them."""

_PROJECT = "CONTEXT7_FABRIC_PROJECT"
_PATHS = (
    _PROJECT,
    "CONTEXT7_FABRIC_SEED",
    "CONTEXT7_FABRIC_MODEL_PATH",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_OUR_PATHS = (
    _PROJECT,
    "CONTEXT7_FABRIC_SEED",
    "CONTEXT7_FABRIC_MODEL_PATH",
    "CONTEXT7_FABRIC_TOKENS_FILE",
    "CONTEXT7_FABRIC_TLS_CERT",
    "CONTEXT7_FABRIC_TLS_KEY",
)
_PREFIX = "CONTEXT7_FABRIC_"
_NOT_SHARED = ("CONTEXT7_FABRIC_DAEMON",)

SERVE, COMMAND, STATUS, STOP = "serve", "command", "status", "stop"
"""Requests of a handshake: an MCP session, requests of commands, the daemon's status, its end."""

WELCOME, NOT_HERE, FULL = b"welcome", b"not here", b"full"
"""The daemon's answers."""


def working_directory() -> str:
    """Return the working directory of this process, `/` where that was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return "/"


def resolved(environ: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return `environ` with its paths relative to `directory` made absolute, and with the home.

    A default home is given by the data folder: where `CONTEXT7_FABRIC_HOME` is set, it holds the
    cache as well.

    Raises:
        UnusablePath: As `home_of`, and `written_out` for the other paths of ours.
    """
    full = dict(environ)
    for name in _OUR_PATHS:
        written_out(name, environ.get(name, "").strip())
    for name in _PATHS:
        if full.get(name, "").strip() and not _is_off(name, full[name]):
            path = os.path.expanduser(full[name].strip())
            full[name] = os.path.normpath(os.path.join(directory, path))
    if full.get(HOME, "").strip():
        full[HOME] = home_of(environ)
    else:
        full.pop(HOME, None)
        full[DATA] = base_folder(environ, DATA)
    return full


def _is_off(name: str, text: str) -> bool:
    return name == _PROJECT and text.strip().lower() == "off"


def identity(environ: Mapping[str, str]) -> dict[str, object]:
    """Return what a daemon shares with its clients; `environ` is a resolved one.

    A client with another program, network, home or shared environment gets another daemon.
    """
    of_home = ("HOME",) if environ.get(HOME) else ("HOME", DATA)
    names = sorted(
        name
        for name in environ
        if (name.startswith(_PREFIX) or name in UPSTREAM_ENVIRONMENT or name in of_home)
        and name not in WINDOW_ENVIRONMENT
        and name not in _NOT_SHARED
    )
    return {
        "version": __version__,
        "program": [sys.executable, os.path.dirname(__file__)],
        "network": _network(),
        "environment": {name: environ[name] for name in names if environ[name]},
        "telemetry": _telemetry(environ),
    }


def _telemetry(environ: Mapping[str, str]) -> str:
    """Return a digest of the variables of traces; empty without any."""
    variables = {name: environ[name] for name in TELEMETRY_ENVIRONMENT if environ.get(name)}
    if not variables:
        return ""
    import hashlib

    return hashlib.sha256(ascii(variables).encode()).hexdigest()


def _network() -> str:
    """Return the network namespace of this process: a sandbox may have its own."""
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:
        return ""


def hello(purpose: str, environ: dict[str, str], directory: str, api_key: str | None) -> bytes:
    """Return the handshake; `environ` is a resolved one, `api_key` the command line's."""
    window = {name: environ[name] for name in WINDOW_ENVIRONMENT if environ.get(name)}
    handshake = {
        "wish": purpose,
        "identity": identity(environ),
        "window": window,
        "directory": directory,
        "api_key": api_key,
    }
    return ascii(handshake).encode() + b"\n"

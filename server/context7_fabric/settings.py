"""Every setting, read once from the environment and the command line, then frozen and handed down.

Nothing below the composition root looks at the environment again. A value that cannot be used
raises `SettingError` naming the variable; the command line turns that into exit code 2.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from context7_fabric.daemon.settings import MODES, DaemonSettings
from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.fabric.backends.redis_address import parse as parse_redis
from context7_fabric.fabric.context import VALUE_LIMIT
from context7_fabric.fabric.settings import StoreSettings
from context7_fabric.registry.worker.settings import DEFAULT_MODEL, SuggestionSettings
from context7_fabric.relay.hello import UPSTREAM_ENVIRONMENT
from context7_fabric.services.settings import (
    DEFAULT_TOOLS,
    ExecutionSettings,
    FreshnessSettings,
    chosen_tools,
)
from context7_fabric.upstream.settings import (
    DEFAULT_UPSTREAM,
    CommandTarget,
    OffTarget,
    Target,
    UpstreamSettings,
    UrlTarget,
)

DEFAULT_COMMAND = ("npx", "-y", "@upstash/context7-mcp")
FREE_CALLS = 1000
"""Calls a month of the free plan, which counts for callers without a key."""

LOG_LEVELS = ("debug", "info", "warning", "error")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PASSED_ON = (*UPSTREAM_ENVIRONMENT, "PATH")
"""What an upstream command needs of our environment beyond the SDK's short default list."""

_REDIS = re.compile(r"(rediss?|unix)://", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,15}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree."""

    home: Path
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    freshness: FreshnessSettings = field(default_factory=FreshnessSettings)
    executions: ExecutionSettings = field(default_factory=ExecutionSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    principal: str | None = None
    seed_file: Path | None = None
    suggestions: SuggestionSettings = field(default_factory=lambda: SuggestionSettings(Path()))
    tools: frozenset[str] = DEFAULT_TOOLS
    redact: bool = True
    monthly_calls: int | None = None
    log_level: str = "warning"
    host: str = "127.0.0.1"


def read_settings(
    environ: Mapping[str, str], *, api_key: str | None = None, directory: Path | None = None
) -> Settings:
    """Build the settings from `environ`; `api_key` is the command line's and goes first.

    An upstream command of the user's runs in `directory`, by default in that of this process.

    Raises:
        SettingError: A variable holds something that cannot be used.
    """
    reader = _Reader(environ)
    upstream = _upstream(reader, api_key, directory)
    home = (reader.path("HOME") or platformdirs.user_cache_path("context7-fabric")).absolute()
    free = FREE_CALLS if upstream.credential is None else None
    return Settings(
        home=home,
        upstream=upstream,
        freshness=_freshness(reader),
        executions=_executions(reader),
        store=_store(reader),
        daemon=_daemon(reader),
        principal=reader.text("PRINCIPAL"),
        seed_file=reader.path("SEED"),
        suggestions=_suggestions(reader, home, upstream),
        tools=chosen_tools(reader.text("TOOLS") or ""),
        redact=reader.choice("REDACT", ("on", "off"), "on") == "on",
        monthly_calls=reader.whole("MONTHLY_CALLS") if reader.text("MONTHLY_CALLS") else free,
        log_level=reader.choice("LOG_LEVEL", LOG_LEVELS, "warning"),
        host=reader.choice("HOST", tuple(sorted(LOOPBACK_HOSTS)), "127.0.0.1"),
    )


class _Reader:
    """Typed access to the variables of one environment; an empty value counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        return self.environ.get(f"CONTEXT7_FABRIC_{name}", "").strip() or None

    def path(self, name: str) -> Path | None:
        text = self.text(name)
        try:
            return Path(text).expanduser() if text else None
        except RuntimeError as error:  # ~somebody who is not known here
            raise _unusable(name, str(text), f"a path ({error})") from error

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        text = (self.text(name) or default).lower()
        if text not in allowed:
            raise _unusable(name, text, f"one of {', '.join(allowed)}")
        return text

    def whole(self, name: str) -> int | None:
        text = self.text(name)
        if text is None or _WHOLE.fullmatch(text):
            return int(text) if text else None
        raise _unusable(name, text, "a whole number")

    def duration(self, name: str, default: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        return _parsed(name, text, parse_duration, "a duration such as 90s, 10m, 6h or 1d")


def _parsed(name: str, text: str, parse: Callable[[str], float | None], expected: str) -> float:
    value = parse(text)
    if value is None:
        raise _unusable(name, text, expected)
    return value


def _unusable(name: str, value: str, expected: str) -> SettingError:
    return SettingError(f"CONTEXT7_FABRIC_{name}", value, expected)


def _executions(reader: _Reader) -> ExecutionSettings:
    default = ExecutionSettings()
    return ExecutionSettings(
        keep=reader.duration("EXECUTIONS_KEEP", default.keep),
        most=reader.whole("EXECUTIONS_MOST") or default.most,
    )


def _daemon(reader: _Reader) -> DaemonSettings:
    default = DaemonSettings()
    return DaemonSettings(
        mode=reader.choice("DAEMON", MODES, default.mode),
        idle=reader.duration("DAEMON_IDLE", default.idle),
    )


def _store(reader: _Reader) -> StoreSettings:
    text = reader.text("BACKEND") or "disk"
    if not _REDIS.match(text):
        text = reader.choice("BACKEND", ("disk", "memory", "a redis:// URL"), "disk")
    else:
        try:
            parse_redis(text, None, None, ssl=False)
        except ValueError as error:
            raise _unusable("BACKEND", "…", f"usable: {error}") from error
    return StoreSettings(text, reader.whole("VALUE_LIMIT") or VALUE_LIMIT)


def _freshness(reader: _Reader) -> FreshnessSettings:
    default = FreshnessSettings()
    return FreshnessSettings(
        docs_fresh=reader.duration("DOCS_FRESH", default.docs_fresh),
        docs_stale=reader.duration("DOCS_STALE", default.docs_stale),
        stale_on_error=reader.duration("STALE_ON_ERROR", default.stale_on_error),
        library_ttl=reader.duration("LIBRARY_TTL", 0) if reader.text("LIBRARY_TTL") else None,
        patience=reader.duration("PATIENCE", default.patience),
        negative_ttl=reader.duration("NEGATIVE_TTL", default.negative_ttl),
    )


def _suggestions(reader: _Reader, home: Path, upstream: UpstreamSettings) -> SuggestionSettings:
    path = reader.path("MODEL_PATH")
    model = reader.text("MODEL") or DEFAULT_MODEL
    public = upstream.origin == DEFAULT_UPSTREAM and not isinstance(upstream.target, OffTarget)
    return SuggestionSettings(
        model_folder=home / "models",
        model=model,
        model_path=None if path is None else path.absolute(),
        qdrant_url=reader.text("QDRANT_URL"),
        qdrant_api_key=reader.text("QDRANT_API_KEY"),
        enabled=model != "off",
        fetches=public and path is None and model != "off",
    )


def _upstream(reader: _Reader, api_key: str | None, directory: Path | None) -> UpstreamSettings:
    environ = reader.environ
    api_url = environ.get("CONTEXT7_API_URL", "").strip() or None
    target = _target(reader.text("UPSTREAM"), api_url)
    key = (api_key or environ.get("CONTEXT7_API_KEY", "")).strip() or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError("CONTEXT7_API_KEY", "…", "a key: it holds blanks or odd characters")
    extra_ca = environ.get("NODE_EXTRA_CA_CERTS", "").strip()
    return UpstreamSettings(
        target=target,
        api_key=key,
        origin=_origin(target, api_url),
        child_environment={name: environ[name] for name in PASSED_ON if environ.get(name)},
        directory=None if target == CommandTarget(DEFAULT_COMMAND) else directory,
        extra_ca_file=Path(extra_ca) if extra_ca else None,
        timeout=_timeout(reader),
    )


def _timeout(reader: _Reader) -> float:
    seconds = reader.duration("UPSTREAM_TIMEOUT", UpstreamSettings().timeout)
    if seconds <= 0:
        raise _unusable(
            "UPSTREAM_TIMEOUT", "0s", "longer than nothing; `off` as upstream asks nobody"
        )
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
    parts = _split(text)
    if parts is None or parts[0] not in ("http", "https"):
        raise _unusable("UPSTREAM", _shown(text), "an http(s) URL, a command line or off")
    if api_url is not None and not _same_place(parts[1], _split(api_url)):
        elsewhere = f"on the host of CONTEXT7_API_URL ({_shown(api_url)}): unset one of the two"
        raise _unusable("UPSTREAM", _shown(text), elsewhere)
    return UrlTarget(text)


def _shown(url: str) -> str:
    """Return `url` as it may be told: without a key that stands in it."""
    return UrlTarget(url).label if _split(url) else "…"


def _split(url: str) -> tuple[str, str] | None:
    """Return scheme and host of `url`, or None when it is not one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.hostname is None or len(url.split()) > 1:
        return None
    return parts.scheme, parts.hostname


def _same_place(host: str, other: tuple[str, str] | None) -> bool:
    if other is None:
        return False
    return host == other[1] or {host, other[1]} <= LOOPBACK_HOSTS


def _command_target(text: str) -> CommandTarget:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise _unusable("UPSTREAM", "…", f"a command line ({error})") from error
    if not words[0]:
        raise _unusable("UPSTREAM", "…", "a command line: it names no program")
    if _ASSIGNMENT.match(words[0]):
        raise _unusable("UPSTREAM", "…", "a command line: to set variables, begin it with `env`")
    return CommandTarget(words)


def _origin(target: Target, api_url: str | None) -> str:
    """Name whose answers these are, so that two Context7 installations are told apart."""
    if api_url is not None:
        return _shown(api_url)
    return target.label if isinstance(target, UrlTarget) else DEFAULT_UPSTREAM

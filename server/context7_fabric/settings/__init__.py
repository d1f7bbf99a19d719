"""Every setting, read once from the environment and the command line, then frozen and handed down.

Nothing below the composition root looks at the environment again. A value that cannot be used
raises `SettingError` naming the variable; the command line turns that into exit code 2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from context7_fabric.models import VALUE_LIMIT
from context7_fabric.redis_url import parse as parse_redis
from context7_fabric.settings.reader import SettingsReader, unusable
from context7_fabric.settings.telemetry import read_telemetry
from context7_fabric.settings.upstream import LOOPBACK_HOSTS, PASSED_ON, read_upstream
from context7_fabric.settings.values import (
    DEFAULT_MODEL,
    DEFAULT_TOOLS,
    DEFAULT_UPSTREAM,
    METAS,
    MODES,
    DaemonSettings,
    ExecutionSettings,
    FreshnessSettings,
    Meta,
    OffTarget,
    StoreSettings,
    SuggestionSettings,
    TelemetrySettings,
    UpstreamSettings,
    WebSettings,
    chosen_tools,
)
from context7_fabric.settings.web import read_web

__all__ = ["LOOPBACK_HOSTS", "PASSED_ON", "Settings", "read_settings"]

FREE_CALLS = 1000
"""Calls a month of the free plan, which counts for callers without a key."""

LOG_LEVELS = ("debug", "info", "warning", "error")

_REDIS = re.compile(r"(rediss?(\+sentinel)?|unix)://", re.IGNORECASE)


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
    meta: Meta = "brief"
    redact: bool = True
    monthly_calls: int | None = None
    log_level: str = "warning"
    web: WebSettings = field(default_factory=WebSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)


def read_settings(
    environ: Mapping[str, str], *, api_key: str | None = None, directory: Path | None = None
) -> Settings:
    """Build the settings from `environ`; `api_key` is the command line's and goes first.

    An upstream command of the user's runs in `directory`, by default in that of this process.

    Raises:
        SettingError: A variable holds something that cannot be used.
    """
    reader = SettingsReader(environ)
    upstream = read_upstream(reader, api_key, directory)
    home = _home(reader)
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
        meta=reader.choice("META", METAS, "brief"),
        redact=reader.choice("REDACT", ("on", "off"), "on") == "on",
        monthly_calls=reader.whole("MONTHLY_CALLS") if reader.text("MONTHLY_CALLS") else free,
        log_level=reader.choice("LOG_LEVEL", LOG_LEVELS, "warning"),
        web=read_web(reader, home),
        telemetry=read_telemetry(reader),
    )


def _home(reader: SettingsReader) -> Path:
    if sys.platform == "win32" and reader.text("HOME") is None:  # where there is no relay
        return platformdirs.user_cache_path("context7-fabric")
    return reader.home()


def _executions(reader: SettingsReader) -> ExecutionSettings:
    default = ExecutionSettings()
    return ExecutionSettings(
        keep=reader.duration("EXECUTIONS_KEEP", default.keep),
        most=reader.whole("EXECUTIONS_MOST") or default.most,
    )


def _daemon(reader: SettingsReader) -> DaemonSettings:
    default = DaemonSettings()
    return DaemonSettings(
        mode=reader.choice("DAEMON", MODES, default.mode),
        idle=reader.duration("DAEMON_IDLE", default.idle),
    )


def _store(reader: SettingsReader) -> StoreSettings:
    text = reader.text("BACKEND") or "disk"
    if not _REDIS.match(text):
        text = reader.choice("BACKEND", ("disk", "memory", "a redis:// URL"), "disk")
    else:
        try:
            parse_redis(text, None, None, ssl=False)
        except ValueError as error:
            raise unusable("BACKEND", "…", f"usable: {error}") from error
    return StoreSettings(text, reader.whole("VALUE_LIMIT") or VALUE_LIMIT)


def _freshness(reader: SettingsReader) -> FreshnessSettings:
    default = FreshnessSettings()
    return FreshnessSettings(
        docs_fresh=reader.duration("DOCS_FRESH", default.docs_fresh),
        docs_stale=reader.duration("DOCS_STALE", default.docs_stale),
        stale_on_error=reader.duration("STALE_ON_ERROR", default.stale_on_error),
        library_ttl=reader.duration("LIBRARY_TTL", 0) if reader.text("LIBRARY_TTL") else None,
        patience=reader.duration("PATIENCE", default.patience),
        negative_ttl=reader.duration("NEGATIVE_TTL", default.negative_ttl),
    )


def _suggestions(
    reader: SettingsReader, home: Path, upstream: UpstreamSettings
) -> SuggestionSettings:
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

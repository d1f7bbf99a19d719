"""Settings, read once from the environment and the command line, then frozen and passed down.

Nothing below the composition root reads the environment again. A value that cannot be used raises
`SettingError`, which names the variable; the command line turns that into exit code 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from context7_fabric.models import DocsetUse
from context7_fabric.redis_url import parse as parse_redis
from context7_fabric.relay.folders import old_home_of
from context7_fabric.settings.reader import SettingsReader, choice, declared, unusable
from context7_fabric.settings.targets import (
    LOOPBACK_HOSTS,
    PASSED_ON,
    SOURCE_ENVIRONMENT,
    read_telemetry,
    read_upstream,
)
from context7_fabric.settings.values import (
    DEFAULT_TOOLS,
    DEFAULT_UPSTREAM,
    DaemonSettings,
    DocsetSettings,
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

__all__ = ["LOOPBACK_HOSTS", "PASSED_ON", "Settings", "read_settings"]

_REDIS = re.compile(r"(rediss?(\+sentinel)?|unix)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree.

    `home` is the folder of what is kept, `cache_folder` that of what can be fetched again.
    `old_home` is where earlier versions had it, None if a home is set. `stays` is the reason why
    the store, the secret and the tokens are used there, None if they are in the home. `project` is
    the folder that a client on stdio works in, empty if no pins count; `named_project` is the one
    that a setting names, for any client.
    """

    home: Path
    cache_folder: Path
    old_home: Path | None = None
    stays: str | None = None
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    freshness: FreshnessSettings = field(default_factory=FreshnessSettings)
    executions: ExecutionSettings = field(default_factory=ExecutionSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    docsets: DocsetSettings = field(default_factory=DocsetSettings)
    principal: str | None = declared("PRINCIPAL")
    seed_file: Path | None = declared("SEED")
    suggestions: SuggestionSettings = field(default_factory=lambda: SuggestionSettings(Path()))
    tools: frozenset[str] = DEFAULT_TOOLS
    meta: Meta = declared("META")
    docset_use: DocsetUse = declared("DOCSETS")
    project: str = ""
    named_project: str = ""
    redact: bool = declared("REDACT")
    monthly_calls: int | None = declared("MONTHLY_CALLS")
    log_level: str = declared("LOG_LEVEL")
    web: WebSettings = field(default_factory=WebSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    @property
    def asks_roots(self) -> bool:
        """Tell whether a client's roots may name its project: no setting says anything about it."""
        return bool(self.project) and not self.named_project

    @property
    def store_home(self) -> Path:
        """The folder of the store, the secret and the tokens."""
        return self.home if self.stays is None or self.old_home is None else self.old_home


def read_settings(
    environ: Mapping[str, str], *, api_key: str | None = None, directory: Path | None = None
) -> Settings:
    """Return the settings in `environ`; `api_key` comes from the command line and has precedence.

    An upstream command of the user's runs in `directory`, by default that of this process. Without
    a `directory` the client is in no project, unless a setting names one.

    Raises:
        SettingError: A variable cannot be used.
    """
    reader = SettingsReader(environ)
    upstream = read_upstream(reader, api_key, directory)
    home, cache_folder = reader.home(), reader.cache_folder()
    old_home = old_home_of(environ)
    limited = upstream.credential is None or reader.text("MONTHLY_CALLS")
    return reader.group(
        Settings,
        home=home,
        cache_folder=cache_folder,
        old_home=None if old_home is None else Path(old_home),
        upstream=upstream,
        freshness=reader.group(FreshnessSettings),
        executions=reader.group(ExecutionSettings),
        store=reader.group(StoreSettings, backend=_backend(reader)),
        daemon=reader.group(DaemonSettings),
        docsets=reader.group(DocsetSettings, environment=_source_environment(environ)),
        suggestions=_suggestions(reader, cache_folder, upstream),
        tools=chosen_tools(reader.text("TOOLS") or ""),
        monthly_calls=reader.value("MONTHLY_CALLS") if limited else None,
        web=_web(reader, home),
        telemetry=read_telemetry(reader),
        project=_project(reader, directory),
        named_project=_project(reader, None) if reader.text("PROJECT") else "",
    )


def _project(reader: SettingsReader, directory: Path | None) -> str:
    """Return the folder that the client works in: that of the setting, else its directory."""
    if reader.text("PROJECT") is None:
        return "" if directory is None else str(directory)
    named: Path | None = reader.value("PROJECT")
    return "" if named is None else str(named.absolute())


def _source_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in SOURCE_ENVIRONMENT if environ.get(name)}


def _backend(reader: SettingsReader) -> str:
    text: str = reader.value("BACKEND")
    if not _REDIS.match(text):
        return choice("BACKEND", text, ("disk", "memory", "a redis:// URL"))
    try:
        parse_redis(text, None, None, ssl=False)
    except ValueError as error:
        raise unusable("BACKEND", "…", f"usable: {error}") from error
    return text


def _suggestions(
    reader: SettingsReader, cache_folder: Path, upstream: UpstreamSettings
) -> SuggestionSettings:
    path: Path | None = reader.value("MODEL_PATH")
    enabled = reader.value("MODEL") != "off"
    public = upstream.origin == DEFAULT_UPSTREAM and not isinstance(upstream.target, OffTarget)
    return reader.group(
        SuggestionSettings,
        model_folder=cache_folder / "models",
        model_path=None if path is None else path.absolute(),
        enabled=enabled,
        fetches=public and path is None and enabled,
    )


def _web(reader: SettingsReader, home: Path) -> WebSettings:
    given = [reader.value(name) for name in ("TLS_CERT", "TLS_KEY")]
    if None in given and any(given):
        raise unusable(("TLS_CERT", "TLS_KEY")[given.index(None)], "", "set, as its counterpart is")
    named: Path | None = reader.value("TOKENS_FILE")
    file = (named or home / "tokens").absolute()
    return reader.group(WebSettings, tokens_file=file, wants_tokens=named is not None)

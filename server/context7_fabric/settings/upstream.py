"""Where upstream is and how it is reached: the part of the settings that has most to say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.relay.handshake import UPSTREAM_ENVIRONMENT
from context7_fabric.settings.reader import SettingsReader, unusable
from context7_fabric.settings.values import (
    DEFAULT_UPSTREAM,
    CommandTarget,
    OffTarget,
    Target,
    UpstreamSettings,
    UrlTarget,
    bare_key,
)

DEFAULT_COMMAND = ("npx", "-y", "@upstash/context7-mcp")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PASSED_ON = (*UPSTREAM_ENVIRONMENT, "PATH")
"""What an upstream command needs of our environment beyond the SDK's short default list."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def read_upstream(
    reader: SettingsReader, api_key: str | None, directory: Path | None
) -> UpstreamSettings:
    """Read where upstream is; `api_key` goes before the environment's.

    A command of the user's runs in `directory`.

    Raises:
        SettingError: A variable holds something that cannot be used.
    """
    environ = reader.environ
    api_url = environ.get("CONTEXT7_API_URL", "").strip() or None
    target = _target(reader.text("UPSTREAM"), api_url)
    key = bare_key((api_key or environ.get("CONTEXT7_API_KEY", "")).strip()) or None
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


def _timeout(reader: SettingsReader) -> float:
    seconds = reader.duration("UPSTREAM_TIMEOUT", UpstreamSettings().timeout)
    if seconds <= 0:
        raise unusable(
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
        raise unusable("UPSTREAM", _shown(text), "an http(s) URL, a command line or off")
    if api_url is not None and not _same_place(parts[1], _split(api_url)):
        elsewhere = f"on the host of CONTEXT7_API_URL ({_shown(api_url)}): unset one of the two"
        raise unusable("UPSTREAM", _shown(text), elsewhere)
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
        raise unusable("UPSTREAM", "…", f"a command line ({error})") from error
    if not words[0]:
        raise unusable("UPSTREAM", "…", "a command line: it names no program")
    if _ASSIGNMENT.match(words[0]):
        raise unusable("UPSTREAM", "…", "a command line: to set variables, begin it with `env`")
    return CommandTarget(words)


def _origin(target: Target, api_url: str | None) -> str:
    """Name whose answers these are, so that two Context7 installations are told apart."""
    if api_url is not None:
        return _shown(api_url)
    return target.label if isinstance(target, UrlTarget) else DEFAULT_UPSTREAM

"""Where Context7 is and how it is asked: the part of the settings that this package works by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_UPSTREAM = "https://mcp.context7.com/mcp"


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """Upstream is an MCP server at `url` (streamable HTTP)."""

    url: str

    @property
    def label(self) -> str:
        """The address without user name, password and query, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """Upstream is an MCP server that `command` starts, spoken to over its stdin and stdout."""

    command: tuple[str, ...]

    @property
    def label(self) -> str:
        """The program's name alone: arguments may hold a key."""
        return f"command {Path(self.command[0]).name}"


@dataclass(frozen=True, slots=True)
class OffTarget:
    """There is no upstream: answers come from the fabric alone."""

    @property
    def label(self) -> str:
        """How messages call it."""
        return "off"


Target = UrlTarget | CommandTarget | OffTarget


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Where questions go, with whose key, and how long they may take (seconds)."""

    target: Target = UrlTarget(DEFAULT_UPSTREAM)
    api_key: str | None = field(default=None, repr=False)
    origin: str = DEFAULT_UPSTREAM
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_ca_file: Path | None = None
    timeout: float = 55.0

    @property
    def credential(self) -> str | None:
        """What makes upstream's answers ours alone: the key, or one inside the target itself."""
        return self.api_key or _embedded_credential(self.target)


def _embedded_credential(target: Target) -> str | None:
    """Return a key that stands in a command line or a URL, where users do put one."""
    if isinstance(target, UrlTarget):
        parts = urlsplit(target.url)
        secret = parts.netloc.rpartition("@")[0] + parts.query
        return secret or None
    if isinstance(target, CommandTarget):
        return _flag_value(target.command, "--api-key")
    return None


def _flag_value(words: tuple[str, ...], flag: str) -> str | None:
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word == flag:
            return following or None
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=") or None
    return None

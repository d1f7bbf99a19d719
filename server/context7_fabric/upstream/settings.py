"""Where Context7 is and how it is asked: the part of the settings that this package works by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_UPSTREAM = "https://mcp.context7.com/mcp"
_KEY_IN_COMMAND = re.compile(
    r"(?:api[-_]key|authorization)\s*[=:\s]\s*(?:bearer\s+)?(\S+)", re.IGNORECASE
)

_BEARER = re.compile(r"^bearer(?:\s+|$)", re.IGNORECASE)
_AROUND_A_KEY = " \t\r\n\f\v\ufeff\"'"


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """Upstream is an MCP server at `url` (streamable HTTP), which may hold a key."""

    url: str = field(repr=False)

    @property
    def label(self) -> str:
        """The address without user name, password and query, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """Upstream is an MCP server that `command` starts, spoken to over its stdin and stdout.

    Its arguments may hold a key.
    """

    command: tuple[str, ...] = field(repr=False)

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
    """Where questions go, with whose key, and how long they may take (seconds).

    A command runs in `directory`, None for the one of this process.
    """

    target: Target = UrlTarget(DEFAULT_UPSTREAM)
    api_key: str | None = field(default=None, repr=False)
    origin: str = DEFAULT_UPSTREAM
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: Path | None = None
    extra_ca_file: Path | None = None
    timeout: float = 55.0

    @property
    def credential(self) -> str | None:
        """What makes upstream's answers ours alone: the key, or one inside the target itself."""
        return self.api_key or self._embedded_credential()

    def _embedded_credential(self) -> str | None:
        """Return a key that stands in a command line or a URL, where users do put one."""
        if isinstance(self.target, UrlTarget):
            return _key_in_url(self.target.url)
        if isinstance(self.target, CommandTarget):
            match = _KEY_IN_COMMAND.search(" ".join(self.target.command))
            api_url = self.child_environment.get("CONTEXT7_API_URL", "")
            return match[1] if match else _key_in_url(api_url)
        return None


def bare_key(text: str) -> str:
    """Return an API key without what is often copied along: blanks, quotes, the word Bearer."""
    bare = text.strip(_AROUND_A_KEY)
    return _BEARER.sub("", bare).strip(_AROUND_A_KEY)


def _key_in_url(url: str) -> str | None:
    """Return user name, password and query of `url`: each of them may be a key."""
    head, _, query = url.partition("#")[0].partition("?")
    user = head.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return f"{user}?{query}" if user or query else None

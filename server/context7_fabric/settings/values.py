"""Values of the settings; times are in seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE
from context7_fabric.settings.reader import declared
from context7_fabric.variables import VARIABLES

DAY = 86400.0

Meta = Literal["brief", "full", "off"]
"""Extent of the `_meta` of an answer over MCP; `brief` leaves out what a model cannot use."""

METAS: tuple[Meta, ...] = get_args(Meta)


@dataclass(frozen=True, slots=True)
class FreshnessSettings:
    """Ages up to which stored answers are served.

    Without a `library_ttl` the seed file sets it for its libraries; others have 30 days.
    """

    docs_fresh: float = declared("DOCS_FRESH")
    docs_stale: float = declared("DOCS_STALE")
    stale_on_error: float = declared("STALE_ON_ERROR")
    library_ttl: float | None = declared("LIBRARY_TTL")
    patience: float = declared("PATIENCE")
    negative_ttl: float = declared("NEGATIVE_TTL")


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Limits on the records of calls; with a `keep` of 0 none are made."""

    keep: float = declared("EXECUTIONS_KEEP")
    most: int = declared("EXECUTIONS_MOST")


DEFAULT_TOOLS = frozenset({RESOLVE, QUERY_DOCS, GET_DOCS})
"""Tools that are served by default: those of both generations of Context7's server."""

RECORD_FEEDBACK = "record-feedback"
FABRIC_GET, FABRIC_SET = "fabric-get", "fabric-set"
FABRIC_QUERY, FABRIC_SEARCH = "fabric-query", "fabric-search"
ADDED_TOOLS = {
    "+feedback": frozenset({RECORD_FEEDBACK}),
    "+fabric": frozenset({FABRIC_GET, FABRIC_SET, FABRIC_QUERY, FABRIC_SEARCH}),
}
"""Tools that each word adds to those that are served."""


def chosen_tools(words: str) -> frozenset[str]:
    """Return the names of the tools that the `words` of CONTEXT7_FABRIC_TOOLS select.

    Names select exactly those tools; a word with a plus adds to them, or to the default ones.

    Raises:
        SettingError: A word is neither.
    """
    chosen = frozenset(word.strip() for word in words.split(",")) - {""}
    known = DEFAULT_TOOLS.union(*ADDED_TOOLS.values())
    unknown = chosen - known - set(ADDED_TOOLS)
    if unknown:
        listed = ", ".join((*sorted(known), *ADDED_TOOLS))
        raise SettingError("CONTEXT7_FABRIC_TOOLS", min(unknown), f"one of {listed}")
    added = frozenset[str]().union(*(ADDED_TOOLS.get(word, frozenset()) for word in chosen))
    return (chosen & known or DEFAULT_TOOLS) | added


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """Daemon mode (auto or off), and the seconds without a client after which it ends."""

    mode: str = declared("DAEMON")
    idle: float = declared("DAEMON_IDLE")


@dataclass(frozen=True, slots=True)
class DocsetSettings:
    """Settings of docsets; after `fresh` seconds one without a version is refreshed when used.

    Repositories may come from `hosts` beside the well-known forges. `environment` holds the
    proxies and certificates of this machine, and the path to programs; it may hold a password.
    """

    hosts: frozenset[str] = declared("DOCSETS_HOSTS")
    private_addresses: bool = declared("DOCSETS_PRIVATE_ADDRESSES")
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    fresh: float = declared("DOCSETS_FRESH")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Backend of the store (disk, memory or a Redis URL), and the largest value in bytes."""

    backend: str = declared("BACKEND")
    value_limit: int = declared("VALUE_LIMIT")

    @property
    def label(self) -> str:
        """The backend without a password, for messages."""
        parts = urlsplit(self.backend)
        return f"{parts.scheme}://{parts.hostname or parts.path}" if parts.scheme else self.backend


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the HTTP server.

    Tokens are needed where `tokens_file` exists, or `wants_tokens` says that it has to. Without
    `hosts` clients may use any name if tokens are needed, else loopback names. Without `origins`
    pages of this machine may use the server.
    """

    tokens_file: Path = field(default_factory=Path)
    wants_tokens: bool = False
    host: str = declared("HOST")
    hosts: frozenset[str] | None = declared("HOSTS")
    origins: frozenset[str] | None = declared("ORIGINS")
    rate: int = declared("RATE")
    certificate: Path | None = declared("TLS_CERT")
    certificate_key: Path | None = declared("TLS_KEY")
    proxies: tuple[str, ...] = declared("PROXIES")


@dataclass(frozen=True, slots=True)
class LangSmithTarget:
    """The `url` for traces at LangSmith, and the project they go to (None: the default one)."""

    url: str
    api_key: str = field(repr=False)
    project: str | None = None


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Receivers of traces: none, LangSmith, an OTLP receiver, or both.

    `otlp` is the endpoint that OpenTelemetry's variables name; `service` is this program's name
    there. With `content`, traces hold questions and answers. A `problem` is the reason why no
    receiver is used.
    """

    langsmith: LangSmithTarget | None = None
    otlp: str | None = None
    service: str = "context7-fabric"
    content: bool = declared("TRACE_CONTENT")
    problem: str | None = None

    @property
    def wanted(self) -> bool:
        """Tell whether there is a receiver."""
        return self.langsmith is not None or self.otlp is not None


DEFAULT_UPSTREAM = VARIABLES["UPSTREAM"][1] or ""
_KEY_IN_COMMAND = re.compile(
    r"(?:api[-_]key|authorization)\s*[=:\s]\s*(?:bearer\s+)?(\S+)", re.IGNORECASE
)

_BEARER = re.compile(r"^bearer(?:\s+|$)", re.IGNORECASE)
_AROUND_A_KEY = " \t\r\n\f\v\ufeff\"'"


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """MCP server at `url` (streamable HTTP), which may hold a key."""

    url: str = field(repr=False)

    @property
    def label(self) -> str:
        """The URL without user name, password and query, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """MCP server on stdio that `command` starts; its arguments may hold a key."""

    command: tuple[str, ...] = field(repr=False)

    @property
    def label(self) -> str:
        """The program's name alone: arguments may hold a key."""
        return f"command {Path(self.command[0]).name}"


@dataclass(frozen=True, slots=True)
class OffTarget:
    """No upstream: answers come from the store alone."""

    label = "off"


Target = UrlTarget | CommandTarget | OffTarget


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Target of calls, the key they carry, and how long they may take.

    A command runs in `directory`, None for the one of this process.
    """

    target: Target = UrlTarget(DEFAULT_UPSTREAM)
    api_key: str | None = field(default=None, repr=False)
    origin: str = DEFAULT_UPSTREAM
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: Path | None = None
    extra_ca_file: Path | None = None
    timeout: float = declared("UPSTREAM_TIMEOUT")

    @property
    def credential(self) -> str | None:
        """The key that makes answers private: the API key, or one inside the target."""
        if self.api_key:
            return self.api_key
        if isinstance(self.target, UrlTarget):
            return _key_in_url(self.target.url)
        if isinstance(self.target, CommandTarget):
            match = _KEY_IN_COMMAND.search(" ".join(self.target.command))
            api_url = self.child_environment.get("CONTEXT7_API_URL", "")
            return match[1] if match else _key_in_url(api_url)
        return None


def bare_key(text: str) -> str:
    """Return an API key without blanks, quotes and the word Bearer around it."""
    bare = text.strip(_AROUND_A_KEY)
    return _BEARER.sub("", bare).strip(_AROUND_A_KEY)


def _key_in_url(url: str) -> str | None:
    """Return user name, password and query of `url`, each of which may be a key."""
    head, _, query = url.partition("#")[0].partition("?")
    user = head.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return f"{user}?{query}" if user or query else None


DEFAULT_MODEL = VARIABLES["MODEL"][1] or ""
# Files of a model that fastembed has downloaded completely.
_FETCHED = (
    "models--*/snapshots/*/**/*.onnx",
    "models--*/snapshots/*/**/*.safetensors",
    "fast-*/**/*.onnx",
)

EMBEDDED_ROWS = 20_000
"""Rows of an embedded index, the most used ones: a search scans all of them."""

ROOM = 2 * EMBEDDED_ROWS
"""Rows of the embedded indexes of all principals together."""


@dataclass(frozen=True, slots=True)
class SuggestionSettings:
    """Settings of suggestions; paths are absolute.

    `model_path` is a folder with the files of `model`; without it the model is looked for in
    `model_folder`, where `context7-fabric model fetch` puts it. Without `qdrant_url` the index is
    in the worker. If not `enabled`, words alone rank. With `fetches`, a missing model is
    downloaded after the first connection to upstream, which proves that there is a network.
    """

    model_folder: Path
    model: str = declared("MODEL")
    model_path: Path | None = declared("MODEL_PATH")
    qdrant_url: str | None = declared("QDRANT_URL")
    qdrant_api_key: str | None = declared("QDRANT_API_KEY")
    enabled: bool = True
    fetches: bool = False
    idle_seconds: float = 300.0
    patience: float = 1.5

    @property
    def most_rows(self) -> int | None:
        """Rows of one principal's index; None for all."""
        return EMBEDDED_ROWS if self.qdrant_url is None else None

    @property
    def room(self) -> int | None:
        """Rows of all principals' indexes together; None for all."""
        return ROOM if self.qdrant_url is None else None

    def hello(self) -> dict[str, str | None]:
        """Return the first message to a worker."""
        return {
            "model": self.model,
            "model_path": str(self.model_path) if self.model_path else None,
            "model_folder": str(self.model_folder),
            "qdrant_url": self.qdrant_url,
            "qdrant_api_key": self.qdrant_api_key,
        }

    def has_model(self) -> bool:
        """Tell whether the files of a model are on the disk."""
        if not self.enabled:
            return False
        if self.model_path is not None:
            return self.model_path.is_dir()
        return any(any(self.model_folder.glob(pattern)) for pattern in _FETCHED)

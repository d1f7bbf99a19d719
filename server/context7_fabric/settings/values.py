"""What the services go by, as plain values; lengths of time are in seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from context7_fabric.errors import SettingError
from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, VALUE_LIMIT

DAY = 86400.0

Meta = Literal["brief", "full", "off"]
"""Extent of the `_meta` of an answer over MCP: `brief` leaves out what a model has no use for."""

METAS: tuple[Meta, ...] = get_args(Meta)


@dataclass(frozen=True, slots=True)
class FreshnessSettings:
    """How long what was stored may be served.

    `library_ttl` None leaves it to the seed file for its libraries, and is 30 days for others.
    """

    docs_fresh: float = 3 * DAY
    docs_stale: float = 30 * DAY
    stale_on_error: float = 365 * DAY
    library_ttl: float | None = None
    patience: float = 4.0
    negative_ttl: float = 600.0


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """How long records of calls are kept (0: none are made), and how many at most."""

    keep: float = 7 * DAY
    most: int = 10_000


DEFAULT_TOOLS = frozenset({RESOLVE, QUERY_DOCS, GET_DOCS})
"""The tools that are served where no setting says otherwise: those of both generations."""

RECORD_FEEDBACK = "record-feedback"
FABRIC_GET, FABRIC_SET = "fabric-get", "fabric-set"
FABRIC_QUERY, FABRIC_SEARCH = "fabric-query", "fabric-search"
ADDED_TOOLS = {
    "+feedback": frozenset({RECORD_FEEDBACK}),
    "+fabric": frozenset({FABRIC_GET, FABRIC_SET, FABRIC_QUERY, FABRIC_SEARCH}),
}
"""What each word adds to the tools that are served."""


def chosen_tools(words: str) -> frozenset[str]:
    """Return the names of the tools to serve, as CONTEXT7_FABRIC_TOOLS tells by `words`.

    Names select exactly those tools, words with a plus add to them; without a name to the default.

    Raises:
        SettingError: A word is none of these.
    """
    chosen = frozenset(word.strip() for word in words.split(",")) - {""}
    known = DEFAULT_TOOLS.union(*ADDED_TOOLS.values())
    unknown = chosen - known - set(ADDED_TOOLS)
    if unknown:
        listed = ", ".join((*sorted(known), *ADDED_TOOLS))
        raise SettingError("CONTEXT7_FABRIC_TOOLS", min(unknown), f"one of {listed}")
    added = frozenset[str]().union(*(ADDED_TOOLS.get(word, frozenset()) for word in chosen))
    return (chosen & known or DEFAULT_TOOLS) | added


MODES = ("auto", "off")


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """`mode` off: each window serves itself. `idle` is in seconds without a window."""

    mode: str = "auto"
    idle: float = 600.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the fabric keeps what: `backend` is disk, memory or a Redis URL."""

    backend: str = "disk"
    value_limit: int = VALUE_LIMIT

    @property
    def label(self) -> str:
        """The backend as it may be shown: without a password."""
        parts = urlsplit(self.backend)
        return f"{parts.scheme}://{parts.hostname or parts.path}" if parts.scheme else self.backend


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`hosts` are the names that clients may call it by, None for any when tokens are asked for.

    Tokens are asked for where `tokens_file` is there, or `wants_tokens` says that it has to be.
    `origins` are those of the pages that may use the server, None for pages of this machine.
    `rate` is in requests a minute for each token; `proxies` are the addresses and networks whose
    word on who is behind them counts.
    """

    host: str = "127.0.0.1"
    tokens_file: Path = field(default_factory=Path)
    wants_tokens: bool = False
    hosts: frozenset[str] | None = None
    origins: frozenset[str] | None = None
    rate: int = 600
    certificate: Path | None = None
    certificate_key: Path | None = None
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LangSmithTarget:
    """LangSmith: the `url` that takes its traces, and the project they go to (None: its default).

    The key is sent along, and shown nowhere.
    """

    url: str
    api_key: str = field(repr=False)
    project: str | None = None


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Who gets the traces: nobody, LangSmith, an OTLP receiver, or both of them.

    `otlp` is the receiver that OpenTelemetry's own variables name, which say the rest about it to
    OpenTelemetry itself; `service` is what they call this program. With `content` questions and
    answers stand in the traces. A `problem` is why nobody gets any.
    """

    langsmith: LangSmithTarget | None = None
    otlp: str | None = None
    service: str = "context7-fabric"
    content: bool = False
    problem: str | None = None

    @property
    def wanted(self) -> bool:
        """Tell whether anybody gets traces."""
        return self.langsmith is not None or self.otlp is not None


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


DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Where fastembed leaves the weights of a model once it has them whole.
_FETCHED = (
    "models--*/snapshots/*/**/*.onnx",
    "models--*/snapshots/*/**/*.safetensors",
    "fast-*/**/*.onnx",
)

EMBEDDED_ROWS = 20_000
"""How many rows an embedded index holds, the most used: it looks at every one of them."""

ROOM = 2 * EMBEDDED_ROWS
"""How many rows the embedded indexes of all principals hold together."""


@dataclass(frozen=True, slots=True)
class SuggestionSettings:
    """Everything that can be chosen about suggestions; paths are absolute.

    `model_path` is a folder that holds the files of `model`; without it the model is looked for
    in `model_folder`, where `context7-fabric model fetch` puts it. Without `qdrant_url` the index
    is the worker's own. Not `enabled`, words alone rank. With `fetches` a model that is missing is
    downloaded behind the first connection to upstream, which shows that there is a network.
    """

    model_folder: Path
    model: str = DEFAULT_MODEL
    model_path: Path | None = None
    qdrant_url: str | None = field(default=None, repr=False)  # may hold a password
    qdrant_api_key: str | None = field(default=None, repr=False)
    enabled: bool = True
    fetches: bool = False
    idle_seconds: float = 300.0
    patience: float = 1.5

    @property
    def most_rows(self) -> int | None:
        """How many rows the index of one principal holds; None for all."""
        return EMBEDDED_ROWS if self.qdrant_url is None else None

    @property
    def room(self) -> int | None:
        """How many rows the indexes of all principals hold together; None for all."""
        return ROOM if self.qdrant_url is None else None

    def hello(self) -> dict[str, str | None]:
        """Return what a worker is told first."""
        return {
            "model": self.model,
            "model_path": str(self.model_path) if self.model_path else None,
            "model_folder": str(self.model_folder),
            "qdrant_url": self.qdrant_url,
            "qdrant_api_key": self.qdrant_api_key,
        }

    def has_model(self) -> bool:
        """Tell whether there is any model to try; looks at the disk, and only at that."""
        if not self.enabled:
            return False
        if self.model_path is not None:
            return self.model_path.is_dir()
        return any(any(self.model_folder.glob(pattern)) for pattern in _FETCHED)

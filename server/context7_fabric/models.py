"""Values that servers and services exchange: question, caller, answer and its provenance."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Progress(Protocol):
    """Callback for progress reports of MCP: progress, total (if known) and a message."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take one report."""
        ...


Clock = Callable[[], float]
"""Gives the wall-clock time in seconds since the epoch."""

_T = TypeVar("_T")


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
"""Kept for each kind, as to make one takes milliseconds."""

RESOLVE = "resolve-library-id"
QUERY_DOCS = "query-docs"
GET_DOCS = "get-library-docs"

Mode = Literal["code", "info"]

DocsetUse = Literal["first", "fallback", "off"]
"""Use of docsets: before Context7, only where Context7 gives no answer, or not at all."""

VALUE_LIMIT = 4 * 2**20
"""Maximum size of a context in bytes, as JSON with its metadata; a fabric may set another."""

PUBLIC = ""
"""The principal of what was fetched without a credential: every caller may read it."""

LOCAL_OWNER = "local"
"""The owner of what the operating-system user stores in the USER scope."""


@dataclass(frozen=True, slots=True)
class Question:
    """A look-up of a library's name, or a question to the documentation of a library.

    `library` is the name or the id; `text` is the purpose of the look-up (may be empty) or the
    question. `max_tokens` trims the answer, None leaves it whole.
    """

    library: str
    text: str = ""
    mode: Mode | None = None
    page: int = 1
    max_tokens: int | None = None

    @property
    def is_plain(self) -> bool:
        """Tell whether the question names neither a mode nor a later page."""
        return self.mode is None and self.page == 1


def holder_of(principal: str, owner: str) -> str:
    """Return the name that owns the choices of `owner` made with `principal`'s credential.

    No principal has such a name, so no other caller can read them.
    """
    return f"{principal}/{owner}"


class Outcome(StrEnum):
    """Outcome of a call, as its `_meta` states it."""

    HIT = "hit"
    STALE = "stale"
    MISS = "miss"
    COALESCED = "coalesced"
    OFFLINE = "offline"
    SUGGESTION = "suggestion"
    NEGATIVE = "negative"
    ERROR = "error"


HITS = frozenset({Outcome.HIT, Outcome.STALE, Outcome.OFFLINE, Outcome.COALESCED})
"""Outcomes of answers that cost no call upstream of their own."""


class Tier(StrEnum):
    """Part of the system that an answer came from, as its `_meta` states it."""

    NAME = "name"
    ALIAS = "alias"
    LEARNED = "learned"
    PIN = "pin"
    QUESTION = "question"
    DOCSET = "docset"
    UPSTREAM = "upstream"
    SNIPPETS = "snippets"
    SEED = "seed"
    LOCAL = "local"


_FEW_TOKENS = 4
_LIKELY_TOKEN = re.compile(r"[0-9]{1,3}|[a-f]{1,2}")


def new_execution_id() -> str:
    """Return a random id for the record of one call: 8 hex digits that are few tokens."""
    while len(_LIKELY_TOKEN.findall(drawn := token_hex(4))) > _FEW_TOKENS:
        pass
    return drawn


@dataclass(frozen=True, slots=True)
class Answer:
    """Text for a caller and its provenance.

    `note` is a remark about the text, kept apart so that the text stays verbatim. `fetched_at` is
    in seconds since the epoch and, like `age_seconds`, absent for what never came from upstream.
    """

    text: str
    outcome: Outcome
    tier: Tier
    library_id: str | None = None
    fetched_at: float | None = None
    age_seconds: float | None = None
    note: str | None = None
    is_error: bool = False
    tokens_saved: int = 0
    screening: tuple[str, ...] = ()
    execution_id: str = field(default_factory=new_execution_id)


async def no_progress(
    progress: float,  # the names that `Progress` declares
    total: float | None,  # as above
    message: str | None,  # as above
) -> None:
    """Ignore a progress report."""


class TracedStep(StrEnum):
    """Step of a call that traces tell apart; other steps are free text."""

    ASKED = "asked Context7"
    JOINED = "joined a call that is under way"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class ConsideredSnippet:
    """Snippet of a docset that a question's retrieval considered; `words` are those it holds."""

    title: str
    path: str
    score: float
    words: tuple[str, ...]


class DocsetReason(StrEnum):
    """Reason why a docset's page went before Context7, or was passed by."""

    CONFIDENT = "served before Context7"
    UNCONFIDENT = "too low, so Context7 is asked"
    ASKED_AGAIN = "asked again, so Context7 is asked"
    RATED = "its page was rated badly, so Context7 is asked"
    NO_TOPIC = "without a topic Context7 is asked"
    OLD = "not refreshed for a year, so Context7 is asked"
    FALLBACK = "docsets answer only where Context7 cannot"
    NEAREST = "of a lower version than asked for"
    PRIVATE = "private, so Context7 is never asked"


@dataclass(frozen=True, slots=True)
class DocsetDecision:
    """Decision whether the docset `name` answers a question: `confidence` against `threshold`.

    `words` are the question's, each with its weight; `considered` are the first of the snippets.
    `reason` is that of the decision whether it goes before Context7.
    """

    name: str
    confidence: float
    threshold: float
    reason: DocsetReason
    words: tuple[tuple[str, float], ...] = ()
    considered: tuple[ConsideredSnippet, ...] = ()

    @property
    def is_confident(self) -> bool:
        """Tell whether the confidence reaches the threshold."""
        return self.confidence >= self.threshold

    @property
    def is_too_low(self) -> bool:
        """Tell whether Context7 went first for want of confidence alone."""
        return self.reason is DocsetReason.UNCONFIDENT


class CallTrace:
    """Steps of one call, its duration and the store's keys involved, for the call log.

    `fresh_until` is the time (epoch seconds) up to which the very same question gets the very same
    answer, unless the store changes; None where that is not certain. `docset` is the decision about
    the library's docset, None where there is none. `pin` is the remark about the pin that counted.
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self.steps: list[tuple[str, float]] = []
        self.stored_at: tuple[str, ...] = ()
        self.went_upstream = False
        self.fresh_until: float | None = None
        self.docset: DocsetDecision | None = None
        self.pin: str | None = None

    def step(self, what: str) -> None:
        """Add the step `what`, which is done now."""
        self.steps.append((what, self.milliseconds))

    @property
    def milliseconds(self) -> float:
        """Time since the call began."""
        return (time.perf_counter() - self._began) * 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Origin of a call: `principal` decides what may be read, `owner` holds the choices made.

    `connection` ties the calls of one session; it is None where no session is certain. `client` is
    the name of the client's program. `request_id` and `protocol` (the version) are those of a call
    on the fast path, which the SDK does not see; else they are empty. `docsets` is the client's use
    of docsets. `address` recognises a client without a session that repeats a question, among those
    of its owner; None says that its repetitions cannot be recognised. `project` is the folder that
    the client works in, empty where no pins count.
    """

    principal: str = PUBLIC
    owner: str = LOCAL_OWNER
    connection: str | None = "local"
    progress: Progress = no_progress
    client: str = ""
    request_id: str = ""
    protocol: str = ""
    docsets: DocsetUse = "first"
    address: str | None = ""
    project: str = ""
    trace: CallTrace = field(default_factory=CallTrace, compare=False)

    @property
    def holder(self) -> str:
        """Name that owns the choices made by the calls."""
        return holder_of(self.principal, self.owner)

    @property
    def repeats_as(self) -> str | None:
        """Name by which a repeated question is recognised: address, else connection; None without.

        The holder is part of it, as several may share an address, and so is the project.
        """
        client = self.address or self.connection
        if self.address is None or not client:
            return None
        return " ".join(filter(None, (self.holder, client, self.project)))

    @property
    def viewer(self) -> Viewer:
        """The reader of stored entries that the calls act for."""
        return Viewer(self.principal, self.owner)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Reader of stored entries: `principal` whose answers it may read, `owner` of its contexts."""

    principal: str = PUBLIC
    owner: str = LOCAL_OWNER

    @property
    def holder(self) -> str:
        """Name that owns its choices and lessons."""
        return holder_of(self.principal, self.owner)


def tokens(text: str) -> int:
    """Estimate the number of tokens of `text`.

    Lists of libraries have 4.5 characters a token, counted with o200k (`tests/bench/tokens.py`).
    """
    return ceil(len(text) / 4.5)


def read_as(kind: type[_T], value: object) -> _T | None:
    """Return the dataclass of a `kind` that `value` is the JSON form of, None if it is not."""
    if value is None:
        return None
    adapter = _ADAPTERS.get(kind)
    if adapter is None:
        from pydantic import TypeAdapter  # noqa: PLC0415  # takes a while

        adapter = _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        return cast("_T", adapter.validate_python(value))
    except ValueError:
        return None

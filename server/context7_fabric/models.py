"""What services hand to a face (MCP, command line): an answer with its provenance; who asked.

Plain values only; how they look on the wire is `protocol`'s and `render`'s business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from secrets import token_hex
from typing import Literal, Protocol


class Progress(Protocol):
    """Hears how far a call is: progress, total (if known) and a message, as MCP reports it."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take one report."""
        ...


Clock = Callable[[], float]
"""Gives the wall-clock time in seconds since the epoch."""

RESOLVE = "resolve-library-id"
QUERY_DOCS = "query-docs"
GET_DOCS = "get-library-docs"

Mode = Literal["code", "info"]

VALUE_LIMIT = 4 * 2**20
"""Bytes that a context takes at most, as JSON with its metadata, unless a fabric says otherwise."""

PUBLIC = ""
"""The principal of what was fetched without a credential: everybody may read it."""

LOCAL_OWNER = "local"
"""The owner of what the operating-system user stores in the USER scope."""


def holder_of(principal: str, owner: str) -> str:
    """Return the name under which `owner` keeps what it chose with `principal`'s credential.

    No principal has such a name, so no other caller is shown what is kept under it.
    """
    return f"{principal}/{owner}"


class Outcome(StrEnum):
    """How a call ended, as told in its `_meta`."""

    HIT = "hit"
    STALE = "stale"
    MISS = "miss"
    COALESCED = "coalesced"
    OFFLINE = "offline"
    SUGGESTION = "suggestion"
    NEGATIVE = "negative"
    ERROR = "error"


HITS = frozenset({Outcome.HIT, Outcome.STALE, Outcome.OFFLINE, Outcome.COALESCED})
"""How answers end that cost no call upstream of their own."""


class Tier(StrEnum):
    """Which part of the system an answer came from, as told in its `_meta`."""

    NAME = "name"
    ALIAS = "alias"
    LEARNED = "learned"
    PIN = "pin"
    QUESTION = "question"
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
    """The text for a caller and where it comes from.

    `note` is what has to be said about the text and must not change it. `fetched_at` is in
    seconds since the epoch and, like `age_seconds`, absent for what never came from upstream.
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
    progress: float,  # named as every hearer names them
    total: float | None,  # as above
    message: str | None,  # as above
) -> None:
    """Report progress to nobody."""


class TracedStep(StrEnum):
    """Step of a call that traces tell apart; other steps are free text."""

    ASKED = "asked Context7"
    JOINED = "joined a call that is under way"
    ANSWERED = "answered"


class CallTrace:
    """How one answer comes about, noted on the way for the record of the call."""

    def __init__(self) -> None:
        """Begin the clock."""
        self._began = time.perf_counter()
        self.steps: list[tuple[str, float]] = []
        self.stored_at: tuple[str, ...] = ()
        self.went_upstream = False

    def step(self, what: str) -> None:
        """Note that `what` is done."""
        self.steps.append((what, self.milliseconds))

    @property
    def milliseconds(self) -> float:
        """How long it has taken so far."""
        return (time.perf_counter() - self._began) * 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `principal` decides what may be read, `owner` holds the choices that it makes.

    `connection` ties the calls of one session; it is None where no session is certain. `client` is
    what the client's program calls itself. `request_id` and `protocol`, the version, are those of
    a call on the express lane, which the SDK does not see; else they are empty.
    """

    principal: str = PUBLIC
    owner: str = LOCAL_OWNER
    connection: str | None = "local"
    progress: Progress = no_progress
    client: str = ""
    request_id: str = ""
    protocol: str = ""
    trace: CallTrace = field(default_factory=CallTrace, compare=False)

    @property
    def holder(self) -> str:
        """Whose the choices are that the calls make."""
        return holder_of(self.principal, self.owner)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the principal whose answers it may read, the owner whose contexts are its own."""

    principal: str = PUBLIC
    owner: str = LOCAL_OWNER

    @property
    def holder(self) -> str:
        """Whose its choices and lessons are."""
        return holder_of(self.principal, self.owner)


def tokens(text: str) -> int:
    """Estimate how many tokens a model reads `text` as.

    Lists of libraries have 4.5 characters a token, counted with o200k (`tests/bench/tokens.py`).
    """
    return ceil(len(text) / 4.5)

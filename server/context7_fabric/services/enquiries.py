"""What the cache-first flow is asked, what it brings, and how it ends. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from context7_fabric.errors import UpstreamError
from context7_fabric.fabric.policy import Lifetime
from context7_fabric.models import Progress
from context7_fabric.parsing.admission import Reason, Refusal
from context7_fabric.services.records import StoredAnswer

DEFINITE = frozenset({Reason.UNKNOWN_LIBRARY, Reason.UNKNOWN_VERSION})
"""Refusals that are an answer: upstream knows, and says no."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What upstream said: a text that may be stored (`record`), or a refusal to be passed on.

    `shared` says that another process fetched it; `key` that it belongs under another key than the
    one asked for; `note` what is to be said about a record that is not what upstream said now.
    """

    text: str
    record: StoredAnswer | None = None
    refusal: Refusal | None = None
    is_error: bool = False
    shared: bool = False
    key: str | None = None
    note: str | None = None

    @property
    def said(self) -> str:
        """Upstream's refusal in one line."""
        text = " ".join(self.text.split())
        said = text[:200].rstrip(".")
        return f"Context7 says: {said}" if text else "Context7 sent an empty answer"

    @property
    def definite(self) -> bool:
        """Tell whether this settles the question, as opposed to a passing failure."""
        return self.record is not None or (
            self.refusal is not None and self.refusal.reason in DEFINITE
        )


@dataclass(frozen=True, slots=True)
class Enquiry:
    """One thing to know: where it is stored, how long it lives, how it is fetched.

    `keys` are tried in order, and what is fetched is stored under each; `fetch` raises an
    `UpstreamError` when upstream gives no answer at all; `doubted` tells of a stored answer that it
    is wrong by now, however young; `refresh` asks upstream first in any case. `known` says that
    without upstream there is an answer of its own right, such as a seed by exact name; `lesser`
    looks whether there is any other.
    """

    keys: tuple[str, ...]
    lifetime: Lifetime
    fetch: Callable[[Progress], Awaitable[Fetched]]
    doubted: Callable[[StoredAnswer], bool] | None = None
    refresh: bool = False
    known: bool = False
    lesser: Callable[[], Awaitable[bool]] | None = None

    @property
    def key(self) -> str:
        """The first of its keys, which stands for it."""
        return self.keys[0]


class How(Enum):
    """By which way an enquiry ended."""

    HIT = auto()
    STALE = auto()
    OFFLINE = auto()
    FETCHED = auto()
    COALESCED = auto()
    REFUSED = auto()
    REMEMBERED = auto()
    FAILED = auto()


SAVED = frozenset({How.HIT, How.OFFLINE, How.COALESCED, How.REMEMBERED})
"""Ways that cost no call upstream."""


@dataclass(frozen=True, slots=True)
class Found:
    """The end of an enquiry: a stored or fetched record, else upstream's text, else its error."""

    how: How
    record: StoredAnswer | None = None
    fetched: Fetched | None = None
    error: UpstreamError | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What the flow goes by: lengths in seconds, `origin` names the Context7 that is asked.

    `patience` is how long a caller waits while an old copy is at hand, `flight` how long a flight
    may take at most, `negative` how long a refusal is remembered. `offline`: nobody is asked.
    """

    origin: str
    patience: float = 4.0
    flight: float = 60.0
    negative: float = 600.0
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """How it is with upstream.

    For how many seconds it has been `connecting`, 0 if it is not, and whether what is stale may be
    refreshed behind.
    """

    connecting: Callable[[], float]
    may_refresh: Callable[[], Awaitable[bool]]

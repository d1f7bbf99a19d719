"""The record of one call, as it is stored and read. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import JsonValue, TypeAdapter, ValidationError

from context7_fabric.fabric.context import Context


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, in milliseconds since the call began."""

    what: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class Automated:
    """What the metrics say of an answer: a point each for a hit, quickness and a usable text."""

    hit: bool
    quick: bool
    parsed: bool

    @property
    def score(self) -> int:
        """The points, 0 to 3."""
        return self.hit + self.quick + self.parsed


@dataclass(frozen=True, slots=True)
class Execution:
    """The record of one call; `at` is in seconds since the epoch, `size` in characters.

    `stored_at` are the store's keys that the answer was looked for under, `upstream` says whether
    this call caused one to Context7.
    """

    id: str
    at: float
    tool: str
    arguments: dict[str, JsonValue]
    outcome: str
    tier: str
    library_id: str | None
    latency_ms: float
    steps: tuple[Step, ...]
    size: int
    tokens: int
    tokens_saved: int
    upstream: bool
    client: str
    principal: str
    stored_at: tuple[str, ...]
    automated: Automated
    error: str | None = None


@cache
def execution_form() -> TypeAdapter[Execution]:
    """Return what reads and writes a record; to make it takes a while, when the first is made."""
    return TypeAdapter(Execution)


def execution_of(context: Context) -> Execution | None:
    """Return the record that `context` holds, None when it is something else."""
    try:
        return execution_form().validate_python(context.value)
    except ValidationError:
        return None

"""What the services go by, as plain values; lengths of time are in seconds."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86400.0


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

"""What is told of the server's state at one moment: plain values, and nothing of who asks what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What is known of the store; with `up` False it did not answer, and the rest is not known.

    `month_calls` went upstream this month with the server's own credential, and `quota_left` may
    still; None where nobody knows. `has_model` tells whether there is an embedding model.
    """

    up: bool = False
    month_calls: int | None = None
    quota_left: int | None = None
    has_model: bool | None = None


@dataclass(frozen=True, slots=True)
class StateFigures:
    """The state of everything that is open; sums are over all apps.

    `suggesters` counts by state, also the states that none is in. `rows` is the most that one of
    the registries holds.
    """

    version: str
    backend: str
    store: StoreFigures
    faults: int
    apps: int
    connections: int
    breakers_open: int
    resting: int
    rows: int
    suggesters: Mapping[str, int]
    flights: int
    executions_waiting: int

"""Seams to telemetry: observers of calls, the state that a scrape reports, traces on demand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from context7_fabric.models import Answer, Caller
from context7_fabric.settings.values import TelemetrySettings

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Observer of calls that have ended; its methods neither raise nor block."""

    def answered(
        self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Observe a tool call; `caller.trace` has the steps to its answer.

        Runs in the context of the call, or soon after it if the response cache answered.
        """
        ...

    def asked(self, ended: str, seconds: float) -> None:
        """Observe a call upstream: its outcome in a word, and its duration."""
        ...


class TraceObserver(Observer, Protocol):
    """Observer that has spans to send at the end."""

    def close(self) -> None:
        """Send the waiting spans, but not for long; blocks."""
        ...


def open_traces(
    settings: TelemetrySettings, redacted: Callable[[str], str]
) -> TraceObserver | None:
    """Start tracing as `settings` ask; None if they ask for nothing or it is not installed.

    Questions in traces go through `redacted` first. Blocks, as an import may be needed.
    """
    if settings.problem is not None:
        log.warning("no traces are made: %s", settings.problem)
    if not settings.wanted:
        return None
    try:
        from context7_fabric.telemetry.tracing import Tracing  # noqa: PLC0415  # an optional extra
    except ImportError:
        log.warning(
            "traces are asked for, but OpenTelemetry is not installed: run "
            "pip install '.[telemetry]' in a checkout of context7-fabric"
        )
        return None
    return Tracing(settings, redacted)


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """State of the store; with `up` False it did not answer, and the rest is not known.

    `month_calls` went upstream this month with the server's own credential, and `quota_left`
    calls are left; None if not known. `has_model` says whether there is an embedding model.
    """

    up: bool = False
    month_calls: int | None = None
    quota_left: int | None = None
    has_model: bool | None = None


@dataclass(frozen=True, slots=True)
class StateFigures:
    """State of the server at one moment, summed over all apps.

    `suggesters` counts by state, including the states without any. `rows` is the size of the
    largest registry.
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

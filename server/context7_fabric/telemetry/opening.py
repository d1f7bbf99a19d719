"""Traces on demand: what makes them is imported only where somebody is to get them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from context7_fabric.settings.values import TelemetrySettings
from context7_fabric.telemetry.observer import Observer

log = logging.getLogger(__name__)


class TraceObserver(Observer, Protocol):
    """An observer that has something to send at the end."""

    def close(self) -> None:
        """Send what waits, but not for long; blocks."""
        ...


def open_traces(
    settings: TelemetrySettings, redacted: Callable[[str], str]
) -> TraceObserver | None:
    """Begin to trace as `settings` ask, None where they ask for nothing or it is not installed.

    Questions that are told go through `redacted` first. It blocks: an import may be needed.
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

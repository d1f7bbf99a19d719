"""Whether there is a daemon, and how long it stays, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("auto", "off")


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """`mode` off: each window serves itself. `idle` is in seconds without a window."""

    mode: str = "auto"
    idle: float = 600.0

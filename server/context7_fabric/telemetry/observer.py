"""The seam to whoever watches: it hears how every tool call and every call upstream ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from context7_fabric.models import Answer, Caller


class Observer(Protocol):
    """Hears of calls when they have ended; it must neither raise nor take its time."""

    def answered(
        self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Hear of a tool call; `caller.trace` tells how its answer came about.

        It is told in the context of the call, or soon after it where the answer was at hand.
        """
        ...

    def asked(self, ended: str, seconds: float) -> None:
        """Hear of a call upstream: how it `ended` in a word, and how long it took."""
        ...

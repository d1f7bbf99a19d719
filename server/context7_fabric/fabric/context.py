"""One entry of the fabric and the scopes it may live in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from context7_fabric.fabric.backend import CLOCK_SLACK

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""Any value that JSON can say."""


KEY_LIMIT = 512
"""Characters that a key may have."""


class Scope(StrEnum):
    """Whom an entry is for."""

    GLOBAL = "GLOBAL"
    EXECUTION = "EXECUTION"
    FEEDBACK = "FEEDBACK"
    USER = "USER"


@dataclass(frozen=True, slots=True)
class Context:
    """One stored entry; times are seconds since the epoch, `expires_at` None means never.

    `version` counts what was stored under the key: the first is 1, each overwriting one more.
    """

    key: str
    value: Json
    scope: Scope
    created_at: float
    expires_at: float | None = None
    metadata: dict[str, Json] = field(default_factory=dict)
    version: int = 1

    def alive(self, now: float) -> bool:
        """Tell whether the entry has not expired at `now`.

        What ends, and was stored while a clock was ahead, has: its end is as wrong.
        """
        if self.expires_at is None:
            return True
        return now < self.expires_at and self.created_at - now <= CLOCK_SLACK


def address(scope: Scope, key: str) -> str:
    """Return what a backend knows the context `key` of `scope` by."""
    return f"{scope}/{key}"

"""Contexts, the entries of the fabric, and the scopes that they live in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from context7_fabric.fabric.backend import CLOCK_SLACK

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""Any JSON value."""

KEY_LIMIT = 512
"""Characters that a key may have."""


class Scope(StrEnum):
    """The audience and purpose of a context."""

    GLOBAL = "GLOBAL"
    EXECUTION = "EXECUTION"
    FEEDBACK = "FEEDBACK"
    USER = "USER"


@dataclass(frozen=True, slots=True)
class Context:
    """A stored entry; times are seconds since the epoch, `expires_at` None means never.

    `version` counts the writes of the key, from 1.
    """

    key: str
    value: Json
    scope: Scope
    created_at: float
    expires_at: float | None = None
    metadata: dict[str, Json] = field(default_factory=dict)
    version: int = 1

    def alive(self, now: float) -> bool:
        """Return whether the entry has not expired at `now`.

        An entry with an end that was stored while a clock was ahead has a wrong end: it is expired.
        """
        if self.expires_at is None:
            return True
        return now < self.expires_at and self.created_at - now <= CLOCK_SLACK


def address(scope: Scope, key: str) -> str:
    """Return the key in a backend of the context `key` of `scope`."""
    return f"{scope}/{key}"

"""The way of an answer through the tiers, read from the steps that its call noted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from context7_fabric.models import ANSWERED, ASKED, JOINED, Tier

_RESOLVE: Final = "resolve-library-id"
_STORED: Final = frozenset({Tier.NAME, Tier.ALIAS, Tier.LEARNED, Tier.PIN, Tier.QUESTION})
_LOCAL: Final = frozenset({Tier.SNIPPETS, Tier.SEED, Tier.LOCAL})


@dataclass(frozen=True, slots=True)
class Stage:
    """Time spent in one tier, in milliseconds since the call began."""

    tier: Tier
    begun: float
    ended: float


def stages(
    tool: str, tier: Tier, steps: Iterable[tuple[str, float]], ended: float
) -> tuple[Stage, ...]:
    """Return the tiers that a call of `tool` went through, which `tier` answered at `ended`.

    The store first, then upstream, then what is known without either.
    """
    steps = [step for step in steps if step[0] != ANSWERED]
    if not steps:
        return (Stage(tier, 0.0, ended),)
    found = [Stage(_store(tool, tier), 0.0, steps[0][1])]
    found += [
        Stage(Tier.UPSTREAM, at, _next(steps, number, ended))
        for number, (what, at) in enumerate(steps)
        if what in (ASKED, JOINED)
    ]
    if tier in _LOCAL:
        found.append(Stage(tier, steps[-1][1], ended))
    return tuple(found)


def _store(tool: str, tier: Tier) -> Tier:
    """Return the tier that was looked up in the store, the one that answered if it is one."""
    if tier in _STORED:
        return tier
    return Tier.NAME if tool == _RESOLVE else Tier.QUESTION


def _next(steps: Sequence[tuple[str, float]], number: int, ended: float) -> float:
    return steps[number + 1][1] if number + 1 < len(steps) else ended

"""Limits, open circuit breakers and lost sessions, as every process on a store keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.upstream.circuit_breaker import CLOCK_TOLERANCE, BackOff, BreakerOpening

RESTS = "upstream:rest:"
"""How the keys begin under which limits and the state of the breaker are kept."""

BREAKER, SESSION, SAID = _ENDINGS = (":breaker", ":session", ":said")
"""How their keys end, behind that of the credential; a limit has nothing there."""

SESSION_TOLD = 3600.0
"""Seconds for which a lost session is told of."""


@dataclass(frozen=True, slots=True)
class LostSession:
    """Upstream lost a session at `at` (epoch seconds); `how` that showed."""

    at: float
    how: str


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """What holds the calls of one credential back, or did lately; `key` is where it is kept."""

    key: str
    limit: BackOff | None = None
    opening: BreakerOpening | None = None
    lost_session: LostSession | None = None


def rest_of(value: object) -> BackOff | None:
    """Return the limit that a stored value tells of, None where something else lies."""
    match value:
        case {
            "made": int() | float() as made,
            "until": int() | float() as until,
            "why": str(why),
            "strict": bool(strict),
            "probed": int() | float() as probed,
        }:
            return BackOff(float(made), float(until), why, strict=strict, probed=float(probed))
        case _:
            return None


async def all_restraints(fabric: Fabric, now: float) -> list[UpstreamStatus]:
    """Return what holds calls back, by credential."""
    keys = await fabric.keys(Scope.GLOBAL, RESTS)
    credentials = sorted({_credential(key) for key in keys})
    return [await restraints_of(fabric, key, now) for key in credentials]


async def end_restraints(fabric: Fabric) -> int:
    """End the limits of every credential; return how many went.

    Raises:
        StoreError: The store cannot be searched, or one not be removed.
    """

    def is_limit(context: Context) -> bool:
        return rest_of(context.value) is not None

    await fabric.delete_matching(RESTS, lambda context: context.key.endswith(BREAKER))
    return await fabric.delete_matching(RESTS, is_limit)


async def restraints_of(fabric: Fabric, key: str, now: float) -> UpstreamStatus:
    """Return what holds the calls of one credential back."""
    limit = opening = lost = None
    # One by one: of many, what is no entry of ours is left out without a fault being told.
    if context := await fabric.get_context(key):
        limit = rest_of(context.value)
    if context := await fabric.get_context(f"{key}{BREAKER}"):
        opening = _opening(context.value)
    context = await fabric.get_context(f"{key}{SESSION}")
    if context is not None and isinstance(context.value, str):
        lost = LostSession(context.created_at, context.value)
    return UpstreamStatus(
        key,
        limit if limit and limit.holds(now) else None,
        opening if opening and opening.left(now) > 0 else None,
        lost if lost and -CLOCK_TOLERANCE <= now - lost.at < SESSION_TOLD else None,
    )


def _credential(key: str) -> str:
    """Return the key of a credential's limit, of which the others are made."""
    return next((key.removesuffix(each) for each in _ENDINGS if key.endswith(each)), key)


def _opening(value: object) -> BreakerOpening | None:
    match value:
        case {"at": int() | float() as at, "seconds": int() | float() as lasts, "why": str(why)}:
            return BreakerOpening(float(at), float(lasts), why)
        case _:
            return None

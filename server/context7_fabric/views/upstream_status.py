"""Limits, breaker and lost sessions in the words of `doctor` and `stats`: since, why, end."""

from __future__ import annotations

from datetime import datetime

from context7_fabric.durations import format_duration
from context7_fabric.upstream.circuit_breaker import BackOff, BreakerOpening
from context7_fabric.upstream.status import LostSession

FIX = "`context7-fabric doctor --fix`"


def told_limit(limit: BackOff, now: float) -> str:
    """Return one line about a limit that Context7 answered with."""
    said = f'Context7 said at {_clock(limit.made)}: "{limit.why}"'
    if limit.strict:
        return f"{said}; it is not asked {_until(limit.until, now)}; {limit_ends(limit)}"
    return f"{said}; nothing is refreshed {_until(limit.until, now)}; {limit_ends(limit)}"


def limit_ends(limit: BackOff) -> str:
    """Say what ends a limit before its time."""
    sooner = f"another key or {FIX}"
    if limit.strict:
        return f"{sooner} ends it sooner"
    return f"one call a minute goes out, and an answer ends it, as {sooner} does"


def told_opening(opening: BreakerOpening, now: float) -> str:
    """Return one line about an open circuit breaker."""
    wait = format_duration(max(1.0, opening.left(now)))
    return f"open for another {wait}, because {opening.why}; {opening_ends()}"


def opening_ends() -> str:
    """Say what ends an open circuit breaker."""
    return "a new connection or the next call that is answered closes it"


def told_session(lost: LostSession, now: float) -> str:
    """Return one line about a session that upstream lost."""
    ago = format_duration(max(0.0, now - lost.at))
    return f"lost {ago} ago ({lost.how}); the call was sent again over a new one"


def _until(at: float, now: float) -> str:
    return f"for {format_duration(max(1.0, at - now))}, until {_clock(at)}"


def _clock(at: float) -> str:
    """Return the time of day, with the date where it is not today's."""
    moment = datetime.fromtimestamp(at).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")

"""Back-off, circuit breaker and lost sessions, as `doctor` and `stats` print them."""

from __future__ import annotations

from datetime import datetime

from context7_fabric.durations import format_duration
from context7_fabric.upstream.call_gate import TimedMessage
from context7_fabric.upstream.circuit_breaker import BackOff, BreakerOpening

FIX = "`context7-fabric doctor --fix`"


def describe_back_off(back_off: BackOff, now: float) -> str:
    """Return one line about a back-off: the limit that started it, and its end."""
    stopped = "it is not asked" if back_off.strict else "nothing is refreshed"
    wait = format_duration(max(1.0, back_off.until - now))
    return (
        f'Context7 said at {_clock(back_off.made)}: "{back_off.why}"; {stopped} for {wait},'
        f" until {_clock(back_off.until)}; {back_off_end(back_off)}"
    )


def back_off_end(back_off: BackOff) -> str:
    """Return what ends a back-off before its time."""
    sooner = f"another key or {FIX}"
    if back_off.strict:
        return f"{sooner} ends it sooner"
    return f"one call a minute goes out, and an answer ends it, as {sooner} does"


def describe_opening(opening: BreakerOpening, now: float) -> str:
    """Return one line about an open circuit breaker."""
    wait = format_duration(max(1.0, opening.left(now)))
    return f"open for another {wait}, because {opening.why}; {opening_end()}"


def opening_end() -> str:
    """Return what closes an open circuit breaker."""
    return "a new connection or the next call that is answered closes it"


def describe_lost_session(lost: TimedMessage, now: float) -> str:
    """Return one line about a session that upstream lost."""
    ago = format_duration(max(0.0, now - lost.at))
    return f"lost {ago} ago ({lost.text}); the call was sent again over a new one"


def _clock(at: float) -> str:
    """Return the time of day, with the date if it is not today's."""
    moment = datetime.fromtimestamp(at).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")

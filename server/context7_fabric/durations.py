"""Durations as users write them: `90s`, `10m`, `6h`, `1d`."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


def parse_duration(text: str) -> float | None:
    """Return the seconds that `text` names, or None when it is no duration."""
    match = _FORM.fullmatch(text.strip().lower())
    return float(match[1]) * _UNITS[match[2]] if match else None


def format_duration(seconds: float) -> str:
    """Return `seconds` as people say it, in the largest unit that leaves a whole number.

    Rounded down: 47 h are `1 day`, 90 s are `1 minute`.
    """
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return _counted(int(seconds // unit), name)
    return _counted(int(seconds), "second")


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"

"""Durations as users write and read them: `90s`, `10m`, `6h`, `1d`."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration, None if `text` is none."""
    match = _FORM.fullmatch(text.strip().lower())
    return float(match[1]) * _UNITS[match[2]] if match else None


def format_duration(seconds: float) -> str:
    """Return `seconds` in the largest unit that fits, rounded down: 47 h are `1 day`."""
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, name = next((each for each in units if seconds >= each[0]), units[-1])
    count = int(seconds // size)
    return f"{count} {name}" if count == 1 else f"{count} {name}s"

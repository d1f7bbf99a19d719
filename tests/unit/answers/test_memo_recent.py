"""What happened lately is forgotten in time, whichever way the clock is set."""

from __future__ import annotations

import pytest

from context7_fabric.answers.memo import TimedCache
from support.scripted import FakeClock


@pytest.mark.parametrize(
    ("passed", "value"),
    [(0, "noted"), (59.9, "noted"), (60, None), (86400, None), (-0.1, None), (-30 * 86400, None)],
)
def test_recent_after_some_time_is_forgotten_or_from_the_future_ignored(
    passed: float, value: str | None
) -> None:
    clock = FakeClock()
    recent = TimedCache[str](clock, 60)
    recent.put("key", "noted")
    clock.forward(passed)
    assert recent.get("key") == value

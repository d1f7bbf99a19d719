"""Values that are kept for some seconds, whichever way the clock is set."""

from __future__ import annotations

import pytest

from context7_fabric.answers.cache import TimedCache
from support.scripted import FakeClock


@pytest.mark.parametrize(
    ("passed", "value"),
    [(0, "kept"), (59.9, "kept"), (60, None), (86400, None), (-0.1, None), (-30 * 86400, None)],
)
def test_timed_cache_after_its_time_or_from_the_future_returns_nothing(
    passed: float, value: str | None
) -> None:
    clock = FakeClock()
    cache = TimedCache[str](clock, 60)
    cache.put("key", "kept")
    clock.forward(passed)
    assert cache.get("key") == value

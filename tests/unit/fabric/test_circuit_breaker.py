"""A store that hangs makes one caller wait, and is tried again later."""

from __future__ import annotations

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.circuit_breaker import REST_SECONDS, CircuitBreakerBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from unit.fabric.fakes import NOON, FakeClock


class Hanging(MemoryBackend):
    """Works, or fails after some seconds of the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.fails_after: float | None = None
        self.asked = 0

    async def get(self, key: str) -> BackendEntry | None:
        self.asked += 1
        if self.fails_after is not None:
            self.clock.now += self.fails_after
            raise StoreUnavailable("get", "no answer")
        return await super().get(key)


@pytest.fixture
def hanging(clock: FakeClock) -> Hanging:
    return Hanging(clock)


@pytest.fixture
async def spared(hanging: Hanging, clock: FakeClock) -> CircuitBreakerBackend:
    spared = CircuitBreakerBackend(hanging, clock=clock)
    await spared.write([WriteRequest("key", b"value")])
    return spared


async def test_after_waiting_in_vain_nobody_waits_for_a_while(
    spared: CircuitBreakerBackend, hanging: Hanging, clock: FakeClock
) -> None:
    hanging.fails_after = 1.0
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await spared.get("key")
    with pytest.raises(StoreUnavailable, match="left alone for now"):
        await spared.keys("")
    assert (hanging.asked, clock.now) == (1, NOON + 1.0)


async def test_later_it_is_tried_again(
    spared: CircuitBreakerBackend, hanging: Hanging, clock: FakeClock
) -> None:
    hanging.fails_after = 1.0
    with pytest.raises(StoreUnavailable):
        await spared.get("key")
    hanging.fails_after = None
    clock.now += REST_SECONDS
    assert await spared.get("key") == BackendEntry("key", b"value")


async def test_a_failure_that_came_at_once_is_no_reason(
    spared: CircuitBreakerBackend, hanging: Hanging
) -> None:
    hanging.fails_after = 0.0
    with pytest.raises(StoreUnavailable):
        await spared.get("key")
    hanging.fails_after = None
    assert await spared.get("key") == BackendEntry("key", b"value")

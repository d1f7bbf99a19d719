"""A store that hangs makes one caller wait, and is tried again later."""

from __future__ import annotations

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.circuit_breaker import OPEN_SECONDS, CircuitBreakerBackend
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
async def guarded(hanging: Hanging, clock: FakeClock) -> CircuitBreakerBackend:
    guarded = CircuitBreakerBackend(hanging, clock=clock)
    await guarded.write([WriteRequest("key", b"value")])
    return guarded


async def test_a_slow_failure_opens_the_circuit(
    guarded: CircuitBreakerBackend, hanging: Hanging, clock: FakeClock
) -> None:
    hanging.fails_after = 1.0
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await guarded.get("key")
    with pytest.raises(StoreUnavailable, match="circuit open after a time-out; retried within 3 s"):
        await guarded.keys("")
    assert (hanging.asked, clock.now) == (1, NOON + 1.0)


async def test_an_open_circuit_is_retried_later(
    guarded: CircuitBreakerBackend, hanging: Hanging, clock: FakeClock
) -> None:
    hanging.fails_after = 1.0
    with pytest.raises(StoreUnavailable):
        await guarded.get("key")
    hanging.fails_after = None
    clock.now += OPEN_SECONDS
    assert await guarded.get("key") == BackendEntry("key", b"value")


async def test_a_quick_failure_leaves_the_circuit_closed(
    guarded: CircuitBreakerBackend, hanging: Hanging
) -> None:
    hanging.fails_after = 0.0
    with pytest.raises(StoreUnavailable):
        await guarded.get("key")
    hanging.fails_after = None
    assert await guarded.get("key") == BackendEntry("key", b"value")

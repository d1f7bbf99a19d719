"""The first key that holds something of use: key by key where that is cheap, else all at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.circuit_breaker import CircuitBreakerBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context
from context7_fabric.fabric.fabric import Fabric, first_of


class Counted(MemoryBackend):
    """Counts how often it is asked."""

    trips = 0

    async def get(self, key: str) -> BackendEntry | None:
        self.trips += 1
        return await super().get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        self.trips += 1
        return [entry for key in keys if (entry := await super(Counted, self).get(key))]


def even(context: Context) -> int | None:
    value = context.value
    return value if isinstance(value, int) and value % 2 == 0 else None


@pytest.fixture
def memory() -> Counted:
    return Counted()


@pytest.fixture(params=["at hand", "far"])
async def fabric(memory: Counted, request: pytest.FixtureRequest) -> Fabric:
    fabric = Fabric(memory if request.param == "at hand" else CircuitBreakerBackend(memory))
    for key, value in {"one": 1, "two": 2, "four": 4, "zero": 0}.items():
        assert await fabric.set_context(key, value)
    memory.trips = 0
    return fabric


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["none", "one", "four", "two"], 4),
        (["two"], 2),
        (["zero", "two"], 0),
        (["none"], None),
        (["one", "none"], None),
        ([], None),
    ],
)
async def test_first_of_returns_the_first_usable_value(
    fabric: Fabric, keys: list[str], found: int | None
) -> None:
    assert await first_of(fabric, keys, even) == found


async def test_first_of_a_remote_backend_takes_one_round_trip(memory: Counted) -> None:
    fabric = Fabric(CircuitBreakerBackend(memory))
    assert await first_of(fabric, ["a", "b", "c"], even) is None
    assert memory.trips == 1


async def test_first_of_a_local_backend_reads_no_later_key(memory: Counted) -> None:
    fabric = Fabric(memory)
    await fabric.set_context("a", 2)
    memory.trips = 0
    assert await first_of(fabric, ["a", "b", "c"], even) == 2
    assert memory.trips == 1

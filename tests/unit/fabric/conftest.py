"""A fabric in memory, on a clock that stands still until it is set."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fabric(clock: FakeClock) -> AsyncIterator[Fabric]:
    async with Fabric(MemoryBackend(), clock) as fabric:
        yield fabric

"""A fabric in memory, and what callers see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.call_log.records import Executions
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.settings.values import ExecutionSettings
from context7_fabric.views.visibility import Views
from support.scripted import FakeClock
from support.viewing import Ticking


@pytest.fixture
def clock() -> FakeClock:
    return Ticking()


@pytest.fixture
async def fabric(clock: FakeClock) -> AsyncIterator[Fabric]:
    async with Fabric(MemoryBackend(), clock) as opened:
        yield opened


@pytest.fixture
def executions(fabric: Fabric, clock: FakeClock) -> Executions:
    return Executions(fabric, clock, str, ExecutionSettings())


@pytest.fixture
def views(fabric: Fabric, executions: Executions, clock: FakeClock) -> Views:
    return Views(fabric, executions, clock)

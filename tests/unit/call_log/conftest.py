"""A fabric in memory, and what callers see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.call_log.records import CallLog
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.settings.values import ExecutionSettings
from context7_fabric.views.visibility import VisibleEntries
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
def executions(fabric: Fabric, clock: FakeClock) -> CallLog:
    return CallLog(fabric, clock, str, ExecutionSettings())


@pytest.fixture
def views(fabric: Fabric, executions: CallLog, clock: FakeClock) -> VisibleEntries:
    return VisibleEntries(fabric, executions, clock)

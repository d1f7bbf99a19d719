"""Records of calls are written behind them: none waits long, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from context7_fabric.call_log import records as module
from context7_fabric.call_log.records import BEHIND, MANY, CallLog
from context7_fabric.errors import StoreUnavailable, UnknownExecution
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Answer, Caller, Outcome, Tier
from context7_fabric.privacy.redaction import redact
from context7_fabric.settings.values import ExecutionSettings
from support.scripted import FakeClock


def record(executions: CallLog, number: int) -> None:
    """Let one call be recorded."""
    answer = Answer("text", Outcome.HIT, Tier.QUESTION, execution_id=f"{number:04}")
    executions.record("query-docs", {}, Caller(), answer)


async def test_many_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY", 3600)
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(fabric, clock, redact, ExecutionSettings())
        tasks.start_soon(executions.write_behind)
        for number in range(MANY):
            record(executions, number)
        with anyio.fail_after(10):
            while len(await fabric.keys(Scope.EXECUTION, "")) < MANY:
                await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_they_are_written_after_somebody_looked_for_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY", 0.001)
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(fabric, clock, redact, ExecutionSettings())
        tasks.start_soon(executions.write_behind)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UnknownExecution):
            await executions.find("", lambda _context: True)
        record(executions, 1)
        with anyio.fail_after(10):
            while executions.waiting:
                await checkpoint()
        assert len(await fabric.keys(Scope.EXECUTION, "")) == 1
        tasks.cancel_scope.cancel()


async def test_it_tells_when_it_is_behind_and_when_it_has_caught_up() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        executions = CallLog(fabric, clock, redact, ExecutionSettings())
        told = []
        for number in range(BEHIND):
            told.append(executions.is_behind)
            record(executions, number)
        told.append(executions.is_behind)
        await executions.flush()
        told.append(executions.is_behind)
        assert told == [*[False] * BEHIND, True, False]
        assert len(await fabric.keys(Scope.EXECUTION, "")) == BEHIND


async def test_what_a_store_did_not_take_is_written_once_it_does_without_another_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY", 0.001)
    monkeypatch.setattr(module, "AGAIN_EVERY", 0.001)
    clock, backend = FakeClock(), Refusing()
    async with Fabric(backend, clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(fabric, clock, redact, ExecutionSettings())
        tasks.start_soon(executions.write_behind)
        record(executions, 1)
        with anyio.fail_after(10):
            await backend.refused.wait()
            backend.refuses = False
            while not await fabric.keys(Scope.EXECUTION, ""):
                await checkpoint()
        tasks.cancel_scope.cancel()


class Refusing(MemoryBackend):
    """A store that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = True
        self.refused = anyio.Event()

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        if self.refuses:
            self.refused.set()
            raise StoreUnavailable("put", "not now")
        await super().write(puts, deletes)

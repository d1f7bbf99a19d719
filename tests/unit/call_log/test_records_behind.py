"""Records of calls are written behind them: none waits long, and none is lost."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

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


async def test_many_records_are_written_at_once() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(fabric, clock, redact, ExecutionSettings(), write_every=3600)
        tasks.start_soon(executions.write_behind)
        for number in range(MANY):
            record(executions, number)
        with anyio.fail_after(30):
            while len(await fabric.keys(Scope.EXECUTION, "")) < MANY:
                await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_records_are_written_after_a_find_without_result() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(fabric, clock, redact, ExecutionSettings(), write_every=0.001)
        tasks.start_soon(executions.write_behind)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UnknownExecution):
            await executions.find("", lambda _context: True)
        record(executions, 1)
        with anyio.fail_after(30):
            while executions.waiting:
                await checkpoint()
        assert len(await fabric.keys(Scope.EXECUTION, "")) == 1
        tasks.cancel_scope.cancel()


async def test_is_behind_is_true_until_the_records_are_written() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        executions = CallLog(fabric, clock, redact, ExecutionSettings())
        behind = []
        for number in range(BEHIND):
            behind.append(executions.is_behind)
            record(executions, number)
        behind.append(executions.is_behind)
        await executions.flush()
        behind.append(executions.is_behind)
        assert behind == [*[False] * BEHIND, True, False]
        assert len(await fabric.keys(Scope.EXECUTION, "")) == BEHIND


async def test_records_that_the_store_refused_are_written_later_without_another_call() -> None:
    clock, backend = FakeClock(), Refusing()
    async with Fabric(backend, clock) as fabric, anyio.create_task_group() as tasks:
        executions = CallLog(
            fabric, clock, redact, ExecutionSettings(), write_every=0.001, retry_every=0.001
        )
        tasks.start_soon(executions.write_behind)
        record(executions, 1)
        with anyio.fail_after(30):
            await backend.refused.wait()
            backend.refuses = False
            while not await fabric.keys(Scope.EXECUTION, ""):
                await checkpoint()
        tasks.cancel_scope.cancel()


class Refusing(MemoryBackend):
    """A store that refuses writes until `refuses` is unset."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = True
        self.refused = anyio.Event()

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        if self.refuses:
            self.refused.set()
            raise StoreUnavailable("put", "not now")
        await super().write(puts, deletes)

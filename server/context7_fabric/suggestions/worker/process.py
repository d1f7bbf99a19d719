"""Worker process as the serving process sees it: start, requests, end.

Every wait is bounded, and so is the number of waiting requests. A missing reply is None, never an
error, as suggestions go on without it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process

from context7_fabric.suggestions.worker.wire import (
    LineTooLong,
    Message,
    WorkerLines,
    decode,
    encode,
)

log = logging.getLogger(__name__)

MOST_WAITING = 32
"""Requests in flight at once; no more questions are asked meanwhile."""

_GRACE = 0.5
_LONGEST_LOG_LINE = 2_000
_LEVELS = logging.getLevelNamesMapping()


class WorkerProcess:
    """One running worker."""

    def __init__(self, process: Process) -> None:
        """Talk to `process` over its pipes."""
        self._process = process
        self._ids = count(1)
        self._waiting: dict[int, _Reply] = {}
        self.ended = anyio.Event()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def open(self) -> bool:
        """True if one more question may be asked now."""
        return not self.ended.is_set() and len(self._waiting) < MOST_WAITING

    async def request(self, do: str, seconds: float, **details: Any) -> Message | None:  # noqa: ANN401  # JSON
        """Send the verb `do`; return the reply, which may be an `error`.

        None if the worker ended, or did not reply within `seconds`.
        """
        if self.ended.is_set():
            return None
        number, reply = next(self._ids), _Reply()
        try:
            line = encode({"id": number, "do": do, **details})
        except LineTooLong as error:
            return {"error": str(error)}
        self._waiting[number] = reply
        try:
            with anyio.move_on_after(seconds):
                await self._send(line)
                await reply.arrived.wait()
        finally:
            self._waiting.pop(number, None)
        return reply.message

    def end(self) -> None:
        """Give up on the worker and end all waits."""
        self.ended.set()
        for reply in self._waiting.values():
            reply.arrived.set()

    async def read(self) -> None:
        """Read replies until the worker ends."""
        async for line in _lines(self._process.stdout, WorkerLines()):
            self._take(line)
        self.end()

    async def log_stderr(self) -> None:
        """Log the worker's stderr; lines of a traceback get the level of its head."""
        level = logging.WARNING
        async for line in _lines(self._process.stderr, WorkerLines(_LONGEST_LOG_LINE)):
            text = (line or b"(a line too long to show)").decode(errors="replace").rstrip()
            level = _LEVELS.get(text.partition(" ")[0], level)
            log.log(level, "worker %d: %s", self.pid, text)

    async def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # it was opened with a pipe
        try:
            await self._process.stdin.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.end()

    def _take(self, line: bytes | None) -> None:
        try:
            message = decode(line)
        except ValueError:
            log.warning("worker %d wrote a line that is not a reply", self.pid)
            return
        reply = self._waiting.get(message.pop("id", None) or 0)
        if reply is not None:
            reply.message = message
            reply.arrived.set()


class _Reply:
    """Awaited reply; it stays None if the worker ends first."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.message: Message | None = None


@asynccontextmanager
async def open_link(idle_seconds: float) -> AsyncGenerator[WorkerProcess]:
    """Run a worker during the block; it ends by itself after `idle_seconds` without use."""
    command = [sys.executable, "-P", "-m", "context7_fabric.suggestions.worker"]
    process = await anyio.open_process(
        [*command, "--idle-seconds", str(idle_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    link = WorkerProcess(process)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.read)
            tasks.start_soon(link.log_stderr)
            yield link
            tasks.cancel_scope.cancel()
    finally:
        link.end()
        with anyio.move_on_after(_GRACE, shield=True):
            await process.aclose()


async def _lines(
    stream: ByteReceiveStream | None, lines: WorkerLines
) -> AsyncGenerator[bytes | None]:
    assert stream is not None  # noqa: S101  # it was opened with a pipe
    try:
        async for data in stream:
            for line in lines.feed(data):
                yield line
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return

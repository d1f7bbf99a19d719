"""Single flight: concurrent callers with the same key wait for one piece of work.

The work runs in a task of its own, so it survives a caller that gives up, and its progress reports
reach every caller that waits.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.models import Progress

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
"""Time limit for the delivery of a progress report to one client."""

T = TypeVar("T")
FlightWork = Callable[[Progress], Awaitable[T]]


@dataclass(slots=True)
class Flight(Generic[T]):
    """Work under way, and the callers that wait for it."""

    done: anyio.Event = field(default_factory=anyio.Event)
    listeners: list[Progress] = field(default_factory=list)
    result: T | None = None
    error: Exception | None = None

    async def land(self, listener: Progress) -> T:
        """Wait for the result and return it; `listener` receives the progress reports.

        Raises what the work raises. The work goes on if the caller is cancelled.
        """
        self.listeners.append(listener)
        try:
            await self.done.wait()
        finally:
            self.listeners.remove(listener)
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # set whenever there is no error

    async def report(self, progress: float, total: float | None, message: str | None) -> None:
        """Pass a progress report on to all callers; one that is gone does not stop the others."""
        async with anyio.create_task_group() as tasks:
            for listener in tuple(self.listeners):
                tasks.start_soon(_report, listener, progress, total, message)


async def _report(
    listener: Progress, progress: float, total: float | None, message: str | None
) -> None:
    try:
        with anyio.move_on_after(REPORT_SECONDS):
            await listener(progress, total, message)
    except Exception as error:  # noqa: BLE001  # a client that is gone
        log.debug("a listener is gone: %s", error)


class SingleFlight(Generic[T]):
    """Flights under way in this process, by key."""

    def __init__(self, tasks: TaskGroup) -> None:
        """Run the work in `tasks`."""
        self._tasks = tasks
        self._under_way: dict[str, Flight[T]] = {}

    def __len__(self) -> int:
        """Return the number of flights under way."""
        return len(self._under_way)

    def board(self, key: str, work: FlightWork[T]) -> tuple[Flight[T], bool]:
        """Return the flight for `key` and whether it was started by this call, with `work`."""
        flight = self._under_way.get(key)
        started = flight is None
        if flight is None:
            flight = self._under_way[key] = Flight()
            self._tasks.start_soon(self._fly, key, flight, work)
        return flight, started

    async def _fly(self, key: str, flight: Flight[T], work: FlightWork[T]) -> None:
        try:
            flight.result = await work(flight.report)
        except Exception as error:  # noqa: BLE001  # raised in each waiting caller
            flight.error = error
        except BaseException:
            flight.error = RuntimeError("the flight was cancelled")
            raise
        finally:
            del self._under_way[key]
            flight.done.set()

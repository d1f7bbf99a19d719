"""One flight serves all who board it, whatever becomes of any of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import TaskGroup

from context7_fabric.answers.single_flight import SingleFlight
from context7_fabric.models import Progress, no_progress


@dataclass
class HeldWork:
    """Work that waits for leave to end, and counts how often it was begun and how often ended."""

    leave: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None
    begun: int = 0
    ended: int = 0

    async def __call__(self, progress: Progress) -> str:
        self.begun += 1
        number = self.begun
        await progress(0.5, 1.0, "half-way")
        await self.leave.wait()
        await progress(1.0, 1.0, None)
        if self.error is not None:
            raise self.error
        self.ended += 1
        return f"result {number}"


@dataclass
class Listener:
    """Writes down what it hears."""

    heard: list[tuple[float, float | None, str | None]] = field(default_factory=list)

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.heard.append((progress, total, message))


async def stuck(progress: float, total: float | None, message: str | None) -> None:
    """Listen like a client that does not read."""
    await anyio.sleep_forever()


async def gone(progress: float, total: float | None, message: str | None) -> None:
    """Listen like a client that has hung up."""
    raise anyio.BrokenResourceError


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as tasks:
        yield tasks


@pytest.fixture
def flights(tasks: TaskGroup) -> SingleFlight[str]:
    return SingleFlight(tasks)


@pytest.fixture
def work() -> HeldWork:
    return HeldWork()


async def test_fifty_callers_at_once_make_one_run(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    starters: list[bool] = []
    results: list[str] = []

    async def call() -> None:
        flight, started = flights.board("key", work)
        starters.append(started)
        results.append(await flight.land(no_progress))

    async with anyio.create_task_group() as callers:
        for _ in range(50):
            callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        work.leave.set()
    assert starters == [True] + [False] * 49
    assert results == ["result 1"] * 50
    assert work.begun == 1


async def test_different_keys_fly_apart(flights: SingleFlight[str], work: HeldWork) -> None:
    work.leave.set()
    one, started_one = flights.board("one", work)
    other, started_other = flights.board("other", work)
    assert (started_one, started_other) == (True, True)
    assert {await one.land(no_progress), await other.land(no_progress)} == {"result 1", "result 2"}


async def test_after_landing_the_next_caller_flies_again(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    work.leave.set()
    first, _ = flights.board("key", work)
    assert await first.land(no_progress) == "result 1"
    second, started = flights.board("key", work)
    assert started
    assert await second.land(no_progress) == "result 2"


async def test_a_landed_flight_still_gives_its_result(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    work.leave.set()
    flight, _ = flights.board("key", work)
    await flight.land(no_progress)
    assert await flight.land(no_progress) == "result 1"


async def test_caller_that_gives_up_does_not_end_the_flight(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    flight, _ = flights.board("key", work)
    with anyio.CancelScope() as impatient:
        async with anyio.create_task_group() as callers:
            callers.start_soon(flight.land, no_progress)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel()
    assert (work.begun, work.ended) == (1, 0)
    again, started = flights.board("key", work)
    assert not started
    work.leave.set()
    assert await again.land(no_progress) == "result 1"


async def test_flight_without_callers_goes_on(flights: SingleFlight[str], work: HeldWork) -> None:
    flights.board("key", work)
    await anyio.wait_all_tasks_blocked()
    work.leave.set()
    await anyio.wait_all_tasks_blocked()
    assert work.ended == 1


async def test_progress_reaches_all_who_wait(flights: SingleFlight[str], work: HeldWork) -> None:
    listeners = [Listener() for _ in range(5)]
    flight, _ = flights.board("key", work)
    async with anyio.create_task_group() as callers:
        for listener in listeners:
            callers.start_soon(flight.land, listener)
        await anyio.wait_all_tasks_blocked()
        work.leave.set()
    assert [listener.heard[-1] for listener in listeners] == [(1.0, 1.0, None)] * 5


async def test_who_boards_late_hears_what_is_still_to_come(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    early, late = Listener(), Listener()
    flight, _ = flights.board("key", work)
    async with anyio.create_task_group() as callers:
        callers.start_soon(flight.land, early)
        await anyio.wait_all_tasks_blocked()
        callers.start_soon(flight.land, late)
        await anyio.wait_all_tasks_blocked()
        work.leave.set()
    assert late.heard == [(1.0, 1.0, None)]
    assert early.heard[-1:] == late.heard


async def test_who_gave_up_hears_nothing_more(flights: SingleFlight[str], work: HeldWork) -> None:
    impatient = Listener()
    flight, _ = flights.board("key", work)
    async with anyio.create_task_group() as callers:
        callers.start_soon(flight.land, impatient)
        await anyio.wait_all_tasks_blocked()
        callers.cancel_scope.cancel()
    heard = list(impatient.heard)
    work.leave.set()
    await flight.land(no_progress)
    assert impatient.heard == heard


async def test_listener_that_fails_does_not_stop_the_others(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    listener = Listener()
    results: list[str] = []
    flight, _ = flights.board("key", work)

    async def call(hearing: Progress) -> None:
        results.append(await flight.land(hearing))

    async with anyio.create_task_group() as callers:
        for hearing in (gone, listener, gone):
            callers.start_soon(call, hearing)
        await anyio.wait_all_tasks_blocked()
        work.leave.set()
    assert results == ["result 1"] * 3
    assert listener.heard[-1] == (1.0, 1.0, None)


async def test_listener_that_blocks_delays_the_others_only_briefly(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    listener = Listener()
    work.leave.set()
    flight, _ = flights.board("key", work)
    async with anyio.create_task_group() as callers:
        callers.start_soon(flight.land, stuck)
        callers.start_soon(flight.land, listener)
        with anyio.fail_after(30):
            await flight.done.wait()
    assert listener.heard[-1] == (1.0, 1.0, None)


async def test_an_error_reaches_all_and_is_not_kept(
    flights: SingleFlight[str], work: HeldWork
) -> None:
    work.error = ValueError("upstream said no")
    errors: list[str] = []

    async def call() -> None:
        flight, _ = flights.board("key", work)
        try:
            await flight.land(no_progress)
        except ValueError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as callers:
        for _ in range(5):
            callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        work.leave.set()
    assert errors == ["upstream said no"] * 5
    work.error = None
    flight, started = flights.board("key", work)
    assert started
    assert await flight.land(no_progress) == "result 2"


async def test_nothing_is_a_result_too(tasks: TaskGroup) -> None:
    async def nothing(progress: Progress) -> None:
        """Bring nothing."""

    flights: SingleFlight[None] = SingleFlight(tasks)
    flight, _ = flights.board("key", nothing)
    await flight.land(no_progress)
    assert (flight.result, flight.error) == (None, None)


async def test_cancelling_all_flights_ends_every_wait(work: HeldWork) -> None:
    errors: list[str] = []
    async with anyio.create_task_group() as callers, anyio.create_task_group() as tasks:
        flights: SingleFlight[str] = SingleFlight(tasks)

        async def call() -> None:
            flight, _ = flights.board("key", work)
            with pytest.raises(RuntimeError) as error:
                await flight.land(no_progress)
            errors.append(str(error.value))

        for _ in range(3):
            callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert errors == ["the flight was cancelled"] * 3
    assert (work.begun, work.ended) == (1, 0)


async def test_a_flight_that_is_cancelled_before_it_began_ends_too(work: HeldWork) -> None:
    async with anyio.create_task_group() as tasks:
        flight, _ = SingleFlight[str](tasks).board("key", work)
        tasks.cancel_scope.cancel()
    with pytest.raises(RuntimeError, match="the flight was cancelled"):
        await flight.land(no_progress)

"""A lease that is not needed any more is always released."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from context7_fabric.answers.cross_process import FlightLeases
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.leases import Lease, lease_address

LONG = 60.0


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(MemoryBackend())


async def nothing() -> None:
    """A look that finds nothing yet."""


async def taken(leases: FlightLeases) -> Lease:
    """The lease of a flight without other callers."""
    lease, found = await leases.take("flight", nothing, LONG)
    assert lease is not None
    assert found is None
    return lease


async def test_who_finds_nothing_has_it(fabric: Fabric) -> None:
    async with anyio.create_task_group() as tasks:
        leases = FlightLeases(fabric, tasks, ChangeFeed(fabric.backend))
        await taken(leases)
        assert await leases.take("flight", nothing, 0.01) == (None, None)


async def test_who_finds_something_gives_it_back(fabric: Fabric) -> None:
    async def brought() -> str:
        return "text"

    async with anyio.create_task_group() as tasks:
        leases = FlightLeases(fabric, tasks, ChangeFeed(fabric.backend))
        assert await leases.take("flight", brought, LONG) == (None, "text")
        await taken(leases)


async def test_who_runs_out_of_time_while_looking_gives_it_back(fabric: Fabric) -> None:
    async def slowly() -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        leases = FlightLeases(fabric, tasks, ChangeFeed(fabric.backend))
        assert await leases.take("flight", slowly, 0.01) == (None, None)
        await taken(leases)


async def test_who_can_hear_it_takes_it_when_it_is_free(fabric: Fabric) -> None:
    news = ChangeFeed(fabric.backend)
    news.is_live = True
    async with anyio.create_task_group() as tasks:
        leases, later = FlightLeases(fabric, tasks, news), list[Lease]()

        async def wait() -> None:
            later.append(await taken(leases))

        first = await taken(leases)
        with anyio.fail_after(30):
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            async with leases.held(first):
                pass
            for ear in news._listeners:
                ear.receive((lease_address("flight"),))
            await anyio.wait_all_tasks_blocked()
        assert len(later) == 1


class Slow(MemoryBackend):
    """Once it holds, a write lands when it is released, even if its caller has given up by then."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = False
        self.begun, self.may_land = anyio.Event(), anyio.Event()

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        if self.holds:
            self.begun.set()
            with anyio.CancelScope(shield=True):
                await self.may_land.wait()
        await super().write(puts, deletes)


async def test_a_renewal_that_is_under_way_does_not_bring_back_what_was_given_back() -> None:
    backend = Slow()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            leases = FlightLeases(Fabric(backend), tasks, ChangeFeed(backend), renew_every=0.0)
            lease = await taken(leases)
            backend.holds = True

            async def fly() -> None:
                async with leases.held(lease):
                    await backend.begun.wait()

            tasks.start_soon(fly)
            await anyio.wait_all_tasks_blocked()
            backend.may_land.set()
        assert await backend.get(lease_address("flight")) is None


async def test_a_lease_that_was_lost_is_renewed_no_more_and_left_to_who_has_it(
    fabric: Fabric,
) -> None:
    backend = fabric.backend
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            ours, theirs = (
                FlightLeases(fabric, tasks, ChangeFeed(backend), renew_every=0.0)
                for _process in range(2)
            )
            lost = await taken(ours)
            await backend.delete(lease_address("flight"))  # as at its end
            await taken(theirs)
            entry = await backend.get(lease_address("flight"))
            async with ours.held(lost):
                await anyio.wait_all_tasks_blocked()  # they never are while a lease is renewed
            assert await backend.get(lease_address("flight")) == entry


async def test_a_lease_is_given_back_where_nothing_could_be_renewed_any_more(
    fabric: Fabric,
) -> None:
    async with anyio.create_task_group() as tasks:
        leases = FlightLeases(fabric, tasks, ChangeFeed(fabric.backend))
        lease = await taken(leases)
        tasks.cancel_scope.cancel()
        async with leases.held(lease):
            pass
    assert await fabric.backend.get(lease_address("flight")) is None

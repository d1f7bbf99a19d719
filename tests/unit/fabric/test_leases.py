"""A lease is one holder's: nobody else renews it, gives it back, or takes it over as well."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio

from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.leases import holder, lease_address
from contracts.entries import got, put
from unit.fabric.fakes import Broken, FakeClock

WORK = lease_address("work")


def dead() -> bytes:
    """What a process of this machine signed that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return holder().replace(str(os.getpid()).encode(), str(process.pid).encode(), 1)


def of_an_earlier_release(signed: bytes) -> bytes:
    """How a release before leases had tokens signed for the same process."""
    who, _, machine = signed.partition(b" ")
    return who.partition(b".")[0] + b" " + machine


async def test_one_has_the_lease_until_it_is_given_back(fabric: Fabric) -> None:
    lease = await fabric.lease("work", 60)
    assert lease
    assert not await fabric.lease("work", 60)
    assert await fabric.lease("other work", 60)
    await lease.release()
    assert await fabric.lease("work", 60)


async def test_a_lease_ends_by_itself(fabric: Fabric) -> None:
    await fabric.lease("work", -1)
    assert await fabric.lease("work", 60)


async def test_a_renewed_lease_lasts_for_as_long_as_was_said_last(fabric: Fabric) -> None:
    lease = await fabric.lease("work", 60)
    assert lease
    assert await lease.renew(60)
    assert not await fabric.lease("work", 60)
    assert await lease.renew(-1)
    assert await fabric.lease("work", 60)


async def test_one_that_ran_out_and_is_nobodys_is_had_again_by_renewing(fabric: Fabric) -> None:
    lease = await fabric.lease("work", -1)
    assert lease
    assert await lease.renew(60)
    assert not await fabric.lease("work", 60)
    await lease.release()
    assert await fabric.lease("work", 60)


async def test_a_lease_is_no_entry_of_any_scope(fabric: Fabric) -> None:
    await fabric.lease("work", 60)
    assert [key for scope in Scope for key in await fabric.keys(scope)] == []


async def test_giving_back_twice_is_giving_back(fabric: Fabric) -> None:
    lease = await fabric.lease("work", 60)
    assert lease
    await lease.release()
    await lease.release()
    assert fabric.faults.count == 0


async def test_who_was_suspended_neither_renews_nor_gives_back_anothers_lease(
    fabric: Fabric,
) -> None:
    late = await fabric.lease("work", -1)
    assert late
    assert await fabric.lease("work", 60)
    taken = await fabric.backend.get(WORK)
    assert not await late.renew(-1)
    await late.release()
    assert await fabric.backend.get(WORK) == taken


async def test_work_goes_on_when_leases_cannot_be_had(clock: FakeClock) -> None:
    fabric = Fabric(Broken(), clock)
    lease = await fabric.lease("work", 60)
    assert lease
    assert await lease.renew(60)
    await lease.release()
    assert fabric.faults.count == 3


async def test_a_lease_is_taken_over_at_once_from_a_process_that_has_died(fabric: Fabric) -> None:
    await put(fabric.backend, WORK, dead(), expires_in=60)
    lease = await fabric.lease("work", 60)
    assert lease
    assert not await fabric.lease("work", 60)
    await lease.release()
    assert await fabric.lease("work", 60)


class Meeting(MemoryBackend):
    """Whoever reads waits until so many have."""

    def __init__(self, readers: int) -> None:
        super().__init__()
        self.readers = readers
        self.all_have_read = anyio.Event()

    async def get(self, key: str) -> BackendEntry | None:
        entry = await super().get(key)
        self.readers -= 1
        if self.readers <= 0:
            self.all_have_read.set()
        await self.all_have_read.wait()
        return entry


async def test_of_all_who_find_a_dead_holder_one_takes_over(clock: FakeClock) -> None:
    backend, taken = Meeting(3), list[bool]()
    await backend.add(WORK, dead(), expires_in=60)

    async def take() -> None:
        taken.append(bool(await Fabric(backend, clock).lease("work", 60)))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take)
    assert sorted(taken) == [False, False, True]


async def test_a_lease_of_an_earlier_release_is_respected_until_its_end(fabric: Fabric) -> None:
    theirs = of_an_earlier_release(holder())
    await put(fabric.backend, WORK, theirs, expires_in=60)
    assert not await fabric.lease("work", 60)
    await put(fabric.backend, WORK, theirs, expires_in=-1)
    assert await fabric.lease("work", 60)


async def test_a_lease_of_an_earlier_release_whose_process_has_died_is_taken_over(
    fabric: Fabric,
) -> None:
    await put(fabric.backend, WORK, of_an_earlier_release(dead()), expires_in=60)
    assert await fabric.lease("work", 60)


async def test_an_earlier_release_that_renews_over_ours_has_it(fabric: Fabric) -> None:
    lease = await fabric.lease("work", 60)
    assert lease
    theirs = of_an_earlier_release(holder())
    await put(fabric.backend, WORK, theirs, expires_in=60)
    assert not await lease.renew(60)
    await lease.release()
    assert await got(fabric.backend, WORK) == theirs

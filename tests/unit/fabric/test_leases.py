"""Only the holder of a lease renews or releases it; one process at a time holds it."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio

from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.leases import lease_address, new_signature
from contracts.entries import put
from unit.fabric.fakes import Broken, FakeClock

WORK = lease_address("work")


def dead() -> bytes:
    """The signature of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return new_signature().replace(str(os.getpid()).encode(), str(process.pid).encode(), 1)


async def test_a_lease_is_exclusive_until_its_release(fabric: Fabric) -> None:
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


async def test_renewing_an_expired_free_lease_takes_it_again(fabric: Fabric) -> None:
    lease = await fabric.lease("work", -1)
    assert lease
    assert await lease.renew(60)
    assert not await fabric.lease("work", 60)
    await lease.release()
    assert await fabric.lease("work", 60)


async def test_a_lease_is_no_entry_of_any_scope(fabric: Fabric) -> None:
    await fabric.lease("work", 60)
    assert [key for scope in Scope for key in await fabric.keys(scope)] == []


async def test_a_second_release_does_nothing(fabric: Fabric) -> None:
    lease = await fabric.lease("work", 60)
    assert lease
    await lease.release()
    await lease.release()
    assert fabric.faults.count == 0


async def test_a_suspended_holder_neither_renews_nor_releases_anothers_lease(
    fabric: Fabric,
) -> None:
    late = await fabric.lease("work", -1)
    assert late
    assert await fabric.lease("work", 60)
    taken = await fabric.backend.get(WORK)
    assert not await late.renew(-1)
    await late.release()
    assert await fabric.backend.get(WORK) == taken


async def test_a_failing_store_grants_every_lease(clock: FakeClock) -> None:
    fabric = Fabric(Broken(), clock)
    lease = await fabric.lease("work", 60)
    assert lease
    assert await lease.renew(60)
    await lease.release()
    assert fabric.faults.count == 3


async def test_a_lease_of_a_dead_process_is_taken_at_once(fabric: Fabric) -> None:
    await put(fabric.backend, WORK, dead(), expires_in=60)
    lease = await fabric.lease("work", 60)
    assert lease
    assert not await fabric.lease("work", 60)
    await lease.release()
    assert await fabric.lease("work", 60)


class Meeting(MemoryBackend):
    """Lets reads return once there were as many as `readers`."""

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

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take)
    assert sorted(taken) == [False, False, True]

"""Leases of processes that have died."""

import os
import subprocess
import sys

import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.holders import has_died, holder
from support.scripted import FakeClock


def dead() -> bytes:
    """What a process of this machine signed that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return holder().replace(str(os.getpid()).encode(), str(process.pid).encode(), 1)


def test_a_living_process_has_not_died() -> None:
    assert not has_died(holder())


def test_one_that_is_gone_has() -> None:
    assert has_died(dead())


def test_of_another_machine_nobody_knows() -> None:
    assert not has_died(dead() + b" elsewhere")


@pytest.mark.parametrize("signed", [b"", b"1", b"x y", b"\xff \xff", b"-1 here"])
def test_what_nobody_signed_is_nobody_dead(signed: bytes) -> None:
    assert not has_died(signed)


async def test_a_lease_is_taken_over_at_once_from_a_process_that_has_died() -> None:
    clock, backend = FakeClock(), MemoryBackend()
    await backend.add("lease/docs", dead(), expires_in=5)
    async with Fabric(backend, clock) as fabric:
        assert await fabric.lease("docs", 5)
        assert not await fabric.lease("docs", 5)


async def test_a_lease_of_a_living_process_is_respected() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        assert await fabric.lease("docs", 5)
        assert not await fabric.lease("docs", 5)
        await fabric.release("docs")
        assert await fabric.lease("docs", 5)

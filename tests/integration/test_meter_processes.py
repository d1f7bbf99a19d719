"""Counts of several processes on one store, one of which is killed while it counts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio

from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.upstream.quota import Quota, Usage

COUNTING = """
import sys, time, anyio
from pathlib import Path
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.upstream.quota import Quota

async def main(folder, calls):
    async with Fabric(DiskBackend(Path(folder)), time.time) as fabric:
        quota = Quota(fabric, time.time, "", None)
        for number in range(calls):
            quota.count_call()
            await quota.flush()
            print(number + 1, flush=True)

anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""
PROCESSES, CALLS = 3, 25


def test_counts_of_processes_of_which_one_is_killed_are_the_sum(tmp_path: Path) -> None:
    folder = tmp_path / "fabric"
    running = [started(folder, CALLS) for _ in range(PROCESSES - 1)]
    doomed = started(folder, 10**6)
    assert doomed.stdout is not None
    for _line in range(CALLS):
        doomed.stdout.readline()
    doomed.send_signal(signal.SIGKILL)
    said = CALLS + len(doomed.stdout.read().splitlines())
    for each in (*running, doomed):
        each.communicate()
    assert [each.returncode for each in running] == [0] * len(running)
    usage, keys = anyio.run(counted, folder)
    # It may have been killed after a write and before the line about it.
    assert usage.calls - CALLS * len(running) in (said, said + 1)
    assert len(keys) == 1


def started(folder: Path, calls: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(folder), str(calls)], stdout=subprocess.PIPE, text=True
    )


async def counted(folder: Path) -> tuple[Usage, list[str]]:
    """Return the sum that all processes counted, and the keys of the rows."""
    async with Fabric(DiskBackend(folder), time.time) as fabric:
        usage = await Quota(fabric, time.time, PUBLIC, None).month()
        return usage, await fabric.keys(Scope.GLOBAL, "meter:")

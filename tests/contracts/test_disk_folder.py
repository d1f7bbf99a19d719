"""The folder of the backend on disk: kept, shared, private, and refused when it cannot be used."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from contracts.disk_store import LARGE, execute, opened
from contracts.entries import got, put, put_many
from support.processes import spawn

LONG = 3600.0
LEASES = 100

SWAPPING = f"""
import os, sys, anyio
from pathlib import Path
from context7_fabric.fabric.backends.disk.backend import DiskBackend

async def main():
    backend, mine = DiskBackend(Path(sys.argv[1])), str(os.getpid()).encode()
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum([await backend.swap(f"{{each}}", b"old", mine) for each in range({LEASES})]))
    await backend.aclose()

anyio.run(main)
"""


async def test_a_reopened_folder_has_what_was_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await put(first, "small", b"1")
        await put(first, "large", LARGE)
    async with opened(tmp_path) as second:
        assert (await got(second, "small"), await got(second, "large")) == (b"1", LARGE)


async def test_two_backends_on_one_folder_see_each_others_writes(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await put(one, "key", b"one")
        assert await got(other, "key") == b"one"
        await put(other, "key", b"two")
        assert await got(one, "key") == b"two"
        await one.delete("key")
        assert await other.keys("") == []


async def test_only_one_of_two_backends_on_one_folder_takes_a_key(tmp_path: Path) -> None:
    taken: list[bool] = []

    async def take(backend: DiskBackend) -> None:
        taken.append(await backend.add("lease", b"mine", expires_in=LONG))

    async with opened(tmp_path) as one, opened(tmp_path) as other:
        async with anyio.create_task_group() as tasks:
            for backend in (one, other) * 5:
                tasks.start_soon(take, backend)
        assert taken.count(True) == 1


async def test_only_one_of_two_backends_on_one_folder_replaces_a_value(tmp_path: Path) -> None:
    taken: list[bool] = []

    async def take(backend: DiskBackend, mine: bytes) -> None:
        taken.append(await backend.swap("lease", b"old", mine, expires_in=LONG))

    async with opened(tmp_path) as one, opened(tmp_path) as other:
        for _round in range(10):
            await put(one, "lease", b"old")
            async with anyio.create_task_group() as tasks:
                for number, backend in enumerate((one, other) * 5):
                    tasks.start_soon(take, backend, b"%d" % number)
    assert taken.count(True) == 10


def test_of_several_processes_on_one_folder_one_replaces_a_value(tmp_path: Path) -> None:
    anyio.run(_old_leases, tmp_path)
    with ExitStack() as stack:
        command = [sys.executable, "-c", SWAPPING, str(tmp_path)]
        processes = [stack.enter_context(spawn(command, os.environ)) for _ in range(3)]
        for process in processes:
            process.out.wait_for("ready")
        for process in processes:
            process.send("go")
        swapped = [int(process.out.wait_for(r"^\d+$")[0]) for process in processes]
    assert sum(swapped) == LEASES


async def test_another_process_sees_what_was_written(tmp_path: Path) -> None:
    program = (
        "import sys, anyio; from pathlib import Path;"
        "from context7_fabric.fabric.backends.disk.backend import DiskBackend;"
        "print(anyio.run(DiskBackend(Path(sys.argv[1])).get, 'key').value)"
    )
    async with opened(tmp_path) as backend:
        await put(backend, "key", b"value")
        command = [sys.executable, "-c", program, str(tmp_path)]
        ended = await anyio.run_process(command, stderr=subprocess.STDOUT)
    assert ended.stdout.decode().strip() == "b'value'"


async def test_folder_and_database_are_private_to_their_user(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "fabric"
    async with opened(folder) as backend:
        await put(backend, "key", b"value")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {_mode(path) for path in folder.glob("cache.db*")} == {0o600}


async def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "fabric"
    folder.mkdir(mode=0o755)
    async with opened(folder) as backend:
        await put(backend, "large", LARGE)
        assert _mode(folder) == 0o700


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_created_raises_store_unavailable(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="store open failed"):
        DiskBackend(tmp_path / place)


def test_a_folder_without_room_for_files_raises_store_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="store open failed"):
        DiskBackend(Path("/proc/self/fabric"))


async def test_a_database_that_breaks_later_raises_store_unavailable(tmp_path: Path) -> None:
    async with opened(tmp_path) as backend:
        execute(tmp_path, "DROP TABLE Cache")
        for attempt in (backend.get("key"), backend.keys(""), backend.delete("key")):
            with pytest.raises(StoreUnavailable):
                await attempt


async def _old_leases(folder: Path) -> None:
    async with opened(folder) as backend:
        await put_many(backend, {f"{each}": b"old" for each in range(LEASES)})


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)

"""The backend on disk keeps to its bound: what was used longest ago goes, authored entries stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from context7_fabric.errors import TooManyAuthored, TooMuchAuthored
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from contracts.disk_store import LARGE, execute, value_file, value_files
from contracts.entries import put

ROOM = 30
"""Number of large values that have room."""


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[DiskBackend]:
    backend = DiskBackend(tmp_path, size_limit=ROOM * len(LARGE), authored_limit=3)
    yield backend
    await backend.aclose()


def used_long_ago(folder: Path, *keys: str) -> None:
    """Set the times of last use, two hours back, in the order of the keys."""
    for number, key in enumerate(keys):
        execute(
            folder,
            "UPDATE Cache SET access_time = access_time - 7200 + ? WHERE key = ?",
            number,
            key,
        )


async def test_what_was_used_longest_ago_makes_room(tmp_path: Path, backend: DiskBackend) -> None:
    old = [f"old/{number:02}" for number in range(20)]
    await backend.write([WriteRequest(key, LARGE) for key in old])
    used_long_ago(tmp_path, *old)
    assert await backend.get("old/00")
    assert await backend.get_many(["old/01"])
    for number in range(20):
        await put(backend, f"new/{number:02}", LARGE)
    kept = sorted(await backend.keys("old/"))
    assert kept == ["old/00", "old/01", *old[len(old) - len(kept) + 2 :]]
    assert 5 <= len(kept) <= 10
    assert len(await backend.keys("new/")) == 20


async def test_reading_a_small_entry_counts_as_use(tmp_path: Path, backend: DiskBackend) -> None:
    await backend.write([WriteRequest("a", b""), WriteRequest("b", b"")])
    used_long_ago(tmp_path, "a", "b")
    await backend.get("a")
    await backend.get("a")
    rows = execute(tmp_path, "SELECT key FROM Cache ORDER BY access_time")
    assert rows == [("b",), ("a",)]


async def test_the_folder_stays_within_its_bound(backend: DiskBackend) -> None:
    for number in range(3 * ROOM):
        await put(backend, f"{number:02}", LARGE)
        size = backend.info()["memory"]
        assert isinstance(size, int)
        assert size <= (ROOM + 1) * len(LARGE)
    assert len(await backend.keys("")) >= ROOM - 2


async def test_what_has_ended_goes_first(tmp_path: Path, backend: DiskBackend) -> None:
    await put(backend, "ended", LARGE, expires_in=60)
    path = value_file(tmp_path)
    execute(tmp_path, "UPDATE Cache SET expire_time = 1.0")
    await put(backend, "other", b"")
    assert not path.exists()
    assert execute(tmp_path, "SELECT count(*) FROM Cache") == [(1,)]


async def test_authored_entries_outlive_any_number_of_others(
    tmp_path: Path, backend: DiskBackend
) -> None:
    await backend.write([WriteRequest("prompt", b"authored", disposable=False)])
    used_long_ago(tmp_path, "prompt")
    for number in range(3 * ROOM):
        await put(backend, f"{number:02}", LARGE)
    assert await backend.get("prompt") == BackendEntry("prompt", b"authored")


async def test_too_many_authored_entries_are_refused_and_nothing_of_the_write_is_kept(
    tmp_path: Path, backend: DiskBackend
) -> None:
    await backend.write([WriteRequest(key, LARGE, disposable=False) for key in ("a", "b", "c")])
    new = [WriteRequest(key, LARGE, disposable=False) for key in ("c", "d", "e")]
    with pytest.raises(TooManyAuthored, match="holds 3 entries"):
        await backend.write(new, ["a"])
    assert len(value_files(tmp_path)) == 3
    assert await backend.get_many(["a", "b", "c"]) == [
        BackendEntry(key, LARGE) for key in ("a", "b", "c")
    ]
    await backend.write([WriteRequest("a", b"2", disposable=False)])
    await backend.write([WriteRequest("d", b"", disposable=False)], ["b"])
    assert sorted(await backend.keys("")) == ["a", "c", "d"]


async def test_the_cap_counts_what_every_process_wrote(
    tmp_path: Path, backend: DiskBackend
) -> None:
    other = DiskBackend(tmp_path, authored_limit=3)
    await other.write([WriteRequest(key, b"", disposable=False) for key in ("a", "b", "c")])
    await other.aclose()
    with pytest.raises(TooManyAuthored):
        await backend.write([WriteRequest("d", b"", disposable=False)])


async def test_an_entry_without_a_tag_is_disposable_and_at_version_one(
    tmp_path: Path, backend: DiskBackend
) -> None:
    await backend.write([WriteRequest("key", b"old", disposable=False)])
    execute(tmp_path, "UPDATE Cache SET tag = NULL")
    assert await backend.get("key") == BackendEntry("key", b"old", version=1)
    await put(backend, "key", b"new")
    assert await backend.get("key") == BackendEntry("key", b"new", version=2)


async def test_an_entry_is_read_while_another_process_writes(
    tmp_path: Path, backend: DiskBackend
) -> None:
    await put(backend, "key", b"value")
    other = DiskBackend(tmp_path)
    with other._table.file.transact():
        assert await backend.get("key") == BackendEntry("key", b"value")
    await other.aclose()


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [
        ([10, 4], True),
        ([10, 6], False),
        ([16], False),
        ([1] * 15, True),
        ([1] * 16, False),
    ],
)
async def test_authored_entries_take_half_of_the_bound_at_most(
    tmp_path: Path, sizes: list[int], fits: bool
) -> None:
    backend = DiskBackend(tmp_path, size_limit=ROOM * len(LARGE))
    puts = [
        WriteRequest(f"{number}", LARGE * size, disposable=False)
        for number, size in enumerate(sizes)
    ]
    if fits:
        await backend.write(puts)
    else:
        with pytest.raises(TooMuchAuthored, match=r"would take 2,097,152 bytes, and 1,966,080 are"):
            await backend.write(
                [*puts[:-1], WriteRequest("last", LARGE * (16 - sum(sizes[:-1])), disposable=False)]
            )
        assert await backend.keys("") == []
    await backend.aclose()


async def test_authored_entries_beyond_the_bound_leave_half_of_it_to_others(
    tmp_path: Path,
) -> None:
    """As a store with a larger limit may have them."""
    large = DiskBackend(tmp_path, size_limit=10 * ROOM * len(LARGE))
    await large.write([WriteRequest(f"a/{n}", LARGE, disposable=False) for n in range(2 * ROOM)])
    await large.aclose()
    backend = DiskBackend(tmp_path, size_limit=ROOM * len(LARGE))
    for number in range(ROOM):
        await put(backend, f"new/{number:02}", LARGE)
    kept = await backend.keys("new/")
    assert ROOM // 2 - 2 <= len(kept) <= ROOM // 2 + 1
    assert f"new/{ROOM - 1:02}" in kept
    assert len(await backend.keys("a/")) == 2 * ROOM
    await backend.aclose()


@pytest.mark.parametrize("value", ["text", None, -5, 1e18])
async def test_a_count_of_bytes_that_cannot_be_evicts_nothing(
    tmp_path: Path, value: object
) -> None:
    backend = DiskBackend(tmp_path, size_limit=ROOM * len(LARGE))
    await backend.write([WriteRequest(f"{number}", LARGE) for number in range(9)])
    execute(tmp_path, "UPDATE Settings SET value = ? WHERE key = 'size'", value)
    await put(backend, "9", LARGE)
    assert len(await backend.keys("")) == 10
    await backend.aclose()


@pytest.mark.parametrize("ahead", [30 * 86_400, 400, 3e9])
async def test_a_lease_from_a_clock_that_was_ahead_is_replaced(
    tmp_path: Path, ahead: float
) -> None:
    backend = DiskBackend(tmp_path)
    assert await backend.add("lease", b"one", expires_in=60)
    assert not await backend.add("lease", b"two", expires_in=60)
    execute(tmp_path, "UPDATE Cache SET expire_time = expire_time + ?", ahead)
    assert await backend.add("lease", b"two", expires_in=60)
    assert not await backend.add("lease", b"three", expires_in=60)
    await backend.aclose()

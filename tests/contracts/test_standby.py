"""Memory stands in for a store that cannot be opened, and gives way when it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.disk.backend import RETRY_SECONDS, DiskBackend
from context7_fabric.fabric.backends.standby import StandbyBackend
from contracts.backend_contract import BackendContract
from contracts.entries import got, held, put

WHY = "nothing is kept"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def free(folder: Path) -> None:
    folder.unlink()


def is_there(folder: Path) -> bool:
    return folder.exists()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that cannot be made: a file is in its place."""
    (tmp_path / "fabric").write_text("")
    return tmp_path / "fabric"


@pytest.fixture
async def standby(folder: Path, clock: Clock) -> AsyncIterator[StandbyBackend]:
    backend = StandbyBackend(partial(DiskBackend, folder), WHY, clock)
    yield backend
    await backend.aclose()


class TestOpenedStandby(BackendContract):
    @pytest.fixture
    async def backend(self, folder: Path, clock: Clock, standby: StandbyBackend) -> StandbyBackend:
        free(folder)
        clock.now = RETRY_SECONDS
        assert await standby.get("key") is None
        assert standby.trouble() is None
        return standby


async def test_a_standby_takes_what_may_be_lost_and_refuses_the_rest(
    standby: StandbyBackend,
) -> None:
    await put(standby, "answer", b"1")
    assert await got(standby, "answer") == b"1"
    with pytest.raises(StoreUnavailable, match=WHY):
        await standby.write([WriteRequest("prompt", b"1", disposable=False)])
    assert standby.trouble() == WHY
    assert standby.revision() is None


@pytest.mark.parametrize("seconds", [0.0, 1.0, RETRY_SECONDS - 1])
async def test_a_store_is_not_tried_again_within_a_minute(
    standby: StandbyBackend, folder: Path, clock: Clock, seconds: float
) -> None:
    free(folder)
    clock.now = seconds
    await put(standby, "key", b"1")
    assert standby.trouble() == WHY
    assert not is_there(folder)


async def test_what_was_held_goes_to_the_store_when_it_can_be_opened(
    standby: StandbyBackend, folder: Path, clock: Clock
) -> None:
    await put(standby, "held", b"1")
    await put(standby, "ending", b"2", expires_in=3600)
    clock.now = RETRY_SECONDS
    assert await got(standby, "held") == b"1"  # it still cannot
    free(folder)
    clock.now = 2 * RETRY_SECONDS
    await standby.write([WriteRequest("prompt", b"3", disposable=False)])
    following = DiskBackend(folder)
    assert held(await following.get_many(["held", "ending", "prompt"])) == {
        "held": b"1",
        "ending": b"2",
        "prompt": b"3",
    }
    await following.aclose()


@pytest.fixture
async def overlaid(tmp_path: Path, clock: Clock) -> AsyncIterator[StandbyBackend]:
    """A standby above a store that holds `below`, `both` and `last`, and takes no writes."""
    folder = tmp_path / "readable"
    filled = DiskBackend(folder)
    for number, key in enumerate(("below", "both", "last")):
        await filled.write([WriteRequest(key, b"old", at=float(number))])
    await filled.aclose()
    backend = StandbyBackend(partial(DiskBackend, folder), WHY, clock, readable=DiskBackend(folder))
    await backend.write(
        [WriteRequest("above", b"new", at=9.0), WriteRequest("both", b"new", at=8.0)]
    )
    yield backend
    await backend.aclose()


async def test_a_standby_above_a_readable_store_reads_both_and_its_own_first(
    overlaid: StandbyBackend,
) -> None:
    values = {"above": b"new", "below": b"old", "both": b"new", "last": b"old"}
    assert held(await overlaid.get_many(list(values))) == values
    assert {key: await got(overlaid, key) for key in values} == values
    assert sorted(await overlaid.keys("")) == sorted(values)


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
async def test_a_standby_above_a_readable_store_pages_through_each_key_once(
    overlaid: StandbyBackend, limit: int
) -> None:
    by_key, by_time, after, place = [], [], None, None
    while True:
        page, after = await overlaid.items("", after, limit)
        by_key += [entry.key for entry in page]
        if after is None:
            break
    while places := await overlaid.newest("", place, limit):
        by_time += [each.key for each in places]
        place = places[-1]
    assert by_key == ["above", "below", "both", "last"]
    assert by_time == ["above", "both", "last", "below"]


async def test_a_standby_above_a_readable_store_removes_only_what_is_its_own(
    overlaid: StandbyBackend,
) -> None:
    assert await overlaid.delete("above")
    for key in ("below", "both"):
        with pytest.raises(StoreUnavailable):
            await overlaid.delete(key)
    assert not await overlaid.add("last", b"1", expires_in=9)
    assert not await overlaid.swap("last", b"other", b"1")
    assert await overlaid.swap("last", b"old", b"1")
    assert await got(overlaid, "last") == b"1"

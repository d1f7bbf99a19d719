"""Memory stands in for a store that cannot be opened, and gives way when it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.base import Put
from context7_fabric.fabric.backends.disk import TRY_EVERY, DiskBackend
from context7_fabric.fabric.backends.standby import Standby
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
async def standby(folder: Path, clock: Clock) -> AsyncIterator[Standby]:
    backend = Standby(partial(DiskBackend, folder), WHY, clock)
    yield backend
    await backend.aclose()


class TestStandbyThatGaveWay(BackendContract):
    @pytest.fixture
    async def backend(self, folder: Path, clock: Clock, standby: Standby) -> Standby:
        free(folder)
        clock.now = TRY_EVERY
        assert await standby.get("key") is None
        assert standby.trouble() is None
        return standby


async def test_a_standby_takes_what_may_be_lost_and_refuses_the_rest(standby: Standby) -> None:
    await put(standby, "answer", b"1")
    assert await got(standby, "answer") == b"1"
    with pytest.raises(StoreUnavailable, match=WHY):
        await standby.write([Put("prompt", b"1", disposable=False)])
    assert standby.trouble() == WHY
    assert standby.revision() is None


@pytest.mark.parametrize("seconds", [0.0, 1.0, TRY_EVERY - 1])
async def test_a_store_is_not_tried_again_within_a_minute(
    standby: Standby, folder: Path, clock: Clock, seconds: float
) -> None:
    free(folder)
    clock.now = seconds
    await put(standby, "key", b"1")
    assert standby.trouble() == WHY
    assert not is_there(folder)


async def test_what_was_held_goes_to_the_store_when_it_can_be_opened(
    standby: Standby, folder: Path, clock: Clock
) -> None:
    await put(standby, "held", b"1")
    await put(standby, "ending", b"2", expires_in=3600)
    clock.now = TRY_EVERY
    assert await got(standby, "held") == b"1"  # it still cannot
    free(folder)
    clock.now = 2 * TRY_EVERY
    await standby.write([Put("prompt", b"3", disposable=False)])
    following = DiskBackend(folder)
    assert held(await following.get_many(["held", "ending", "prompt"])) == {
        "held": b"1",
        "ending": b"2",
        "prompt": b"3",
    }
    await following.aclose()

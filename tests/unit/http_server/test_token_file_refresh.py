"""Delay until a change of the token file counts, and rejection while it cannot be read."""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from context7_fabric.http_server.token_file import LOOK_EVERY, TokenFile
from support.scripted import FakeClock


@pytest.fixture
def file(tmp_path: Path, clock: FakeClock) -> TokenFile:
    return TokenFile(tmp_path / "tokens", clock)


async def test_a_new_token_and_a_revoked_one_count_within_a_second(
    file: TokenFile, clock: FakeClock
) -> None:
    first = await anyio.to_thread.run_sync(file.add, "a")
    await file.refresh()
    assert file.owner_of(first) == "a"
    second = await anyio.to_thread.run_sync(file.add, "b")
    await anyio.to_thread.run_sync(file.revoke, "a")
    before = file.entries()
    clock.forward(LOOK_EVERY - 0.01)
    await file.refresh()
    assert file.entries() is before
    clock.forward(0.01)
    await file.refresh()
    assert [file.owner_of(token) for token in (first, second)] == [None, "b"]


async def test_a_file_that_stays_is_not_read_again(file: TokenFile, clock: FakeClock) -> None:
    await anyio.to_thread.run_sync(file.add, "a")
    await file.refresh()
    before = file.entries()
    clock.forward(LOOK_EVERY)
    await file.refresh()
    assert file.entries() is before


async def test_refresh_of_a_broken_file_accepts_no_token_and_logs_once_a_change(
    file: TokenFile, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    token = await anyio.to_thread.run_sync(file.add, "a")
    whole = await anyio.Path(file.path).read_text()
    logged: list[int] = []
    for text in (whole, "?", "?", "broken", whole, "?"):
        await _put(file.path, text)
        for _look in range(2):
            clock.forward(LOOK_EVERY)
            await file.refresh()
            assert file.owner_of(token) == ("a" if text == whole else None)
        logged.append(len(caplog.records))
    assert logged == [0, 1, 1, 2, 2, 3]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert caplog.messages[0].startswith(f"a token is left out: {file.path}, line 1: ")


async def test_refresh_without_the_file_accepts_no_token_until_it_is_back(
    file: TokenFile, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    token = await anyio.to_thread.run_sync(file.add, "a")
    path = anyio.Path(file.path)
    await path.rename(path.with_name("away"))
    for _look in range(2):
        await file.refresh()
        clock.forward(LOOK_EVERY)
        assert file.owner_of(token) is None
    assert len(caplog.records) == 1
    await path.with_name("away").rename(path)
    await file.refresh()
    assert file.owner_of(token) == "a"


async def test_what_cannot_be_read_for_a_moment_is_read_a_second_later(
    file: TokenFile, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await anyio.to_thread.run_sync(file.add, "a")

    def failing(*_arguments: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing)
        await file.refresh()
    assert file.owner_of(token) is None
    clock.forward(LOOK_EVERY)
    await file.refresh()
    assert file.owner_of(token) == "a"


async def test_refresh_that_takes_long_holds_up_no_other(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anyio.to_thread.run_sync(file.add, "a")
    go_on, looks = threading.Event(), []
    look = file._look

    def held(seen: object) -> object:
        looks.append(seen)
        go_on.wait(5)
        return look(file._list)

    monkeypatch.setattr(file, "_look", held)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(file.refresh)
        await anyio.wait_all_tasks_blocked()
        await file.refresh()
        assert file.names() == ()
        go_on.set()
    assert file.names() == ("a",)
    assert len(looks) == 1


async def _put(path: Path, text: str) -> None:
    """Write the text, with the same time for the same text."""
    await anyio.Path(path).write_text(text)
    times = (len(text), len(text))
    await anyio.to_thread.run_sync(lambda: os.utime(path, times))

"""End of the daemon: its conditions, and the files that it leaves."""

from __future__ import annotations

import fcntl
import json
import os

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup

from context7_fabric.daemon import server as host_module
from context7_fabric.relay import endpoint as door_module
from context7_fabric.relay.handshake import STOP
from support.house import House, let, status_of

SHORT = 0.1


class TestLeaving:
    async def test_daemon_without_clients_ends_when_idle(
        self, house: House, tasks: TaskGroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_module, "HELLO_SECONDS", SHORT)
        let(house, tasks, SHORT)
        await house.left()
        assert not house.socket.exists()

    async def test_it_does_not_leave_before_its_first_window_had_time_to_come(
        self, house: House, tasks: TaskGroup
    ) -> None:
        let(house, tasks, SHORT / 100)
        async with house.window() as window:
            await anyio.wait_all_tasks_blocked()
            await window.says(await house.hello())
            assert await window.hears() == b"welcome"
        await house.left()

    async def test_at_zero_it_never_leaves_by_itself(
        self, house: House, tasks: TaskGroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_module, "HELLO_SECONDS", SHORT)
        let(house, tasks, 0)
        with anyio.move_on_after(4 * SHORT):
            await house.ended.wait()
        assert not house.ended.is_set()

    async def test_it_leaves_when_its_socket_is_taken_away(
        self, house: House, tasks: TaskGroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_module, "LOOK_EVERY", SHORT)
        let(house, tasks, 0)
        async with house.window() as window:
            await window.says(await house.hello())
            assert await window.hears() == b"welcome"
            house.socket.unlink()
            assert await window.hears() is None
        await house.left()

    async def test_it_stays_as_long_as_there_is_a_window(
        self, house: House, tasks: TaskGroup
    ) -> None:
        let(house, tasks, SHORT)
        async with house.window() as window:
            await window.says(await house.hello())
            assert await window.hears() == b"welcome"
            with anyio.move_on_after(4 * SHORT):
                await house.ended.wait()
            assert not house.ended.is_set()
        await house.left()

    async def test_who_only_asks_how_it_is_does_not_keep_it(
        self, house: House, tasks: TaskGroup
    ) -> None:
        let(house, tasks, SHORT)
        async with house.window():
            await house.left()

    async def test_stop_request_is_answered_with_the_status_and_ends_the_clients(
        self, served: House
    ) -> None:
        async with served.window() as window, served.window() as visitor:
            await window.says(await served.hello())
            assert await window.hears() == b"welcome"
            await visitor.says(await served.hello(STOP))
            assert json.loads(await visitor.hears() or b"")["pid"] == os.getpid()
            assert await window.hears() is None
        await served.left()
        assert not served.socket.exists()

    async def test_a_socket_that_is_its_successors_is_left_alone(self, served: House) -> None:
        await status_of(served)
        served.socket.unlink()
        with await anyio.to_thread.run_sync(served.door.listen):
            served.host.stop()
            await served.left()
            assert served.socket.exists()

    async def test_without_a_socket_it_leaves_as_well(self, served: House) -> None:
        await status_of(served)
        served.socket.unlink()
        served.host.stop()
        await served.left()

    async def test_who_keeps_its_folder_locked_does_not_keep_it(
        self, served: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(door_module, "LAST_PATIENCE", SHORT)
        await status_of(served)
        lock = os.open(served.door.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            served.host.stop()
            await served.left()
        finally:
            os.close(lock)
        assert served.socket.exists()
        with await anyio.to_thread.run_sync(served.door.listen):
            pass

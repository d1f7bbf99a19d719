"""End of the daemon: its conditions, and the files that it leaves."""

from __future__ import annotations

import fcntl
import json
import os

import anyio
import anyio.abc
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import STOP
from support.local_daemon import LocalDaemon, start, status_of

LONG = 600.0
SHORT = 0.1


class TestLeaving:
    async def test_daemon_without_clients_ends_when_idle(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, SHORT, handshake=SHORT)
        await daemon.wait_ended()
        assert not daemon.socket.exists()

    async def test_it_does_not_leave_before_its_first_client_had_time_to_come(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, SHORT / 100)
        async with daemon.connection() as client:
            await anyio.wait_all_tasks_blocked()
            await client.send(await daemon.hello())
            assert await client.receive() == b"welcome"
        await daemon.wait_ended()

    async def test_at_zero_it_never_leaves_by_itself(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, 0, handshake=SHORT)
        with anyio.move_on_after(4 * SHORT):
            await daemon.ended.wait()
        assert not daemon.ended.is_set()

    async def test_it_leaves_when_its_socket_is_taken_away(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, 0, look_every=SHORT)
        async with daemon.connection() as client:
            await client.send(await daemon.hello())
            assert await client.receive() == b"welcome"
            daemon.socket.unlink()
            assert await client.receive() is None
        await daemon.wait_ended()

    async def test_it_stays_as_long_as_there_is_a_window(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, SHORT)
        async with daemon.connection() as client:
            await client.send(await daemon.hello())
            assert await client.receive() == b"welcome"
            with anyio.move_on_after(4 * SHORT):
                await daemon.ended.wait()
            assert not daemon.ended.is_set()
        await daemon.wait_ended()

    async def test_who_only_asks_how_it_is_does_not_keep_it(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, SHORT)
        async with daemon.connection():
            await daemon.wait_ended()

    async def test_stop_request_is_answered_with_the_status_and_ends_the_clients(
        self, served: LocalDaemon
    ) -> None:
        async with served.connection() as client, served.connection() as visitor:
            await client.send(await served.hello())
            assert await client.receive() == b"welcome"
            await visitor.send(await served.hello(STOP))
            assert json.loads(await visitor.receive() or b"")["pid"] == os.getpid()
            assert await client.receive() is None
        await served.wait_ended()
        assert not served.socket.exists()

    async def test_a_socket_that_is_its_successors_is_left_alone(self, served: LocalDaemon) -> None:
        await status_of(served)
        served.socket.unlink()
        with await anyio.to_thread.run_sync(served.endpoint.listen):
            served.server.stop()
            await served.wait_ended()
            assert served.socket.exists()

    async def test_without_a_socket_it_leaves_as_well(self, served: LocalDaemon) -> None:
        await status_of(served)
        served.socket.unlink()
        served.server.stop()
        await served.wait_ended()

    async def test_who_keeps_its_folder_locked_does_not_keep_it(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        endpoint = daemon.endpoint
        daemon.endpoint = Endpoint(endpoint.home, endpoint.name, last_patience=SHORT)
        start(daemon, tasks, LONG)
        await status_of(daemon)
        lock = os.open(endpoint.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            daemon.server.stop()
            await daemon.wait_ended()
        finally:
            os.close(lock)
        assert daemon.socket.exists()
        with await anyio.to_thread.run_sync(endpoint.listen):
            pass

"""The daemon at its endpoint: whom it takes in, and whom it turns away."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from context7_fabric.errors import SettingError
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import COMMAND, SERVE, STATUS, STOP
from context7_fabric.version import __version__
from support.client import INITIALIZE
from support.local_daemon import NEVER, LocalDaemon, RawClient, start, status_of

OTHER_USER = 65534
LONG = 600.0
SHORT = 0.1


class TestTakingIn:
    async def test_a_client_of_its_own_is_welcome_and_served(self, served: LocalDaemon) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(CONTEXT7_API_KEY="ctx7sk-2"))
            assert await client.receive() == b"welcome"
            assert (await client.initialize())["result"]["serverInfo"]["name"] == "probe"
        (handshake,) = served.handshakes
        assert handshake.directory == "/somewhere"
        assert handshake.api_key == "ctx7sk-1"
        assert handshake.environ["CONTEXT7_API_KEY"] == "ctx7sk-2"

    async def test_what_is_said_in_one_breath_with_the_greeting_is_heard(
        self, served: LocalDaemon
    ) -> None:
        async with served.connection() as client:
            await client.send(await served.hello() + json.dumps(INITIALIZE).encode() + b"\n")
            assert await client.receive() == b"welcome"
            assert json.loads(await client.receive() or b"")["id"] == 1

    async def test_several_clients_are_served_side_by_side(self, served: LocalDaemon) -> None:
        async with served.connection() as one, served.connection() as other:
            for client in (one, other):
                await client.send(await served.hello())
                assert await client.receive() == b"welcome"
            for client in (other, one):
                assert (await client.initialize())["id"] == 1
            assert (await status_of(served))["windows"] == 2

    async def test_client_that_breaks_off_leaves_the_others_served(
        self, served: LocalDaemon, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with served.connection() as lasting:
            await lasting.send(await served.hello())
            assert await lasting.receive() == b"welcome"
            async with served.connection() as client:
                await client.send(await served.hello())
                assert await client.receive() == b"welcome"
                await client.send(b'{"jsonrpc"')
            assert (await lasting.initialize())["id"] == 1
        assert "Traceback" not in caplog.text


class TestCommands:
    async def test_command_of_its_own_is_welcome_and_each_request_is_replied_to(
        self, served: LocalDaemon
    ) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(COMMAND, CONTEXT7_API_KEY="ctx7sk-2"))
            assert await client.receive() == b"welcome"
            for line in (b"one", b"two", b"three"):
                await client.send(line + b"\n")
                assert await client.receive() == line
            assert (await status_of(served))["windows"] == 1
        (handshake,) = served.handshakes
        assert handshake.environ["CONTEXT7_API_KEY"] == "ctx7sk-2"

    async def test_requests_in_one_breath_are_replied_to_in_their_order(
        self, served: LocalDaemon
    ) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(COMMAND) + b"1\n2\n3\n")
            heard = [await client.receive() for _ in range(4)]
        assert heard == [b"welcome", b"1", b"2", b"3"]

    async def test_request_of_a_client_that_leaves_is_cancelled(self, served: LocalDaemon) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(COMMAND) + NEVER + b"\n")
            assert await client.receive() == b"welcome"
        with anyio.fail_after(30):
            await served.cancelled.wait()
        assert (await status_of(served))["windows"] == 0

    @pytest.mark.parametrize("changed", ["HTTPS_PROXY", "HOME", "CONTEXT7_FABRIC_LOG_LEVEL"])
    async def test_command_that_means_another_daemon_is_refused(
        self, served: LocalDaemon, changed: str
    ) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(COMMAND, **{changed: "other"}))
            assert await client.receive() == b"not here"
        assert served.handshakes == []

    async def test_command_whose_settings_are_of_no_use_is_refused(
        self, served: LocalDaemon
    ) -> None:
        served.refusal = SettingError("CONTEXT7_API_KEY", "…", "a key")
        async with served.connection() as client:
            await client.send(await served.hello(COMMAND))
            assert await client.receive() == b"not here"


class TestTurningAway:
    @pytest.mark.parametrize("changed", ["HTTPS_PROXY", "HOME", "CONTEXT7_FABRIC_LOG_LEVEL"])
    async def test_client_of_another_identity_is_refused(
        self, served: LocalDaemon, changed: str
    ) -> None:
        async with served.connection() as client:
            await client.send(await served.hello(**{changed: "other"}))
            assert await client.receive() == b"not here"
            assert await client.receive() is None
        assert served.handshakes == []

    async def test_client_of_another_version_is_refused(
        self, served: LocalDaemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with served.connection() as client:
            await client.send((await served.hello()).replace(__version__.encode(), b"0.0.0"))
            assert await client.receive() == b"not here"

    async def test_client_of_another_network_is_refused(self, served: LocalDaemon) -> None:
        async with served.connection() as client:
            await client.send(re.sub(rb"net:\[\d+\]", b"net:[1]", await served.hello()))
            assert await client.receive() == b"not here"

    async def test_one_whose_settings_are_of_no_use_serves_itself(
        self, served: LocalDaemon, caplog: pytest.LogCaptureFixture
    ) -> None:
        served.refusal = SettingError("CONTEXT7_API_KEY", "…", "a key")
        async with served.connection() as client:
            await client.send(await served.hello())
            assert await client.receive() == b"not here"
        assert (await status_of(served))["windows"] == 0
        assert caplog.text == ""

    async def test_a_server_that_fails_ends_that_client_alone(
        self, served: LocalDaemon, caplog: pytest.LogCaptureFixture
    ) -> None:
        served.refusal = ZeroDivisionError()
        async with served.connection() as client:
            await client.send(await served.hello())
            assert await client.receive() is None
        assert "ZeroDivisionError" in caplog.text
        assert "ctx7sk" not in caplog.text
        assert (await status_of(served))["windows"] == 0

    @pytest.mark.parametrize("said", [b"\n\n", b"GET / HTTP/1.1\n\n", b"{'wish': 'ctx7sk-1'}\n"])
    async def test_who_does_not_greet_is_not_answered_and_not_quoted(
        self,
        daemon: LocalDaemon,
        tasks: TaskGroup,
        said: bytes,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        start(daemon, tasks, LONG, handshake=SHORT)
        caplog.set_level("INFO")
        async with daemon.connection() as client:
            await client.send(said)
            assert await client.receive() is None
        assert "without a valid handshake" in caplog.text
        assert "GET" not in caplog.text
        assert "ctx7sk" not in caplog.text

    async def test_who_says_nothing_is_not_waited_for(
        self, daemon: LocalDaemon, tasks: TaskGroup
    ) -> None:
        start(daemon, tasks, LONG, handshake=SHORT)
        async with daemon.connection() as client:
            assert await client.receive() is None
        assert daemon.handshakes == []

    async def test_an_unknown_wish_is_not_granted(self, served: LocalDaemon) -> None:
        async with served.connection() as client:
            await client.send(await served.hello("dance"))
            assert await client.receive() == b"not here"

    @pytest.mark.parametrize("wish", [SERVE, COMMAND, STATUS, STOP])
    async def test_another_users_process_is_turned_away(
        self, served: LocalDaemon, wish: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can act as another user")
        await status_of(served)  # it is up, and looks at no file under another user's name
        with connected_as_another_user(served.endpoint) as connection:
            async with await anyio.abc.SocketStream.from_socket(connection) as stream:
                client = RawClient(stream, BufferedByteReceiveStream(stream))
                await client.send(await served.hello(wish))
                assert await client.receive() is None
        assert "another user" in caplog.text
        assert served.handshakes == []
        assert not served.ended.is_set()


def connected_as_another_user(endpoint: Endpoint) -> socket.socket:
    """A connection that another user has made, who found every endpoint on the way open."""
    folder, here = Path(endpoint.folder), Path.cwd()
    folder.chmod(0o755)
    Path(folder, f"{endpoint.name}.sock").chmod(0o666)
    connection = socket.socket(socket.AF_UNIX)
    os.chdir(folder)
    os.seteuid(OTHER_USER)
    try:
        connection.connect(f"{endpoint.name}.sock")
    finally:
        os.seteuid(0)
        os.chdir(here)
    return connection


async def test_it_tells_how_it_is(served: LocalDaemon) -> None:
    result = await status_of(served)
    since = result.pop("since")
    assert since == pytest.approx(served.server._since)
    assert result == {
        "pid": os.getpid(),
        "version": __version__,
        "windows": 0,
        "idle_seconds": 600.0,
        "log": served.endpoint.log,
        "apps": 3,
    }

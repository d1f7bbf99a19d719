"""Context7's API without a delay, in a process of its own, and the real server in front of it.

The API answers as `support.context7_api` does, from a cache, and shares no interpreter with the
client that takes the times. As a program it prints its address and serves.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from support.processes import Process, spawn
from support.replies import Call, World, reply_to
from support.upstreams import READY, clean_environment, context7_command, free_port

COUNTED = "/calls"
SECONDS = 20.0
HEAD = "HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
WORLD = World()


@dataclass(frozen=True)
class ApiServer:
    """The API at an address."""

    url: str

    @property
    def calls(self) -> int:
        """The number of requests so far, this one not counted."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", COUNTED)
            return int(connection.getresponse().read())


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """Serve the API for the length of the block."""
    with program("upstream.py") as process:
        yield ApiServer(address_of(process))


def program(name: str, *words: str) -> AbstractContextManager[Process]:
    """Run a program of this folder for the length of a block."""
    here = Path(__file__).parent
    environment = clean_environment({"PYTHONPATH": str(here.parent)})
    return spawn([sys.executable, str(here / name), *words], environment)


def address_of(process: Process) -> str:
    """Return the address that a program prints."""
    return process.out.wait_for(r"http://\S+", SECONDS)[0]


@contextmanager
def context7_server(api: ApiServer) -> Iterator[tuple[Process, str]]:
    """Run Context7's own server on HTTP in front of `api`; yield it and its address."""
    command = [*context7_command(), "--transport", "http", "--port", str(free_port())]
    with spawn(command, clean_environment({"CONTEXT7_API_URL": api.url})) as server:
        yield server, f"http://127.0.0.1:{server.err.wait_for(READY, SECONDS)[1]}/mcp"


class _Connection(asyncio.Protocol):
    """Connection that answers its requests in order."""

    calls = 0

    def __init__(self) -> None:
        self._behind = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._behind = (self._behind + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1].decode()
            self._transport.write(self._reply(target))

    def _reply(self, target: str) -> bytes:
        if target == COUNTED:
            return _message(200, "text/plain", str(_Connection.calls).encode())
        _Connection.calls += 1
        return _answer(target)


@cache
def _answer(target: str) -> bytes:
    address = urlsplit(target)
    reply = reply_to(Call(address.path, dict(parse_qsl(address.query)), None), WORLD)
    return _message(reply.status, reply.media_type, reply.body)


def _message(status: int, media_type: str, body: bytes) -> bytes:
    return HEAD.format(status=status, media_type=media_type, length=len(body)).encode() + body


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())

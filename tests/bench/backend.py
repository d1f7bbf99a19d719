"""Context7's API without a delay, in a process of its own: what the peers have behind them.

It says what `support.context7_api` says, put together once a question and kept, and it shares no
interpreter with the client that takes the times. As a program it prints its address and serves.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from support.processes import spawn
from support.replies import Call, World, reply_to
from support.upstreams import clean_environment

COUNTED = "/calls"
SECONDS = 20.0
HEAD = "HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
WORLD = World()


@dataclass(frozen=True)
class Backend:
    """The API at an address."""

    url: str

    @property
    def calls(self) -> int:
        """How many requests have arrived, this one not counted."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", COUNTED)
            return int(connection.getresponse().read())


@contextmanager
def backend() -> Iterator[Backend]:
    """Serve for the length of the block."""
    environment = clean_environment({"PYTHONPATH": str(Path(__file__).parents[1])})
    with spawn([sys.executable, __file__], environment) as process:
        yield Backend(process.out.wait_for(r"http://\S+", SECONDS)[0])


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

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

"""A raw load of MCP over HTTP, in a process of its own: so many clients, each on one connection.

As a program it reads jobs from stdin, a line of JSON each, and writes what came of each on a line.
A client sends its next call when the one before it is answered. It opens its connection and makes
a first call before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

from bench.errands import ASKED
from bench.rpc import DOCS

SSE, JSON = "SSE body", "JSON body"
VERSIONS = {SSE: "2025-06-18", JSON: "2026-07-28"}
"""The forms of a reply, and in which version of the protocol a client is given each."""

HIT = b'"outcome":"hit"'
MARKS = {SSE: b"text/event-stream", JSON: b"application/json"}
SECONDS = 60.0

_META = "io.modelcontextprotocol/"
ENVELOPE = {
    f"{_META}protocolVersion": VERSIONS[JSON],
    f"{_META}clientInfo": {"name": "bench", "version": "1"},
    f"{_META}clientCapabilities": {},
}


def requests(url: str, form: str) -> list[bytes]:
    """Return what a client of that form sends, whole, for each call that is timed."""
    address, version = urlsplit(url), VERSIONS[form]
    more = f"Mcp-Method: tools/call\r\nMcp-Name: {DOCS}\r\n" if form == JSON else ""
    start = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: {version}\r\n{more}Content-Length: "
    )
    return [
        b"%b%d\r\n\r\n%b" % (start.encode(), len(body), body)
        for body in (_body(form, arguments) for arguments in ASKED)
    ]


def _body(form: str, arguments: object) -> bytes:
    params = {"name": DOCS, "arguments": arguments}
    enveloped = params | ({"_meta": ENVELOPE} if form == JSON else {})
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": enveloped}
    return json.dumps(message).encode()


class _Client(asyncio.Protocol):
    """One connection: sends requests one by one, and keeps what each was replied."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.times: list[float] = []
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def run(self, waiting: Iterator[bytes]) -> asyncio.Future[None]:
        """Send what is `waiting`; return what is done when nothing waits any more."""
        self._waiting = waiting
        self._done = asyncio.get_running_loop().create_future()
        self._next()
        return self._done

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        reply = b"".join(self._parts)
        if _is_whole(reply):
            self.times.append((time.perf_counter() - self._begun) * 1000)
            self.replies.append(reply)
            self._parts.clear()
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or EOFError("the server has hung up"))

    def close(self) -> None:
        self._transport.close()

    def _next(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            self._begun = time.perf_counter()
            self._transport.write(request)
        elif not self._done.done():
            self._done.set_result(None)


def _is_whole(reply: bytes) -> bool:
    """Tell whether a reply is complete: by its length, else by its last chunk."""
    head, blank, body = reply.partition(b"\r\n\r\n")
    if not blank:
        return False
    _, named, rest = head.lower().partition(b"content-length:")
    return len(body) >= int(rest.split(b"\r\n", 1)[0]) if named else body.endswith(b"0\r\n\r\n")


async def load(url: str, form: str, clients: int, calls: int) -> dict[str, Any]:
    """Make the calls; return the seconds of all, the ms of each, and what the replies were."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    connected = [
        (await loop.create_connection(_Client, address.hostname or "", address.port or 80))[1]
        for _number in range(clients)
    ]
    sent = requests(url, form)
    await _all(connected, islice(cycle(sent), clients))
    for each in connected:
        each.times.clear()
        each.replies.clear()
    begun = time.perf_counter()
    await _all(connected, islice(cycle(sent), calls))
    seconds = time.perf_counter() - begun
    for each in connected:
        each.close()
    replies = [reply for each in connected for reply in each.replies]
    return {
        "seconds": seconds,
        "times": [each for client in connected for each in client.times],
        **_looked_at(replies, form),
    }


async def _all(clients: Sequence[_Client], waiting: Iterator[bytes]) -> None:
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(each.run(waiting) for each in clients))


def _looked_at(replies: Sequence[bytes], form: str) -> dict[str, Any]:
    """Return how many replies are answers of that form, how many are hits, and one that is bad."""
    bad = [each for each in replies if not _is_answer(each, form)]
    return {
        "answers": len(replies) - len(bad),
        "hits": sum(HIT in each for each in replies),
        "bad": bad[0][:600].decode(errors="replace") if bad else "",
    }


def _is_answer(reply: bytes, form: str) -> bool:
    good = reply.startswith(b"HTTP/1.1 200") and b'"result":' in reply
    return good and b'"isError":true' not in reply and MARKS[form] in reply


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(load(**json.loads(line)))), flush=True)

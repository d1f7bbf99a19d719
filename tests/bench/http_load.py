"""Raw load of MCP over HTTP: clients with one connection each, kept alive.

As a program it reads jobs from stdin, a line of JSON each, and writes the result of each on a line.
A client sends its next call when the one before it is answered.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from urllib.parse import urlsplit

from bench.harness import milliseconds_since
from bench.workload import ASKED, DOCS, Arguments, is_hit

SSE, JSON = "SSE body", "JSON body"
VERSIONS = {SSE: "2025-06-18", JSON: "2026-07-28"}  # versions whose clients get each form
MARKS = {SSE: b"text/event-stream", JSON: b"application/json"}
SECONDS = 120.0

_META = "io.modelcontextprotocol/"
ENVELOPE = {
    f"{_META}protocolVersion": VERSIONS[JSON],
    f"{_META}clientInfo": {"name": "bench", "version": "1"},
    f"{_META}clientCapabilities": {},
}


@dataclass(frozen=True)
class Load:
    """Result of a load: the seconds of all calls together, the ms of each, and the hits."""

    seconds: float
    times: Sequence[float]
    hits: int


def _request(url: str, form: str, arguments: Arguments) -> bytes:
    address = urlsplit(url)
    more = f"Mcp-Method: tools/call\r\nMcp-Name: {DOCS}\r\n" if form == JSON else ""
    meta = {"_meta": ENVELOPE} if form == JSON else {}
    params = {"name": DOCS, "arguments": arguments, **meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: {VERSIONS[form]}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Client(asyncio.Protocol):
    """One connection: sends requests one by one, and keeps the replies and their times."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.times: list[float] = []
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def run(self, waiting: Iterator[bytes]) -> asyncio.Future[None]:
        """Send requests until none waits; return what is done then."""
        self._waiting = waiting
        self._done = asyncio.get_running_loop().create_future()
        self._next()
        return self._done

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        reply = b"".join(self._parts)
        if _is_whole(reply):
            self.times.append(milliseconds_since(self._begun))
            self.replies.append(reply)
            self._parts.clear()
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or EOFError("the server has closed the connection"))

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
    """Return whether a reply is complete: by its length, else by its last chunk."""
    head, blank, body = reply.partition(b"\r\n\r\n")
    if not blank:
        return False
    _, named, rest = head.lower().partition(b"content-length:")
    return len(body) >= int(rest.split(b"\r\n", 1)[0]) if named else body.endswith(b"0\r\n\r\n")


async def load(
    urls: Sequence[str],
    form: str,
    clients: int,
    asked: Sequence[Arguments],
    first: Arguments = ASKED[0],
) -> Load:
    """Ask all questions with clients that are spread over the servers at `urls`.

    Each opens its connection and asks `first` before the clock starts. Each reply has to be an
    answer of this form.
    """
    loop, connected = asyncio.get_running_loop(), []
    for url in islice(cycle(urls), clients):
        host, port = urlsplit(url).netloc.split(":")
        connected.append((await loop.create_connection(_Client, host, int(port)))[1])
    # The servers have the same path, and read no host.
    await _all(connected, iter([_request(urls[0], form, first)] * clients))
    for each in connected:
        each.times.clear()
        each.replies.clear()
    requests = [_request(urls[0], form, arguments) for arguments in asked]
    begun = time.perf_counter()
    await _all(connected, iter(requests))
    seconds = time.perf_counter() - begun
    for each in connected:
        each.close()
    replies = [reply for each in connected for reply in each.replies]
    _check(replies, form)
    times = [took for each in connected for took in each.times]
    return Load(seconds, times, sum(map(is_hit, replies)))


async def _all(clients: Sequence[_Client], waiting: Iterator[bytes]) -> None:
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(each.run(waiting) for each in clients))


def _check(replies: Sequence[bytes], form: str) -> None:
    for reply in replies:
        answered = reply.startswith(b"HTTP/1.1 200") and b'"result":' in reply
        if not answered or b'"isError":true' in reply or MARKS[form] not in reply:
            raise RuntimeError(f"no answer as {form}: {reply[:600]!r}")


if __name__ == "__main__":
    for line in sys.stdin:
        url, form, clients, calls = json.loads(line)
        seen = asyncio.run(load([url], form, clients, [*islice(cycle(ASKED), calls)]))
        print(json.dumps(asdict(seen)), flush=True)

"""Raw calls of documentation questions over HTTP, for `replicas.py`: one connection a client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from itertools import count
from urllib.parse import urlsplit

from bench.errands import LONG, docs
from bench.http_load import ENVELOPE, HIT, JSON, VERSIONS
from bench.rpc import DOCS, Arguments
from support.replicas import Replica

_NUMBERS = count()


class Caller:
    """A client on one connection that is kept alive."""

    def __init__(self, replica: Replica) -> None:
        """Call a replica, which is connected to at the first call."""
        self._address = urlsplit(replica.served.url("/mcp"))
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, arguments: Arguments) -> tuple[float, bool]:
        """Ask a question; the ms that took, and whether it was a hit.

        Raises:
            RuntimeError: The reply is no answer.
        """
        if self._streams is None:
            host, port = self._address.hostname, self._address.port
            self._streams = await asyncio.open_connection(host, port)
        reader, writer = self._streams
        request = _request(self._address.netloc, arguments)
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200") or b'"isError":true' in body:
            raise RuntimeError(f"no answer: {(head + body)[:600]!r}")
        return (time.perf_counter() - begun) * 1000, HIT in body

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


async def ask_all(replica: Replica, asked: Sequence[Arguments]) -> int:
    """Ask one after the other over one connection; return how many were hits."""
    caller = Caller(replica)
    seen = await one_by_one(caller, asked)
    caller.close()
    return sum(hit for _ms, hit in seen)


async def one_by_one(caller: Caller, asked: Sequence[Arguments]) -> list[tuple[float, bool]]:
    return [await caller.call(each) for each in asked]


def new_question() -> Arguments:
    """Return a question that nobody has asked."""
    return docs(LONG, f"What is new about response {next(_NUMBERS)}?")


def _request(host: str, arguments: Arguments) -> bytes:
    params = {"name": DOCS, "arguments": arguments, "_meta": ENVELOPE}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\n"
        f"MCP-Protocol-Version: {VERSIONS[JSON]}\r\nMcp-Method: tools/call\r\n"
        f"Mcp-Name: {DOCS}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

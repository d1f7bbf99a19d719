"""MCP by hand over a child's pipes, with as little of our own in the times as can be."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from support.product import PROGRAM

SECONDS = 20.0
"""How long to wait for a line, at most."""


class Pipes:
    """One server in a process of its own; requests follow one another."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        """Write to and read from a child that runs."""
        self._requests = requests
        self._replies = replies.fileno()
        self._behind = bytearray()
        self._sent = 0

    def introduce(self) -> None:
        """Shake hands."""
        client = {"name": "bench", "version": "1"}
        self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Return the result of a request.

        Raises:
            RuntimeError: The reply is an error.
        """
        message = json.loads(self.reply(method, **params))
        if "result" not in message:
            raise RuntimeError(f"{method}: {message}")
        result: dict[str, Any] = message["result"]
        return result

    def reply(self, method: str, **params: object) -> bytes:
        """Send a request and return the line that answers it; what comes before is dropped."""
        self._sent += 1
        self._send({"id": self._sent, "method": method, "params": params})
        ours = b'"id":%d' % self._sent
        while ours not in (line := self._line(SECONDS)):
            pass
        return line

    def hear(self, method: str) -> dict[str, Any]:
        """Wait for the next notification `method`, and return its parameters.

        Raises:
            TimeoutError: None came.
        """
        while (message := json.loads(self._line(SECONDS))).get("method") != method:
            pass
        params: dict[str, Any] = message["params"]
        return params

    def _send(self, message: Mapping[str, object]) -> None:
        self._requests.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._requests.flush()

    def _line(self, seconds: float) -> bytes:
        read, searched, deadline = self._behind, 0, time.monotonic() + seconds
        while (end := read.find(b"\n", searched)) < 0:
            searched, left = len(read), max(0.0, deadline - time.monotonic())
            if not select.select([self._replies], [], [], left)[0]:
                raise TimeoutError("the server says nothing")
            chunk = os.read(self._replies, 2**20)
            if not chunk:
                raise EOFError("the server has ended")
            read += chunk
        line = bytes(read[:end])
        del read[: end + 1]
        return line


@contextmanager
def product(environment: Mapping[str, str]) -> Iterator[Pipes]:
    """Run the product on stdio, past the hand-shake, for the length of the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen([PROGRAM], env=environment, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            pipes = Pipes(child.stdin, child.stdout)
            pipes.introduce()
            yield pipes
            child.stdin.close()
            child.wait(SECONDS)
        finally:
            child.kill()

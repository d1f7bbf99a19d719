"""Raw MCP client over the pipes of a server that it starts: as little of its own time as can be."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import IO, Any

from bench.workload import DOCS, Arguments
from support.product import PROGRAM

SECONDS = 60.0  # the longest wait for a line


class Client:
    """Client of one server in a process of its own."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self.pid = child.pid
        self._requests = child.stdin
        self._replies = child.stdout.fileno()
        self._read = bytearray()
        self._sent = 0
        self._early: dict[int, dict[str, Any]] = {}

    def initialize(self) -> None:
        client = {"name": "bench", "version": "1"}
        self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})

    def start(self, method: str, **params: object) -> int:
        """Send a request; return its id."""
        self._sent += 1
        self._send({"id": self._sent, "method": method, "params": params})
        return self._sent

    def reply(self, method: str, **params: object) -> bytes:
        """Send a request and return the line that answers it; lines before it are dropped."""
        ours = b'"id":%d' % self.start(method, **params)
        while ours not in (line := self._line()):
            pass
        return line

    def call(self, tool: str, arguments: Arguments) -> bytes:
        return self.reply("tools/call", name=tool, arguments=arguments)

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Return the result of a request."""
        return self.result(self.start(method, **params))

    def result(self, number: int) -> dict[str, Any]:
        """Return the result of the request with this id; replies to others are kept."""
        while number not in self._early:
            message = json.loads(self._line())
            if "id" in message and "method" not in message:
                self._early[message["id"]] = message
        message = self._early.pop(number)
        if "result" not in message:
            raise RuntimeError(f"request {number}: {message}")
        result: dict[str, Any] = message["result"]
        return result

    def notification(self, method: str) -> dict[str, Any]:
        """Wait for the next notification `method`, and return its parameters."""
        while (message := json.loads(self._line())).get("method") != method:
            pass
        params: dict[str, Any] = message["params"]
        return params

    def flood(self, asked: Sequence[Arguments], in_flight: int) -> list[bytes]:
        """Ask all questions, `in_flight` at once; return the answers in the order they came."""
        waiting = iter(asked)
        for arguments in islice(waiting, in_flight):
            self.start("tools/call", name=DOCS, arguments=arguments)
        answers: list[bytes] = []
        while len(answers) < len(asked):
            line = self._line()
            if b'"id":' in line:
                answers.append(line)
                for arguments in islice(waiting, 1):
                    self.start("tools/call", name=DOCS, arguments=arguments)
        return answers

    def _send(self, message: Mapping[str, object]) -> None:
        self._requests.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._requests.flush()

    def _line(self) -> bytes:
        read, searched, deadline = self._read, 0, time.monotonic() + SECONDS
        while (end := read.find(b"\n", searched)) < 0:
            searched, left = len(read), max(0.0, deadline - time.monotonic())
            if not select.select([self._replies], [], [], left)[0]:
                raise TimeoutError("the server does not reply")
            chunk = os.read(self._replies, 2**20)
            if not chunk:
                raise EOFError("the server has ended")
            read += chunk
        line = bytes(read[:end])
        del read[: end + 1]
        return line


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], stderr: IO[Any] | int | None = None
) -> Iterator[Client]:
    """Start a server for the length of the block, without a handshake."""
    pipe = subprocess.PIPE
    errors = subprocess.DEVNULL if stderr is None else stderr
    child = subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True
    )
    with child:
        try:
            yield Client(child)
            assert child.stdin is not None
            child.stdin.close()
            child.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


@contextmanager
def product(environment: Mapping[str, str]) -> Iterator[Client]:
    """Run the product on stdio for the length of the block, after the handshake."""
    with started([PROGRAM], environment) as client:
        client.initialize()
        yield client

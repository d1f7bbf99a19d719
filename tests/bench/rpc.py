"""A raw JSON-RPC client of a server that it starts: one request at a time, or many in flight."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from bench.pipes import SECONDS, Pipes

DOCS, LOOK_UP = "query-docs", "resolve-library-id"
Arguments = Mapping[str, str]


class Caller(Pipes):
    """A client and the process that it talks to."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        """Talk to `child` over its pipes."""
        assert child.stdin is not None
        assert child.stdout is not None
        super().__init__(child.stdin, child.stdout)
        self.pid = child.pid

    def call(self, tool: str, arguments: Arguments) -> bytes:
        """Return the line that answers a tool call."""
        return self.reply("tools/call", name=tool, arguments=arguments)

    def flood(self, tool: str, asked: Sequence[Arguments], in_flight: int) -> list[bytes]:
        """Make all the calls, so many at once; return their answers in the order they came."""
        waiting = iter(asked)
        for arguments in islice(waiting, in_flight):
            self._start(tool, arguments)
        answers: list[bytes] = []
        while len(answers) < len(asked):
            line = self._line(SECONDS)
            if b'"id":' in line:
                answers.append(line)
                for arguments in islice(waiting, 1):
                    self._start(tool, arguments)
        return answers

    def _start(self, tool: str, arguments: Arguments) -> None:
        self._sent += 1
        params = {"name": tool, "arguments": arguments}
        self._send({"id": self._sent, "method": "tools/call", "params": params})


@contextmanager
def calling(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Caller]:
    """Start a server for the length of the block; nothing is said to it yet."""
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    child = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=nowhere)
    with child:
        try:
            yield Caller(child)
            assert child.stdin is not None
            child.stdin.close()
            child.wait(SECONDS)
        finally:
            child.kill()

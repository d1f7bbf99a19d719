"""MCP spoken by hand over a child's pipes, for tests that need its pid, its stderr or its signals.

One request at a time, in the era of `initialize`; every wait is bounded.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from support.processes import Process, spawn

SECONDS = 20
META_KEY = "context7-fabric/answer"


class Dialogue:
    """Requests to a server and its replies."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._sent = 0

    def introduce(self) -> dict[str, Any]:
        """Shake hands; what the server says of itself."""
        client = {"name": "tests", "version": "1"}
        told = self.ask(
            "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client
        )
        self._send({"method": "notifications/initialized"})
        return told

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool call, as it stands on the wire."""
        return self.ask("tools/call", name=tool, arguments=arguments)

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a request; raises AssertionError with the error if that is the reply."""
        return self.reply(self.start(method, **params))

    def start(self, method: str, **params: object) -> int:
        """Send a request without waiting; the number by which `reply` knows it."""
        self._sent += 1
        self._send({"id": self._sent, "method": method, "params": params})
        return self._sent

    def reply(self, number: int) -> dict[str, Any]:
        """The result of the request that was sent under this number."""
        message = json.loads(self._line_with(number))
        assert "result" in message, message
        return cast("dict[str, Any]", message["result"])

    def _line_with(self, number: int) -> str:
        try:
            return self.process.out.wait_for(rf'^.*"id": ?{number}[,}}].*$', SECONDS)[0]
        except TimeoutError as error:
            raise TimeoutError(f"{error}\non stderr:\n{self.process.err.text}") from None

    def _send(self, message: dict[str, object]) -> None:
        self.process.send(json.dumps({"jsonrpc": "2.0", **message}))


@contextmanager
def talking(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Dialogue]:
    """A dialogue with a child, past the hand-shake, for the length of the block."""
    with spawn(command, env) as process:
        dialogue = Dialogue(process)
        dialogue.introduce()
        yield dialogue


def texts_of(result: dict[str, Any]) -> list[str]:
    """The text of each block."""
    return [block["text"] for block in result["content"]]


def outcome_of(result: dict[str, Any]) -> str:
    """How the product says that a call ended."""
    return cast("str", result["_meta"][META_KEY]["outcome"])

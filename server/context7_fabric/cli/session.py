"""Requests of one command: answered by the daemon, or in-process where none can be used.

Only what a request to a running daemon needs is imported at once; that is most of a hit's time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext

from context7_fabric.cli.text import notice_of_a_wait
from context7_fabric.errors import FabricError, UnusableFeedback
from context7_fabric.process import imported
from context7_fabric.relay.folders import UnusablePath
from context7_fabric.relay.handshake import COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from types import TracebackType
    from typing import Any, Self

    from context7_fabric.relay.client import DaemonConnector

_ATTEMPTS = 2
"""Daemons that a request is sent to: if both end without a reply, this process answers."""

_CHUNK = 65536


class CommandSession:
    """The requests of one command, one after the other."""

    def __init__(self, *, records_only: bool = False) -> None:
        """Prepare requests; with `records_only` an in-process session opens the store alone."""
        self._records_only = records_only
        self.shows_waits = True
        """Whether a terminal is shown that a request takes long; a progress bar shows it better."""
        self._connector = _connector()
        self._connection: socket.socket | None = None
        self._in_process: Callable[[str, dict[str, Any]], Any] | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        if self._connect() is None:
            self._open_in_process()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._disconnect()
        self._opened.__exit__(exc_type, exc_val, exc_tb)

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  # as JSON says it
        """Return the result of one request.

        Raises:
            FabricError: The command fails for a reason of the user's or the store's.
        """
        with notice_of_a_wait() if self.shows_waits else nullcontext():
            line = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
            for _attempt in range(_ATTEMPTS):
                if (connection := self._connect()) is None:
                    break
                if reply := _reply(connection, line):
                    return _result(json.loads(reply))
                self._disconnect()
            return self._open_in_process()(command, arguments)

    def _connect(self) -> socket.socket | None:
        """Return the connection to the daemon, a new one if need be; None where none can be had."""
        if self._connection is None and self._connector is not None:
            from context7_fabric.relay.client import report_no_daemon
            from context7_fabric.relay.endpoint import NoDaemon

            try:
                self._connection = self._connector.connect()
            except (NoDaemon, OSError) as error:
                report_no_daemon(error, "the command runs in-process")
                self._connector = None
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open_in_process(self) -> Callable[[str, dict[str, Any]], Any]:
        if self._in_process is None:
            output = imported("context7_fabric.cli.output")
            opened = output.commands_in_process(records_only=self._records_only)
            self._in_process = self._opened.enter_context(opened)
        return self._in_process


def _connector() -> DaemonConnector | None:
    """Return the way to the daemon, None where the settings or the platform want none."""
    if sys.platform == "win32":
        return None
    from context7_fabric.relay.client import DaemonConnector, wants_daemon

    try:
        return DaemonConnector(COMMAND, os.environ) if wants_daemon(os.environ) else None
    except UnusablePath:
        return None  # the settings, which are read next, report it


def _reply(connection: socket.socket, line: bytes) -> bytes:
    """Return the reply to the request on `line`, empty if the daemon ends instead."""
    parts: list[bytes] = []
    try:
        connection.sendall(line)
        while part := connection.recv(_CHUNK):
            parts.append(part)
            if part.endswith(b"\n"):
                return b"".join(parts)
    except OSError:
        pass
    return b""


def _result(reply: dict[str, Any]) -> Any:  # noqa: ANN401  # as JSON says it
    """Return the result in `reply`.

    Raises:
        FabricError: It is an error.
    """
    if "error" in reply:
        raise (UnusableFeedback if reply["usage"] else FabricError)(reply["error"])
    return reply["result"]

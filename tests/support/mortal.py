"""Real servers that a test stops and restarts, with a count of the contacts in between.

The same two verbs for a command and for HTTP, so that one test holds the product to both.
"""

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from support.context7_api import Api
from support.knocks import Knocks, knocks
from support.processes import living, spawn, wait_gone
from support.upstreams import (
    READY,
    SECONDS_TO_START,
    api_environment,
    context7_command,
    free_port,
)

KINDS = ("command", "http")
"""The ways by which the product reaches a real server; it is held to both alike."""


class MortalCommand:
    """A script that becomes the real server, or nothing; `contacts` since its end are counted."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._script = folder / "context7"
        self._log = folder / "context7.pids"
        self._log.touch()
        self._before = 0
        self.variables = {
            "CONTEXT7_API_URL": api.url,
            "CONTEXT7_FABRIC_UPSTREAM": shlex.quote(str(self._script)),
        }
        self.come_back()

    def end(self) -> None:
        self._write("exit 1")
        started = self._started()
        self._before = len(started)
        running = living(started)
        for pid in running:
            os.kill(pid, signal.SIGKILL)
        wait_gone(running)

    def come_back(self) -> None:
        self._write(f"exec {shlex.join(context7_command())}")

    @property
    def contacts(self) -> int:
        return len(self._started()) - self._before

    def _started(self) -> list[int]:
        return [int(pid) for pid in self._log.read_text(encoding="ascii").split()]

    def _write(self, action: str) -> None:
        draft = self._script.with_suffix(".draft")
        lines = ("#!/bin/sh", f"echo $$ >> {shlex.quote(str(self._log))}", action, "")
        draft.write_text("\n".join(lines), encoding="utf-8")
        draft.chmod(0o700)
        draft.rename(self._script)


class MortalHttp:
    """The real server on a port of its own."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._port = free_port()
        self._knocks: Knocks | None = None
        self._now = ExitStack()
        self.variables = {"CONTEXT7_FABRIC_UPSTREAM": f"http://127.0.0.1:{self._port}/mcp"}
        self.come_back()

    def end(self) -> None:
        self._now.close()
        self._knocks = self._now.enter_context(knocks(self._port))

    def come_back(self) -> None:
        self._now.close()
        command = [*context7_command(), "--transport", "http", "--port", str(self._port)]
        server = self._now.enter_context(spawn(command, env=api_environment(self._api)))
        self._now.callback(_kill, server.pid)
        port = server.err.wait_for(READY, SECONDS_TO_START)[1]
        assert port == str(self._port), "another process took the port"

    @property
    def contacts(self) -> int:
        return self._knocks.count if self._knocks else 0

    def close(self) -> None:
        self._now.close()


Mortal = MortalCommand | MortalHttp


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def mortal_upstream(kind: str, api: Api, folder: Path) -> Iterator[Mortal]:
    """The real server as a "command" or over "http", for the length of the block."""
    if kind == "command":
        yield MortalCommand(api, folder)
        return
    server = MortalHttp(api)
    try:
        yield server
    finally:
        server.close()

"""The product as a user starts it: the command beside this Python, and a clean environment."""

import json
import os
import pty
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any

from context7_fabric.relay.client import asks_for_stdio
from support import forked
from support.forked import started
from support.processes import Process, spawn
from support.upstreams import clean_environment

PROGRAM = forked.PROGRAM
READY = r"^context7-fabric serves MCP at (https?://\S+:(\d+))/mcp and /sse$"
SECONDS = forked.SECONDS
COLUMNS = 80
DAEMON = os.environ.get("TEST_DAEMON", "off")
"""Mode of servers on stdio: with a daemon ("auto") or in-process ("off"); tests run in both."""

EITHER_MODE = "TEST_EITHER_MODE"
"""Marks an environment in which TEST_DAEMON chooses the mode of a server on stdio."""

BY_ITSELF = {"CONTEXT7_FABRIC_DAEMON": "off"}
"""For tests of what only an in-process server does."""

Variables = Mapping[str, str]


def product_environment(home: Path, variables: Variables | None = None) -> dict[str, str]:
    """The environment of the product on a home of its own; `variables` say where upstream is.

    No model is downloaded behind its back.
    """
    own = {
        EITHER_MODE: "1",
        "CONTEXT7_FABRIC_HOME": str(home),
        "CONTEXT7_FABRIC_MODEL": "off",
        "CONTEXT7_FABRIC_DAEMON": DAEMON,
        "CONTEXT7_FABRIC_DAEMON_IDLE": "1s",
        "CONTEXT7_FABRIC_PROJECT": "off",
    }
    named = variables or {}
    if "CONTEXT7_FABRIC_DAEMON" in named:
        del own[EITHER_MODE]
    return clean_environment({**own, **named})


def serves_either_way(command: Sequence[object], environment: Mapping[str, str] | None) -> bool:
    """Return True if a command is a server on stdio whose mode TEST_DAEMON chooses."""
    words = [str(word) for word in command]
    if PROGRAM not in words or EITHER_MODE not in (environment or {}):
        return False
    return asks_for_stdio(words[words.index(PROGRAM) + 1 :])


def run_product(
    *words: str,
    env: Mapping[str, str],
    typed: str = "",
    **others: Any,  # noqa: ANN401  # as `run`
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with `typed` on its standard input."""
    return forked.run([PROGRAM, *words], env, typed, **others)


def context(
    *words: str, env: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    return run_product("context", *words, env=env, typed=typed)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def stored(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every context in GLOBAL."""
    return objects(context("list", "--json", env=env).stdout)


def run_on_terminal(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one command that prints to a terminal of 80 columns, where both streams are one."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, COLUMNS))
    with started([PROGRAM, *words], env, stdin=subprocess.DEVNULL, stdout=end, stderr=end) as run:
        os.close(end)
        with open(terminal, "rb", buffering=0) as screen:  # noqa: PTH123  # no path
            out = b"".join(_parts(screen))
    return subprocess.CompletedProcess(words, run.returncode, out.decode(errors="replace"), "")


def _parts(screen: RawIOBase) -> Iterator[bytes]:
    with suppress(OSError):  # the terminal's last user has gone
        while part := screen.read(65536):
            yield part


@dataclass(frozen=True)
class Served:
    """The product at a port of this machine; `address` is the one that it tells."""

    process: Process
    port: int
    address: str

    def url(self, path: str) -> str:
        """The address of something that it serves."""
        return self.address.replace("//0.0.0.0:", "//127.0.0.1:") + path


@contextmanager
def product_at_port(
    transport: str,
    env: Mapping[str, str],
    port: int | None = 0,
    *words: str,
    before: Sequence[str] = (),
) -> Iterator[Served]:
    """The product on "http" or "sse" for the length of the block; port 0 is any free one.

    None leaves the port to it; `words` are more of its options, `before` a command that runs it.
    """
    at = () if port is None else ("--port", str(port))
    command = [*before, PROGRAM, "--transport", transport, *at, *words]
    with spawn(command, env) as process:
        found = process.err.wait_for(READY, SECONDS)
        yield Served(process, int(found[2]), found[1])

"""Start of a client's entry as the client starts it: spawn, `initialize`, `tools/list`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Timer
from typing import IO, Any, Final

from context7_fabric.client_config.clients import McpClient
from context7_fabric.errors import FabricError
from context7_fabric.version import __version__

_LONGEST_SECONDS: Final = 60.0
"""Longest wait for the start, also for clients that wait longer."""

_ENDING_SECONDS: Final = 5.0
"""Time that a server has to end after its stdin is closed."""

_PROTOCOL: Final = "2025-11-25"
_COMMON: Final = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""Variables that every client passes on, as the SDK's does; the language beside them."""

_REFERENCE = re.compile(
    r"\$\{(?:env:)?(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}"
    r"|\{env:(?P<bare>[A-Za-z_]\w*)\}|\$(?P<plain>[A-Za-z_]\w*)"
)
_OTHER_REFERENCE = re.compile(r"\$\{(?!env:)\w+:(?!-)|\$\(|\{file:")
"""References that only the client can resolve, such as `${input:key}`."""


class EntryDoesNotStart(FabricError):
    """A client's entry does not start; the text is the reason."""


@dataclass(frozen=True, slots=True)
class StartedEntry:
    """Seconds from the start to the list of tools, and their names."""

    seconds: float
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntryProcess:
    """Command line and whole environment of the process that a client starts."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(slots=True)
class StartOutcome:
    """The start of an entry, which clients with equal ones share."""

    clients: list[str] = field(default_factory=list)
    seconds: float | None = None
    tools: Sequence[str] = ()
    error: str | None = None


def process_of(
    client: McpClient, entry: Mapping[str, Any], environ: Mapping[str, str]
) -> EntryProcess:
    """Return the process of an entry where the client has the environment `environ`. Pure.

    Raises:
        EntryDoesNotStart: The entry has no command.
    """
    command = entry.get("command")
    words = [*command] if isinstance(command, list) else [command, *(entry.get("args") or ())]
    if not words or not all(isinstance(word, str) and word for word in words[:1]):
        raise EntryDoesNotStart("it has no command")
    own = entry.get("environment") or entry.get("env") or {}
    env = dict(environ) if client.passes_environment else {}
    env |= {name: environ[name] for name in entry.get("env_vars", ()) if name in environ}
    has_references = client.reference is not None
    for name, value in own.items():
        if not (has_references and _OTHER_REFERENCE.search(str(value))):
            env[name] = _resolved(str(value), environ) if has_references else str(value)
    return EntryProcess(words[0], tuple(map(str, words[1:])), env)


def start(process: EntryProcess, limit: float) -> StartedEntry:
    """Start a process, ask for its tools and end it, within `limit` seconds.

    Variables that every client passes (PATH, HOME and the like) are added to its environment. The
    SDK's client would do the same, and takes three times as long to import as all of `setup`.

    Raises:
        EntryDoesNotStart: It did not answer.
    """
    seconds = min(limit, _LONGEST_SECONDS)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        began = time.monotonic()
        try:
            tools = _asked(process, seconds, log)
        except OSError as error:
            reason = f"{process.command!r} cannot be started: {error.strerror or error}"
            raise EntryDoesNotStart(reason) from None
        took = time.monotonic() - began
        if tools is None:
            is_late = took >= seconds
            end = f"did not answer within {seconds:g} s" if is_late else "ended without an answer"
            raise EntryDoesNotStart(_with_last_line(f"{process.command!r} {end}", log))
    return StartedEntry(took, tools)


def start_all(
    entries: Iterable[tuple[McpClient, Mapping[str, Any]]], environ: Mapping[str, str]
) -> list[StartOutcome]:
    """Start the entries of clients whose environment is `environ`, equal ones once."""
    outcomes: dict[str, StartOutcome] = {}
    for client, entry in entries:
        try:
            process = process_of(client, entry, environ)
        except EntryDoesNotStart as error:
            outcomes[client.name] = StartOutcome([client.title], error=str(error))
            continue
        key = repr((process.command, process.args, sorted(process.env.items())))
        if key not in outcomes:
            outcomes[key] = _outcome(process, client)
        outcomes[key].clients.append(client.title)
    return list(outcomes.values())


def _outcome(process: EntryProcess, client: McpClient) -> StartOutcome:
    try:
        done = start(process, client.limit)
    except EntryDoesNotStart as error:
        return StartOutcome(error=str(error))
    return StartOutcome(seconds=round(done.seconds, 3), tools=done.tools)


def _asked(process: EntryProcess, seconds: float, log: IO[str]) -> tuple[str, ...] | None:
    """Return the names of a process's tools, None if it ends or takes too long.

    Raises:
        OSError: It cannot be started.
        EntryDoesNotStart: It answers with an error.
    """
    common = {name: os.environ[name] for name in _COMMON if name in os.environ}
    with subprocess.Popen(  # noqa: S603  # the program that the entry names
        [process.command, *process.args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**common, **process.env},
        start_new_session=True,
    ) as child:
        limit = Timer(seconds, _kill, [child])
        limit.start()
        try:
            return _tools_of(child)
        finally:
            limit.cancel()
            _end(child)


def _tools_of(child: subprocess.Popen[bytes]) -> tuple[str, ...] | None:
    """Return the names of a child's tools after the handshake."""
    hello = {
        "protocolVersion": _PROTOCOL,
        "capabilities": {},
        "clientInfo": {"name": "context7-fabric setup", "version": __version__},
    }
    if _answer(child, {"id": 0, "method": "initialize", "params": hello}) is None:
        return None
    _send(child, {"method": "notifications/initialized"})
    listed = _answer(child, {"id": 1, "method": "tools/list", "params": {}})
    return None if listed is None else tuple(str(tool["name"]) for tool in listed["tools"])


def _answer(child: subprocess.Popen[bytes], request: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return the result of a request, None if the child ends before it answers."""
    _send(child, request)
    for line in child.stdout or ():
        with suppress(ValueError):  # a line that is no JSON
            reply = json.loads(line)
            if isinstance(reply, dict) and reply.get("id") == request["id"]:
                if "error" in reply:
                    raise EntryDoesNotStart(f"it answers with the error {reply['error']}")
                return reply.get("result")
    return None


def _send(child: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    """Send a message; a child that has ended is noticed when its answer is read."""
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            child.stdin.flush()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close a child's stdin, at which a server ends, and kill one that goes on."""
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()
    try:
        child.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and what it has started in its session, such as a runner's program."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _resolved(value: str, environ: Mapping[str, str]) -> str:
    def named(found: re.Match[str]) -> str:
        name = found["braced"] or found["bare"] or found["plain"]
        return environ.get(name) or found["default"] or ""

    return _REFERENCE.sub(named, value)


def _with_last_line(reason: str, log: IO[str]) -> str:
    """Return a reason with the last line that a process has written."""
    log.seek(0)
    lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    return f"{reason}: {lines[-1]}" if lines else reason

"""Start of a client's entry as the client starts it: spawn, `initialize`, `tools/list`."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

import anyio

from context7_fabric.client_config.clients import McpClient
from context7_fabric.errors import FabricError

_LONGEST_SECONDS: Final = 60.0
"""Longest wait for the start, also for clients that wait longer."""

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

    Variables that every client passes (PATH, HOME and the like) are added to its environment.

    Raises:
        EntryDoesNotStart: It did not answer.
    """
    from mcp.shared.exceptions import MCPError

    closed = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            return anyio.run(_asked, process, min(limit, _LONGEST_SECONDS), log)
        except (OSError, ValueError, MCPError, ExceptionGroup, *closed) as error:
            raise EntryDoesNotStart(_reason(_innermost(error), process, limit, log)) from None


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


async def _asked(process: EntryProcess, limit: float, log: IO[str]) -> StartedEntry:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    parameters = StdioServerParameters(
        command=process.command, args=list(process.args), env=dict(process.env)
    )
    began = time.monotonic()
    with anyio.fail_after(limit):
        async with (
            stdio_client(parameters, errlog=log) as (read, write),  # type: ignore[arg-type]  # a file
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            listed = await session.list_tools()
            seconds = time.monotonic() - began
    return StartedEntry(seconds, tuple(tool.name for tool in listed.tools))


def _resolved(value: str, environ: Mapping[str, str]) -> str:
    def named(found: re.Match[str]) -> str:
        name = found["braced"] or found["bare"] or found["plain"]
        return environ.get(name) or found["default"] or ""

    return _REFERENCE.sub(named, value)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _reason(error: BaseException, process: EntryProcess, limit: float, log: IO[str]) -> str:
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return f"{process.command!r} cannot be started: {error.strerror or error}"
    log.seek(0)
    lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    if isinstance(error, TimeoutError):
        reason = f"{process.command!r} did not answer within {min(limit, _LONGEST_SECONDS):g} s"
    else:
        reason = f"{process.command!r} ended without an answer"
    return f"{reason}: {lines[-1]}" if lines else reason

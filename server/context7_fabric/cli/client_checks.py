"""Check of the MCP clients for `doctor`: their files, the entry in each, and whether it starts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from context7_fabric.cli.checks import HealthCheck
from context7_fabric.cli.trial import EntryDoesNotStart, StartedEntry, process_of, start
from context7_fabric.client_config.clients import Machine, McpClient
from context7_fabric.client_config.edit import read_file
from context7_fabric.client_config.entries import parse, places_of
from context7_fabric.client_config.locate import clients_here, files_of
from context7_fabric.errors import ClientFileError, ConfigurationSyntaxError

START_SECONDS = 10.0
"""Longest wait for the start of an entry, also for clients that wait longer."""

_AT_ONCE = 4
"""Entries that are started at once; equal ones are started once."""

Start = Callable[[McpClient, Mapping[str, Any]], StartedEntry]
"""Starts an entry of a client, or raises `EntryDoesNotStart`."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """A client's file: `entry` says what reaches Context7 in it.

    `broken` is the reason why the file cannot be read, `failure` the one why our entry does not
    start, and `seconds` the time that its start took.
    """

    client: str
    path: Path
    entry: Literal["none", "ours", "other"] = "none"
    broken: str = ""
    failure: str = ""
    seconds: float = 0.0


def client_facts(machine: Machine, begin: Start | None = None) -> list[ClientFacts]:
    """Return the facts about the files of the clients that are here; blocks.

    `begin` starts an entry, by default as its client does.
    """
    starting, here = begin or _start(machine), clients_here(machine)
    found = [(client, path) for client in here for path in files_of(client, machine)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: _facts(each[0], each[1], starting), found))


def _facts(client: McpClient, path: Path, begin: Start) -> ClientFacts:
    facts = ClientFacts(client.name, path)
    try:
        text = read_file(path).text
        places = list(places_of(client, text))
    except (ClientFileError, ConfigurationSyntaxError) as error:
        return replace(facts, broken=error.reason)
    ours = [(container, each.name) for container, each in places if each.ours]
    if not ours:
        return replace(facts, entry="other" if places else "none")
    container, name = ours[0]
    facts = replace(facts, entry="ours")
    try:
        started = begin(client, parse(text, client.dialect).entries(container)[name])
    except EntryDoesNotStart as error:
        return replace(facts, failure=str(error))
    return replace(facts, seconds=started.seconds)


def _start(machine: Machine) -> Start:
    def begin(client: McpClient, entry: Mapping[str, Any]) -> StartedEntry:
        process = process_of(client, entry, machine.environ)
        return start(process, min(client.limit, START_SECONDS))

    return begin


def judge_clients(clients: Sequence[ClientFacts]) -> list[HealthCheck]:
    """Judge the files of the clients: one line for each that concerns Context7, or cannot be read.

    Pure.
    """
    lines = [_judged(each) for each in clients if each.entry != "none" or each.broken]
    if lines:
        return lines
    if not clients:
        text = "none is here whose file is known"
        return [HealthCheck("clients", "info", text, "`context7-fabric setup CLIENT`")]
    names = list(dict.fromkeys(each.client for each in clients))
    remedy = f"`{shlex.join(['context7-fabric', 'setup', *names])}`"
    return [HealthCheck("clients", "info", f"not set up: {', '.join(names)}", remedy)]


def _judged(facts: ClientFacts) -> HealthCheck:
    name, set_up = f"client {facts.client}", f"`context7-fabric setup {facts.client}`"
    if facts.broken:
        text = f"{facts.path} cannot be read: {facts.broken}"
        return HealthCheck(name, "wrong", text, f"correct it, then run {set_up}")
    if facts.entry == "other":
        text = f"{facts.path} starts Context7's own server"
        return HealthCheck(name, "info", text, set_up)
    if facts.failure:
        text = f"its entry in {facts.path} does not start: {facts.failure}"
        return HealthCheck(name, "wrong", text, set_up)
    return HealthCheck(name, "ok", f"{facts.path} starts in {facts.seconds:.1f} s")

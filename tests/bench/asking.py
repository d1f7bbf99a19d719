"""Servers of the product, asked one thing after the other: what a hit takes, what they know."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.answered import question
from bench.pipes import Pipes
from context7_fabric.models import QUERY_DOCS, RESOLVE
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.registry.rows import Row

KNOWN_SECONDS = 300.0
"""How long a server may take to know its rows."""

USE_SECONDS = 15.0
"""How long a server is used to see what it costs: three times as long as its counts wait."""

HIT = b'"outcome":"hit"'


def hit(server: Pipes, library: LibraryId, number: int) -> float:
    """Ask for an answer; return the ms."""
    asked = {"libraryId": str(library), "query": question(number)}
    begun = time.perf_counter()
    reply = server.reply("tools/call", name=QUERY_DOCS, arguments=asked)
    took = (time.perf_counter() - begun) * 1000
    if HIT not in reply.replace(b" ", b""):
        raise RuntimeError(f"no hit: {reply[:500]!r}")
    return took


def wait_until_known(server: Pipes, row: Row) -> None:
    """Look a row up until the server knows it: it reads them behind its first answers.

    Raises:
        TimeoutError: It does not come to know it.
    """
    asked, deadline = {"libraryName": row.name, "query": "How?"}, time.monotonic() + KNOWN_SECONDS
    while row.id.encode() not in server.reply("tools/call", name=RESOLVE, arguments=asked):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row.name} is not known")
        time.sleep(0.01)


def shares_of(pids: Sequence[int], once_a_second: Callable[[], object]) -> list[float]:
    """Return what share of a core each process takes meanwhile."""
    before, begun = [*map(_cpu_seconds, pids)], time.perf_counter()
    while time.perf_counter() - begun < USE_SECONDS:
        once_a_second()
        time.sleep(1.0)
    took = time.perf_counter() - begun
    return [(_cpu_seconds(pid) - then) / took for pid, then in zip(pids, before, strict=True)]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""What resources cost: reading the newest of many records, and hearing of a change elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

import anyio

from bench.pipes import Pipes
from bench.recorded import keep_in, made_up
from bench.recording import serving
from bench.rounds import Times
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric

RECORDS = 10_000
INDEX = f"fabric://{Scope.EXECUTION}"
KEY = "bench:notice"
UPDATED = "notifications/resources/updated"
LONGEST_PAUSE = 0.5
"""Seconds between two writes at most; drawn: writes keep no step with the looks of the server."""


def reading(home: Path, times: int) -> Times:
    """Read the newest records `times` times, from a store of `RECORDS`."""
    anyio.run(keep_in, home, made_up(RECORDS, time.time()))
    with serving(home) as server:
        _check_index(server)
        return Times(f"reading {INDEX}", (tuple(_read(server) for _ in range(times)),))


def _read(server: Pipes) -> float:
    begun = time.perf_counter()
    server.reply("resources/read", uri=INDEX)
    return (time.perf_counter() - begun) * 1000


def _check_index(server: Pipes) -> None:
    """See that it is a page of records that is timed; the first read opens connections, too."""
    (content,) = server.ask("resources/read", uri=INDEX)["contents"]
    told = json.loads(content["text"])
    assert told["next"], told
    assert all(each["key"].startswith("execution:") for each in told["entries"]), told


def noticing(home: Path, times: int) -> Times:
    """Write a context from this process `times` times, each time until a server told of it."""
    with serving(home) as server:
        uri = f"fabric://{Scope.USER}/{KEY.replace(':', '%3A')}"
        server.ask("resources/subscribe", uri=uri)
        waits = anyio.run(_waits, home, server, uri, times)
    return Times("a notice to another process", (tuple(waits),))


async def _waits(home: Path, server: Pipes, uri: str, times: int) -> list[float]:
    random, waits = Random(times), list[float]()  # noqa: S311  # the same every time
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        for number in range(times):
            await anyio.sleep(random.uniform(0.0, LONGEST_PAUSE))
            begun = time.perf_counter()
            assert await fabric.set_context(KEY, number, Scope.USER, ttl=60.0)
            assert server.hear(UPDATED)["uri"] == uri
            waits.append((time.perf_counter() - begun) * 1000)
    return waits

"""Records of calls: the cost of writing them, of reading them, and of a change made elsewhere.

Hits: the product as users start it, over stdio, with nothing but its store. Two servers, one that
records and one that does not (CONTEXT7_FABRIC_EXECUTIONS_KEEP=0s), take turns in short rounds, at
two paces: a client that rests 20 ms after every answer, still far more than an agent asks for, and
one that never rests. Claims are made of the first. Times are the client's, from request to answer.

Reading: fabric://EXECUTION with 10,000 records in the store. Notices: a context is written by one
process, and a client that subscribed to it at another waits for the notice.

Takes about six minutes, with --quick (fewer calls and rounds) about one.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
from rich.table import Table

from bench.harness import (
    QUICK,
    Report,
    Times,
    milliseconds_since,
    percentile,
    ratio,
    run,
    timed,
    timed_race,
)
from bench.mcp_client import Client, product
from bench.recorded import keep_in, made_up
from bench.workload import DOCS, docs, is_hit
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.runtime.runtime import open_app
from support.app_server import call, connected, provenance
from support.product import product_environment
from support.scripted import ScriptedUpstream, settings_for

LIBRARY = "/widgets/widget1"
QUESTIONS = [f"How do I turn widget number {number}?" for number in range(50)]
RESTING, RESTLESS = "a hit, then 20 ms of rest", "one hit after the other"
REST_SECONDS = 0.02
SETTLE_SECONDS = 1.0  # the records of a lap are written before the next lap begins
RECORDS = 10_000
INDEX = f"fabric://{Scope.EXECUTION}"
KEY = "bench:notice"
UPDATED = "notifications/resources/updated"
LONGEST_PAUSE = 0.5  # between two writes; drawn, for the server looks at fixed times
MOST_RATIO = 1.05
MOST_READING_MS = 20.0
MOST_NOTICE_MS = 1000.0


PACES = {RESTING: (REST_SECONDS, 150, 20), RESTLESS: (0.0, 1500, 9)}  # pause, calls, rounds
READS, NOTICES = 300, 120


def measure(options: argparse.Namespace) -> Report:
    """Measure hits at both paces, then reading, then notices."""
    report, share = Report("Records of calls"), 0.2 if options.quick else 1.0
    table = report.table("", "", "p50 ms", "p99 ms", "calls")
    with TemporaryDirectory(prefix="records-") as temporary:
        folder = Path(temporary)
        anyio.run(_fill, folder / "filled")
        for name, (pause, calls, rounds) in PACES.items():
            times = _hits(folder, pause, calls, max(3, int(rounds * share)))
            _add_hits(report, table, name, times)
        reading = _reading(folder / "many", int(READS * share))
        notices = _notices(folder / "noticed", int(NOTICES * share))
    _add_times(report, table, f"reading {INDEX}", reading)
    _add_times(report, table, "a notice to another process", notices)
    text = f"p50 of reading the newest of {RECORDS:,} records"
    report.at_most(text, reading.p50, MOST_READING_MS, " ms")
    report.at_most("p99 of a notice to another process", notices.p99, MOST_NOTICE_MS, " ms")
    return report


def _add_times(report: Report, table: Table, name: str, times: Times) -> None:
    table.add_row(name, *times.cells())
    report.figures[f"{name}, ms"] = times.p50


def _add_hits(report: Report, table: Table, pace: str, times: Mapping[str, Times]) -> None:
    for name, each in times.items():
        _add_times(report, table, f"{pace}, {name}", each)
    found = ratio(times["on"], times["off"])
    p99s = {name: [percentile(lap, 0.99) for lap in each.rounds] for name, each in times.items()}
    slower = statistics.median(p99s["on"]) - statistics.median(p99s["off"])
    spread = max(p99s["off"]) - min(p99s["off"])
    report.remarks.append(
        f"{pace}: p50 {found.median:.3f} times ({found.least:.3f} to {found.greatest:.3f} by"
        f" round), median round's p99 {slower:+.2f} ms (spread without: {spread:.2f} ms)"
    )
    if pace == RESTING:
        report.at_most("p50 of a hit with recording, times as long", found.median, MOST_RATIO)
        text = "p99 that recording adds to a hit, within the spread of rounds without it"
        report.at_most(text, slower, spread, " ms")


async def _fill(home: Path) -> None:
    """Let `home` hold an answer to each of the questions."""
    settings = settings_for(home, MODEL="off", EXECUTIONS_KEEP="0s")
    upstream = ScriptedUpstream()
    async with open_app(settings, connect=lambda _tasks: upstream) as app, connected(app) as client:
        for question in QUESTIONS:
            answer = await call(client, DOCS, libraryId=LIBRARY, query=question)
            assert provenance(answer)["outcome"] == "miss", answer


def _serving(home: Path, **variables: str) -> AbstractContextManager[Client]:
    """Run the product on `home` without an upstream, for the length of a block."""
    named = {f"CONTEXT7_FABRIC_{name}": value for name, value in variables.items()}
    return product(product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", **named}))


def _hits(folder: Path, pause: float, calls: int, rounds: int) -> dict[str, Times]:
    """Measure hits with recording and without, on copies of a home."""
    homes = [
        shutil.copytree(folder / "filled", folder / f"{each} {pause}") for each in ("on", "off")
    ]
    with _serving(homes[0]) as on, _serving(homes[1], EXECUTIONS_KEEP="0s") as off:
        laps = {"on": partial(_lap, on, pause), "off": partial(_lap, off, pause)}
        questions = [*islice(cycle(QUESTIONS), calls)]
        return anyio.run(timed_race, laps, lambda: questions, rounds)


async def _lap(server: Client, pause: float, questions: Sequence[str]) -> list[float]:
    times, replies = [], []
    for question in questions:
        await anyio.sleep(pause)
        begun = time.perf_counter()
        replies.append(server.call(DOCS, docs(LIBRARY, question)))
        times.append(milliseconds_since(begun))
    if not all(map(is_hit, replies)):
        raise RuntimeError(f"not every call was a hit: {replies[0]!r}")
    await anyio.sleep(SETTLE_SECONDS)
    return times


def _reading(home: Path, count: int) -> Times:
    anyio.run(keep_in, home, made_up(RECORDS, time.time()))
    with _serving(home) as server:
        (content,) = server.ask("resources/read", uri=INDEX)["contents"]
        page = json.loads(content["text"])
        assert page["next"], page
        assert all(each["key"].startswith("execution:") for each in page["entries"]), page
        read = timed(partial(server.reply, uri=INDEX), blocks=True)
        return Times([anyio.run(read, ["resources/read"] * count)])


def _notices(home: Path, count: int) -> Times:
    """Write a context from this process, each time until a server has sent a notice."""
    with _serving(home) as server:
        uri = f"fabric://{Scope.USER}/{KEY.replace(':', '%3A')}"
        server.ask("resources/subscribe", uri=uri)
        return Times([anyio.run(_waits, home, server, uri, count)])


async def _waits(home: Path, server: Client, uri: str, count: int) -> list[float]:
    random, waits = Random(count), list[float]()  # noqa: S311  # the same every time
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        for number in range(count):
            await anyio.sleep(random.uniform(0.0, LONGEST_PAUSE))
            begun = time.perf_counter()
            assert await fabric.set_context(KEY, number, Scope.USER, ttl=60.0)
            assert server.notification(UPDATED)["uri"] == uri
            waits.append(milliseconds_since(begun))
    return waits


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK))

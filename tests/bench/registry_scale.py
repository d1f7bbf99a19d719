"""The registry's suggestions at 50, 1,000, 10,000 and 100,000 rows: time, memory, and who waits.

Each size runs in a process of its own. Rows are made up of the seeds' words; the model is the real
one, in a real worker. Vectors of all but 1,000 rows are stored beforehand (made up, which costs a
search the same), so that the filling of the index is measured, and of those 1,000 the embedding as
well. Meanwhile exact look-ups are due every two milliseconds; theirs is the time from when they
were due.

Needs the model.
"""

import argparse
import gc
import json
import os
import random
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from bench.harness import Lap, Report, memory, milliseconds_since, percentile, run, timed
from bench.registry_rows import ROWS, SIZES, described_rows, in_own_process
from context7_fabric.models import PUBLIC
from context7_fabric.registry.matching import NameIndex
from context7_fabric.registry.rows import Row
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import _digest
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker.process import open_link
from context7_fabric.suggestions.worker_client import WorkerClient
from support.model import model_path
from support.processes import wait_gone

EMBEDDED = 1_000
PHRASES = 300
EVERY = 0.002
QUIET = 3.0
IDLE = 5.0
FOREVER = 1_800.0

Work = Callable[[], Awaitable[object]]
Figures = dict[str, float]  # times in seconds or ms as named, memory in MB
CLAIMS: dict[str, Callable[[Figures], bool]] = {
    "a suggestion takes less than 30 ms (p50)": lambda f: f["p50 ms"] < 30,
    "ranking by words takes less than 20 ms (p99)": lambda f: f["words p99 ms"] < 20,
    "the serving process has less than 300 MB": lambda f: f["serving mb"] < 300,
    "the worker never had more than 700 MB": lambda f: f["worker mb"] < 700,
    "the worker is gone within 2 s of its idle time": lambda f: f["worker gone s"] < IDLE + 2,
    "filling the index makes exact look-ups less than 5 ms later (p99)": (
        lambda f: f["exact busy p99 ms"] < f["exact quiet p99 ms"] + 5
    ),
}


def measure(options: argparse.Namespace) -> Report:
    """Measure every size, each in a process of its own."""
    model_path()
    report, sizes = Report("The registry's suggestions"), options.rows or SIZES
    found: list[Figures] = [in_own_process(__file__, size) for size in sizes]
    table = report.table("", "", *(f"{size:,} rows" for size in sizes))
    for name in found[0]:
        values = (each[name] for each in found)
        table.add_row(name, *(f"{v:,}" if isinstance(v, int) else f"{v:.2f}" for v in values))
    report.figures = {
        f"{size:,} rows: {name}": value
        for size, each in zip(sizes, found, strict=True)
        for name, value in each.items()
    }
    for claim, holds in CLAIMS.items():
        kept = [holds(each) for each in found]
        report.claim(claim, f"at {sum(kept)} of {len(kept)} sizes", holds=all(kept))
    return report


def _phrases(rows: Sequence[Row]) -> list[str]:
    """Return searches: some words of some descriptions."""
    chance = random.Random(8)  # noqa: S311  # no secret
    described = [chance.choice(rows).description.split() for _ in range(PHRASES)]
    return [" ".join(chance.sample(words, min(len(words), 5))) for words in described]


class StoredVectors:
    """Made-up vectors of all rows but the first, as if the worker's model had made them."""

    def __init__(self, rows: Sequence[Row], model: str) -> None:
        self._rows = {row.key: row for row in rows[EMBEDDED:]}
        self._model = model
        chance = random.Random(9)  # noqa: S311  # no secret
        length = 384**-0.5
        signs = (chance.choices((-length, length), k=384) for _ in range(256))
        self._vectors = [struct.pack("<384f", *each) for each in signs]

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        known = (self._rows[key] for key in keys if key in self._rows)
        return {row.key: _digest(self._model, row) + self._vector(row.key) for row in known}

    async def save(self, vectors: dict[str, bytes]) -> None:
        """Drop them."""

    def _vector(self, key: str) -> bytes:
        return self._vectors[hash(key) % len(self._vectors)]


async def _late_look_ups(index: NameIndex[Row], names: Sequence[str], work: Work) -> list[float]:
    """Look names up at fixed times while `work` is done; return by how many ms each was late."""
    late: list[float] = []

    async def look_up() -> None:
        due = time.perf_counter()
        while True:
            due += EVERY
            await anyio.sleep(max(0.0, due - time.perf_counter()))
            index.find(names[len(late) % len(names)])
            late.append(milliseconds_since(due))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_up)
        await work()
        tasks.cancel_scope.cancel()
    return late


async def _measure(size: int) -> Figures:
    """Measure one size in this process."""
    settings = SuggestionSettings(Path("/nowhere"), model_path=model_path(), idle_seconds=IDLE)
    async with open_link(IDLE) as link:
        hello = await link.request("hello", FOREVER, **settings.hello())
    rows = list(described_rows(size))
    asked, begun = _phrases(rows), time.perf_counter()
    look_ups = partial(_late_look_ups, NameIndex(rows), [row.name for row in rows[:1_000]])
    names_ms = milliseconds_since(begun)
    stored = StoredVectors(rows, str((hello or {})["model"]))
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, settings)
        suggester = Suggester(tasks, lambda: rows, stored, worker, PUBLIC)
        quiet = await look_ups(lambda: anyio.sleep(QUIET))
        begun = time.perf_counter()
        suggester._begin()
        await suggester._loaded.wait()
        read_ms, words = milliseconds_since(begun), await _by_words(suggester)(asked)
        begun = time.perf_counter()
        busy = await look_ups(lambda: suggester.settle(FOREVER))
        fill_ms, indexed = milliseconds_since(begun), await suggester.indexed() or 0
        vectors = await _by_vectors(suggester)(asked)
        at_the_end = await _at_the_end(suggester)
        await worker.aclose()
    return {
        "names s": names_ms / 1000,
        "words s": read_ms / 1000,
        "fill s": fill_ms / 1000,
        "indexed": indexed,
        "words p50 ms": statistics.median(words),
        "words p99 ms": percentile(words, 0.99),
        "p50 ms": statistics.median(vectors),
        "p99 ms": percentile(vectors, 0.99),
        "exact quiet p99 ms": percentile(quiet, 0.99),
        "exact busy p99 ms": percentile(busy, 0.99),
        "exact busy max ms": max(busy),
        **at_the_end,
    }


def _by_words(suggester: Suggester) -> Lap[str, list[float]]:
    return timed(lambda phrase: (suggester._words.match(phrase).best(5), True), blocks=True)


def _by_vectors(suggester: Suggester) -> Lap[str, list[float]]:
    async def suggest(phrase: str) -> bool:
        return (await suggester.suggest(phrase)).method == "vectors"

    return timed(suggest)


async def _at_the_end(suggester: Suggester) -> Figures:
    """Return the memory that is held, and the time until the idle worker has ended."""
    gc.collect()
    pid = suggester.worker_pid
    assert pid is not None
    memories = {"serving mb": memory(os.getpid()), "worker mb": memory(pid, "VmHWM")}
    begun = time.perf_counter()
    await anyio.to_thread.run_sync(wait_gone, [pid], FOREVER)
    return {**memories, "worker gone s": milliseconds_since(begun) / 1000}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(anyio.run(_measure, int(sys.argv[2]))))
        sys.exit()
    sys.exit(run(__doc__, measure, rows=ROWS))

"""The registry's suggestions at 50, 1,000, 10,000 and 100,000 rows: time, memory, and who waits.

    PYTHONPATH=tests .venv/bin/python tests/bench/registry_scale.py [--rows N]... [--json]

Each size runs in a process of its own. Rows are made up of the seeds' words; the model is the real
one, in a real worker. Vectors of all but 1,000 rows are stored beforehand (made up, which costs a
search the same), so that filling the index is measured and, as far as it holds those 1,000,
embedding as well. Meanwhile exact look-ups are due every two milliseconds; theirs is the time from
when they were due.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage, 3 the model cannot be had.
"""

import argparse
import gc
import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from context7_fabric.models import PUBLIC
from context7_fabric.registry.matching import NameIndex
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import _digest
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.suggestions.worker.process import open_link
from context7_fabric.suggestions.worker_client import WorkerClient
from support.model import model_path
from support.processes import wait_gone

SIZES = (50, 1_000, 10_000, 100_000)
EMBEDDED = 1_000
PHRASES = 300
EVERY = 0.002
QUIET = 3.0
IDLE = 5.0
FOREVER = 1_800.0
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstz" for vowel in "aeiou"]


@dataclass
class Figures:
    """What was measured at one size; times in seconds or ms as named, memory in MB."""

    rows: int
    names_s: float = 0.0
    words_s: float = 0.0
    fill_s: float = 0.0
    indexed: int = 0
    words_p50_ms: float = 0.0
    words_p99_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    exact_quiet_p99_ms: float = 0.0
    exact_busy_p99_ms: float = 0.0
    exact_busy_max_ms: float = 0.0
    serving_mb: float = 0.0
    worker_mb: float = 0.0
    worker_gone_s: float = 0.0


CLAIMS: dict[str, Callable[[Figures], bool]] = {
    "a suggestion takes less than 30 ms (p50)": lambda f: f.p50_ms < 30,
    "ranking by words takes less than 20 ms (p99)": lambda f: f.words_p99_ms < 20,
    "the serving process has less than 300 MB": lambda f: f.serving_mb < 300,
    "the worker never had more than 700 MB": lambda f: f.worker_mb < 700,
    "the worker is gone within 2 s of its idle time": lambda f: f.worker_gone_s < IDLE + 2,
    "filling the index makes exact look-ups less than 5 ms later (p99)": (
        lambda f: f.exact_busy_p99_ms < f.exact_quiet_p99_ms + 5
    ),
}


def made_up(count: int) -> Iterator[Row]:
    """Rows with names and descriptions of the seeds' words, in the same order every time."""
    chance = random.Random(7)  # noqa: S311  # no secret
    seeds = load_seeds().libraries
    words = [word for seed in seeds for word in seed.row.description.split()]
    parts = sorted({part for seed in seeds for part in seed.row.name.strip("@").split("-")})
    for number in range(count):
        like = chance.choice(seeds).row
        tail = "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))
        own = like.description.split()
        told = [word if chance.random() < 0.5 else chance.choice(words) for word in own]
        name = f"{chance.choice(parts)}-{tail}{number:x}"
        yield Row(
            name=name,
            ecosystem=like.ecosystem,
            id=f"/{tail}/{name}",
            aliases=(name.replace("-", ""),),
            category=like.category,
            title=name.title(),
            description=" ".join(told),
            usage_count=int(chance.paretovariate(1.2)) - 1,
        )


def phrases(rows: Sequence[Row]) -> list[str]:
    """What people might ask for: some words of some descriptions."""
    chance = random.Random(8)  # noqa: S311  # no secret
    told = [chance.choice(rows).description.split() for _ in range(PHRASES)]
    return [" ".join(chance.sample(words, min(len(words), 5))) for words in told]


class Stored:
    """Made-up vectors of all rows but some, as if the worker's model had left them."""

    def __init__(self, rows: Sequence[Row], model: str) -> None:
        self._rows = {row.key: row for row in rows[EMBEDDED:]}
        self._model = model
        chance = random.Random(9)  # noqa: S311  # no secret
        length = 384**-0.5
        signs = (chance.choices((-length, length), k=384) for _ in range(256))
        self._vectors = [struct.pack("<384f", *each) for each in signs]

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        known = (self._rows[key] for key in keys if key in self._rows)
        return {row.key: _digest(self._model, row) + self._made_up(row.key) for row in known}

    async def save(self, vectors: dict[str, bytes]) -> None:
        """Let go of them."""

    def _made_up(self, key: str) -> bytes:
        return self._vectors[hash(key) % len(self._vectors)]


class Due:
    """Exact look-ups that are due every so often, and how late each was done."""

    def __init__(self, index: NameIndex[Row], names: Sequence[str]) -> None:
        self._index = index
        self._names = names

    async def during(self, work: Callable[[], Awaitable[object]]) -> list[float]:
        """Look up while `work` is done; return the times in seconds."""
        times: list[float] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_up, times)
            await work()
            tasks.cancel_scope.cancel()
        return times

    async def _look_up(self, times: list[float]) -> None:
        due = time.perf_counter()
        while True:
            due += EVERY
            await anyio.sleep(max(0.0, due - time.perf_counter()))
            self._index.find(self._names[len(times) % len(self._names)])
            times.append(time.perf_counter() - due)


async def measure(size: int) -> Figures:
    """Measure one size in this process."""
    figures, settings = Figures(size), _settings()
    async with open_link(IDLE) as link:
        hello = await link.request("hello", FOREVER, **settings.hello())
    rows = list(made_up(size))
    started = time.perf_counter()
    due = Due(NameIndex(rows), [row.name for row in rows[:1_000]])
    figures.names_s = time.perf_counter() - started
    stored = Stored(rows, str((hello or {})["model"]))
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, settings)
        suggester = Suggester(tasks, lambda: rows, stored, worker, PUBLIC)
        quiet = await due.during(lambda: anyio.sleep(QUIET))
        await _by_words(suggester, phrases(rows), figures)
        await _by_vectors(suggester, phrases(rows), due, figures)
        await _afterwards(suggester, figures)
        await worker.aclose()
    figures.exact_quiet_p99_ms = percentile(quiet, 0.99)
    return figures


def _settings() -> SuggestionSettings:
    return SuggestionSettings(Path("/nowhere"), model_path=model_path(), idle_seconds=IDLE)


async def _by_words(suggester: Suggester, asked: Sequence[str], figures: Figures) -> None:
    """Time the reading of all rows, and the ranking by words, in the calling thread."""
    started = time.perf_counter()
    suggester._begin()
    await suggester._loaded.wait()
    figures.words_s = time.perf_counter() - started
    times = []
    for phrase in asked:
        started = time.perf_counter()
        suggester._words.match(phrase).best(5)
        times.append(time.perf_counter() - started)
    figures.words_p50_ms = percentile(times, 0.5)
    figures.words_p99_ms = percentile(times, 0.99)


async def _by_vectors(
    suggester: Suggester, asked: Sequence[str], due: Due, figures: Figures
) -> None:
    """Time the filling of the index with exact look-ups beside it, then whole suggestions."""
    started = time.perf_counter()
    busy = await due.during(lambda: suggester.settle(FOREVER))
    figures.fill_s = time.perf_counter() - started
    figures.indexed = await suggester.indexed() or 0
    figures.exact_busy_p99_ms = percentile(busy, 0.99)
    figures.exact_busy_max_ms = max(busy) * 1_000
    times = []
    for phrase in asked:
        started = time.perf_counter()
        suggestions = await suggester.suggest(phrase)
        times.append(time.perf_counter() - started)
        assert suggestions.method == "vectors", suggester.trouble
    figures.p50_ms, figures.p99_ms = percentile(times, 0.5), percentile(times, 0.99)


async def _afterwards(suggester: Suggester, figures: Figures) -> None:
    """Read how much memory is held, and wait for the worker's end."""
    gc.collect()
    pid = suggester.worker_pid
    assert pid is not None
    figures.serving_mb, figures.worker_mb = memory(os.getpid(), "VmRSS"), memory(pid, "VmHWM")
    started = time.perf_counter()
    await anyio.to_thread.run_sync(wait_gone, [pid], FOREVER)
    figures.worker_gone_s = time.perf_counter() - started


def percentile(times: Sequence[float], share: float) -> float:
    """Return a percentile of `times` in ms."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)] * 1_000


def memory(pid: int, what: str) -> float:
    """Return VmRSS (now) or VmHWM (at most) of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024


def _table(found: Sequence[Figures]) -> Table:
    """Return the figures, a column a size."""
    shown = Table("", *(f"{each.rows:,} rows" for each in found))
    for name in list(asdict(found[0]))[1:]:
        values = (getattr(each, name) for each in found)
        cells = (f"{v:,}" if isinstance(v, int) else f"{v:.2f}" for v in values)
        shown.add_row(name.replace("_", " "), *cells)
    return shown


def main() -> int:
    """Measure every size, each in a process of its own; return the exit code."""
    parser = argparse.ArgumentParser(description="Suggestions at four sizes of the registry.")
    parser.add_argument("--rows", type=int, action="append", help="a size; all four without")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(asdict(anyio.run(measure, options.rows[0]))))
        return 0
    try:
        model_path()
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
        return 3
    told = machine()
    found = [_apart(size) for size in options.rows or SIZES]
    kept = {claim: all(map(holds, found)) for claim, holds in CLAIMS.items()}
    _show(told, found, kept, as_json=options.json)
    return 0 if all(kept.values()) else 1


def _apart(size: int) -> Figures:
    command = [sys.executable, __file__, "--here", "--rows", str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Figures(**json.loads(done.stdout))


def _show(told: str, found: Sequence[Figures], kept: Mapping[str, bool], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"machine": told, "sizes": [asdict(each) for each in found], **kept}))
        return
    print(told)
    Console(width=100, highlight=False).print(_table(found))
    for claim, holds in kept.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")


if __name__ == "__main__":
    sys.exit(main())

"""Growth with the store: Redis by answers, rows and records, a server by rows, and a hit.

Redis is a real one on this machine that keeps nothing on disk; its figures are what it calls
used_memory. Answers are texts of 5,000 to 7,000 characters about 997 libraries, rows those of
`registry_scale.py`, records those of `records.py`. Hits are asked of a server on stdio that has not
served these answers before, one after the other, at random, none twice, by turns with a second
server whose Redis has 1,000 answers.

A server is started on so many rows in Redis, without a model: until it replies to initialize, and
until it knows the row that is used most, looked up by its name over and over. Then it answers a
question about that library once a second for 15 s: what share of a core it takes, and what another
server that is idle takes meanwhile.

Answers and rows grow from 1,000 to 1,000,000, which takes about ten minutes and 9 GB (`--answers N`
stops earlier); with --quick to 10,000, which takes one.
"""

import argparse
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import cast

import anyio
from rich.table import Table

from bench.harness import QUICK, Report, Times, memory, milliseconds_since, run
from bench.mcp_client import Client, product
from bench.recorded import keep
from bench.recorded import made_up as made_up_records
from bench.registry_rows import described_rows, wait_until_known
from bench.workload import DOCS, docs, is_hit
from context7_fabric.answers.stored import RecordFactory, docs_key
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import question_key
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.row_store import RowStore
from context7_fabric.settings.values import DEFAULT_UPSTREAM
from support.documents import Edition, context_text
from support.product import product_environment
from support.redis_servers import RedisServer, redis_server
from support.scripted import LIBRARY

FULL_SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = FULL_SIZES[:2]
RECORDS = 10_000
CALLS = 500
LEAST, MOST = 5_000, 7_000  # characters of an answer, as Context7 sends it
LIBRARIES = 997
AT_ONCE = 1_000  # entries that are stored together
USE_SECONDS = 15.0  # time of use to see what it costs: three intervals of its counting
MOST_TIMES_SLOWER = 1.5
MOST_TIMES_TEXT = 1.5
MIDDLE_TEXT = 6_000
MOST_MIB = 200
TEAMS_ROWS = 10_000


class Store:
    """A Redis, and a folder for the homes of servers on it."""

    def __init__(self, redis: RedisServer, folder: Path) -> None:
        self._redis = redis
        self._folder = folder
        self.answers = 0

    @property
    def used_memory(self) -> int:
        """Bytes that Redis says it uses."""
        lines = self._redis.cli("info", "memory").splitlines()
        (line,) = (each for each in lines if each.startswith("used_memory:"))
        return int(line.partition(":")[2])

    def clear(self) -> None:
        self._redis.cli("flushall")
        self.answers = 0

    def fill(self, write: Callable[[Fabric], Awaitable[object]]) -> tuple[int, float]:
        """Let `write` store something; return its bytes and the seconds it took."""

        async def fill() -> None:
            async with Fabric(RedisBackend(self._redis.url), time.time) as fabric:
                await write(fabric)

        before, begun = self.used_memory, time.perf_counter()
        anyio.run(fill)
        seconds = time.perf_counter() - begun
        return self.used_memory - before, seconds

    def server(self, home: str) -> AbstractContextManager[Client]:
        """Run the product on this Redis for the length of a block, after the handshake."""
        own = {"CONTEXT7_FABRIC_BACKEND": self._redis.url, "CONTEXT7_FABRIC_UPSTREAM": "off"}
        return product(product_environment(self._folder / home, own))


@contextmanager
def _store() -> Iterator[Store]:
    with TemporaryDirectory(prefix="growth-") as folder, redis_server() as redis:
        yield Store(redis, Path(folder))


def measure(options: argparse.Namespace) -> Report:
    """Measure each size: rows first, then records, then answers with hits."""
    sizes, report = QUICK_SIZES if options.quick else FULL_SIZES, Report("Growth with the store")
    stored = report.table("", "in Redis", "number", "bytes each", "filled in s")
    serving = report.table(
        "", "rows", "initialize, ms", "all known, ms", "RSS, MiB", "core, used",
        "core, the other", left=0,
    )  # fmt: skip
    hits = report.table(
        "", "answers", "Redis, MB", "hit p50, ms", "p99, ms", "hits", "times the fewest's", left=0
    )
    with _store() as store, _store() as small:
        for rows in sizes:
            store.clear()
            _add_stored(stored, "rows", rows, store.fill(_writing_rows(rows)))
            _add_serving(report, serving, store, rows)
        store.clear()
        records = made_up_records(RECORDS, time.time())
        filled = store.fill(lambda fabric: keep(fabric, records))
        _add_stored(stored, "records of calls", RECORDS, filled)
        store.clear()
        _fill_answers(small, sizes[0])
        most_answers = options.answers or sizes[-1]
        ratios, each = {}, 0.0
        for answers in (size for size in sizes if size <= most_answers):
            new, before = answers - store.answers, store.answers
            each = _add_stored(stored, "answers", new, _fill_answers(store, answers, before))
            ratios[answers] = _add_hits(report, hits, store, small)
    _add_claims(report, ratios, each)
    return report


def _add_stored(table: Table, kind: str, count: int, filled: tuple[int, float]) -> float:
    """Add a line; return the bytes of one entry."""
    size, seconds = filled
    table.add_row(kind, f"{count:,}", f"{size / count:,.0f}", f"{seconds:.1f}")
    return size / count


def _writing_rows(count: int) -> Callable[[Fabric], Awaitable[object]]:
    async def write(fabric: Fabric) -> None:
        rows, store = described_rows(count), RowStore(fabric, PUBLIC)
        while part := list(islice(rows, AT_ONCE)):
            await store.save(part)

    return write


def _add_serving(report: Report, table: Table, store: Store, rows: int) -> None:
    """Start two servers on the rows that are stored, and use the first."""
    most_used = max(described_rows(rows), key=lambda row: row.usage_count)
    library = LibraryId(*most_used.id.strip("/").split("/"))
    answer = [_stored(library, _question(0), _longest_text())]
    store.fill(lambda fabric: _write(fabric, iter(answer)))
    begun = time.perf_counter()
    with store.server("one") as server:
        initialize_ms = milliseconds_since(begun)
        wait_until_known(server, most_used)
        known_ms = milliseconds_since(begun)
        with store.server("other") as other:
            wait_until_known(other, most_used)
            shares = _core_shares([server, other], lambda: _hit(server, library, 0))
        resident = memory(server.pid)
    times = f"{initialize_ms:,.0f}", f"{known_ms:,.0f}"
    table.add_row(f"{rows:,}", *times, f"{resident:.0f}", *(f"{each:.1%}" for each in shares))
    report.figures[f"{rows:,} rows: known, ms"] = known_ms
    if rows == TEAMS_ROWS:
        report.at_most(f"memory of a server on {TEAMS_ROWS:,} rows", resident, MOST_MIB, " MiB")


def _core_shares(servers: Sequence[Client], once_a_second: Callable[[], object]) -> list[float]:
    """Return the share of a core that each server takes meanwhile."""
    before, begun = [_cpu_seconds(each.pid) for each in servers], time.perf_counter()
    while time.perf_counter() - begun < USE_SECONDS:
        once_a_second()
        time.sleep(1.0)
    took, after = time.perf_counter() - begun, [_cpu_seconds(each.pid) for each in servers]
    return [(now - then) / took for now, then in zip(after, before, strict=True)]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fill_answers(store: Store, count: int, first: int = 0) -> tuple[int, float]:
    whole, chance = _longest_text(), Random(5)  # noqa: S311  # no secret
    answers = (
        _stored(_library(number), _question(number), whole[: chance.randint(LEAST, MOST)])
        for number in range(first, count)
    )
    store.answers = count
    return store.fill(lambda fabric: _write(fabric, answers))


def _library(number: int) -> LibraryId:
    return LibraryId("widgets", f"widget{number % LIBRARIES}")


def _question(number: int) -> str:
    return f"How do I turn number{number:x} around?"


def _longest_text() -> str:
    text = context_text(Edition(library=LIBRARY, version=None, revision=1), "widgets")
    return (text * (MOST // len(text) + 1))[:MOST]


def _stored(library: LibraryId, question: str, text: str) -> tuple[str, Json]:
    """Return an answer as the product stores it, with its key."""
    key = docs_key(question_key(library, question, mode="any", page=1))
    record = RecordFactory(time.time, DEFAULT_UPSTREAM).answer(text, str(library), question, PUBLIC)
    return owned(key, PUBLIC), cast("Json", asdict(record))


async def _write(fabric: Fabric, contexts: Iterator[tuple[str, Json]]) -> None:
    while part := dict(islice(contexts, AT_ONCE)):
        assert await fabric.set_many(part)


def _add_hits(report: Report, table: Table, store: Store, small: Store) -> float:
    """Ask for answers at random, none twice, by turns here and there; return the times as long."""
    numbers = [Random(CALLS).sample(range(each.answers), CALLS) for each in (store, small)]  # noqa: S311
    ours, others = list[float](), list[float]()
    with store.server("one") as server, small.server("one") as other:
        for number, others_number in zip(*numbers, strict=True):
            ours.append(_hit(server, _library(number), number))
            others.append(_hit(other, _library(others_number), others_number))
    times, beside = (Times([each[1:]]) for each in (ours, others))  # the first opens connections
    times_as_long = times.p50 / beside.p50
    used = f"{store.used_memory / 1e6:,.0f}"
    table.add_row(f"{store.answers:,}", used, *times.cells(), f"{times_as_long:.2f}")
    report.figures[f"{store.answers:,} answers: hit, ms"] = times.p50
    return times_as_long


def _hit(server: Client, library: LibraryId, number: int) -> float:
    """Ask for an answer; return the ms."""
    begun = time.perf_counter()
    reply = server.call(DOCS, docs(str(library), _question(number)))
    took = milliseconds_since(begun)
    if not is_hit(reply):
        raise RuntimeError(f"no hit: {reply[:500]!r}")
    return took


def _add_claims(report: Report, ratios: dict[int, float], bytes_each: float) -> None:
    least, most = min(ratios), max(ratios)
    text = f"p50 of a hit among {most:,} answers, times as long as among {least:,}, by turns"
    report.at_most(text, ratios[most], MOST_TIMES_SLOWER)
    text = f"bytes of an answer of {MIDDLE_TEXT:,} characters"
    report.at_most(text, bytes_each, MOST_TIMES_TEXT * MIDDLE_TEXT)


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK, answers={"type": int, "metavar": "N"}))

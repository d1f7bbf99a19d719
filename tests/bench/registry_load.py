"""The registry out of the fabric: time to load, exact look-ups, memory, at four sizes.

Each size is stored in a home of its own and read by a process of its own. Meanwhile the process
answers an exact look-up every two milliseconds: loading is off the request path. With --product a
server of the product reads the rows instead, and its own look-ups on stdio are timed.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from bench.harness import Report, memory, milliseconds_since, percentile, run, timed
from bench.mcp_client import product
from bench.registry_rows import ROWS, SIZES, in_own_process, seed_like_rows, wait_until_known
from bench.workload import LOOK_UP, look_up
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.seeds import Seeds
from support.product import product_environment

LOOK_UPS, ASKED = 20_000, 500
TICK_SECONDS = 0.002
MOST_LOAD_SECONDS = 2.0
MOST_MEGABYTES = 300.0
MOST_RATIO = 1.5


def measure(options: argparse.Namespace) -> Report:
    report, sizes = Report("The registry out of the fabric"), options.rows or SIZES
    (_add_product if options.product else _add_loads)(report, sizes)
    return report


def _add_loads(report: Report, sizes: Sequence[int]) -> None:
    table = report.table(
        "", "rows", "load s", "late p50 ms", "max ms", "exact p50 ms", "p99 ms", "RSS MB", left=0
    )
    results = []
    for count in sizes:
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(_store(Path(home), count))
            each = in_own_process(__file__, home, count)
        results.append(each)
        late = f"{each['late_p50_ms']:.2f}", f"{each['late_max_ms']:.1f}"
        exact = f"{each['p50_ms']:.4f}", f"{each['p99_ms']:.4f}"
        table.add_row(f"{count:,}", f"{each['load_s']:.3f}", *late, *exact, f"{each['rss_mb']:.0f}")
        for name in ("load_s", "p50_ms"):
            report.figures[f"{count:,} rows: {name}"] = each[name]
    first, last = results[0], results[-1]
    report.at_most(f"load of {sizes[-1]:,} rows", last["load_s"], MOST_LOAD_SECONDS, " s")
    report.at_most("p50, times the smallest size's", last["p50_ms"] / first["p50_ms"], MOST_RATIO)
    report.at_most("memory", last["rss_mb"], MOST_MEGABYTES, " MB")


async def _store(home: Path, count: int) -> None:
    rows = seed_like_rows(count)
    async with Fabric(DiskBackend(home / "fabric", size_limit=2**32), time.time) as fabric:
        store = RowStore(fabric, PUBLIC)
        for start in range(0, len(rows), 5_000):
            await store.save(rows[start : start + 5_000])


async def _load(home: Path, count: int) -> dict[str, float]:
    """Load the registry of `home` and look names up."""
    async with Fabric(DiskBackend(home / "fabric", size_limit=2**32), time.time) as fabric:
        registry = Registry(RowStore(fabric, PUBLIC), lambda: Seeds(()), time.time)
        late: list[float] = []
        ticking = asyncio.create_task(_tick(late))
        begun = time.perf_counter()
        await registry.load()
        load = time.perf_counter() - begun
        ticking.cancel()
    names = [row.name for row in seed_like_rows(min(count, 1_000))]
    asked = [names[number * 7919 % len(names)] for number in range(LOOK_UPS)]
    times = await timed(registry.find, blocks=True)(asked)
    return {
        "load_s": load,
        "late_p50_ms": statistics.median(late) if late else 0.0,
        "late_max_ms": max(late, default=0.0),
        "p50_ms": statistics.median(times),
        "p99_ms": percentile(times, 0.99),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def _tick(late: list[float]) -> None:
    """Note by how many ms a wake-up that is due every two milliseconds comes late."""
    while True:
        due = time.perf_counter() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        late.append(milliseconds_since(due))


def _add_product(report: Report, sizes: Sequence[int]) -> None:
    table = report.table("", "rows", "all known ms", "exact p50 ms", "RSS MiB", left=0)
    for count in sizes:
        with tempfile.TemporaryDirectory() as name:
            home, rows = Path(name), seed_like_rows(count)
            anyio.run(_store, home, count)
            begun = time.perf_counter()
            with product(product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})) as server:
                wait_until_known(server, rows[-1])
                known = milliseconds_since(begun)
                asked = [look_up(rows[number * 7919 % count].name) for number in range(ASKED)]
                times = anyio.run(timed(partial(server.call, LOOK_UP), blocks=True), asked)
                resident = memory(server.pid)
        exact = statistics.median(times)
        table.add_row(f"{count:,}", f"{known:,.0f}", f"{exact:.3f}", f"{resident:.0f}")
        figures = {"all known, ms": known, "exact look-up, ms": exact, "RSS, MiB": resident}
        report.figures |= {f"{count:,} rows: {each}": ms for each, ms in figures.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(asyncio.run(_load(Path(sys.argv[2]), int(sys.argv[3])))))
        sys.exit()
    sys.exit(run(__doc__, measure, rows=ROWS, product={"action": "store_true"}))

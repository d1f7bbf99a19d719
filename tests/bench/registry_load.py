"""The registry out of the fabric: time to load, exact look-ups, memory, at four sizes.

    PYTHONPATH=tests .venv/bin/python tests/bench/registry_load.py [--rows N]... [--json]

Each size is stored in a home of its own and read by a process of its own. Meanwhile the process
answers an exact look-up every two milliseconds: loading is off the request path.

Exit code: 0 all claims hold, 1 one does not.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.machine import machine
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds, load_seeds

SIZES = (50, 1_000, 10_000, 100_000)
LOOK_UPS = 20_000
MOST_LOAD_SECONDS = 2.0
MOST_MEGABYTES = 300.0
MOST_RATIO = 1.5


def made_up(count: int) -> list[Row]:
    """Return `count` rows with the descriptions and lengths of the seeds."""
    seeds = load_seeds().rows
    rows = []
    for number in range(count):
        seed = seeds[number % len(seeds)]
        name = f"{seed.name}x{number}"
        rows.append(replace(seed, name=name, id=f"/made/{number}", aliases=(f"{name}-alias",)))
    return rows


async def stored(home: Path, rows: Sequence[Row]) -> None:
    """Store `rows` in the fabric of `home`."""
    async with Fabric(DiskBackend(home, size_limit=2**32), time.time) as fabric:
        store = RowStore(fabric, "")
        for start in range(0, len(rows), 5_000):
            await store.save(rows[start : start + 5_000])


async def measured(home: Path, count: int) -> dict[str, float]:
    """Load the registry of `home` and look names up; times in milliseconds."""
    async with Fabric(DiskBackend(home, size_limit=2**32), time.time) as fabric:
        registry = Registry(RowStore(fabric, ""), lambda: Seeds(()), time.time)
        waits: list[float] = []
        ticking = asyncio.create_task(ticks(waits))
        started = time.perf_counter()
        await registry.load()
        load = time.perf_counter() - started
        ticking.cancel()
    names = [row.name for row in made_up(min(count, 1_000))]
    assert registry.find(names[0]) is not None
    times = []
    for number in range(LOOK_UPS):
        name = names[number * 7919 % len(names)]
        begun = time.perf_counter()
        registry.find(name)
        times.append((time.perf_counter() - begun) * 1000)
    times.sort()
    return {
        "rows": count,
        "load_s": load,
        "loop_wait_p50_ms": statistics.median(waits) if waits else 0.0,
        "loop_wait_max_ms": max(waits, default=0.0),
        "p50_ms": times[len(times) // 2],
        "p99_ms": times[len(times) * 99 // 100],
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def ticks(waits: list[float]) -> None:
    """Note by how much a wake-up that is due every two milliseconds comes late."""
    while True:
        due = time.perf_counter() + 0.002
        await asyncio.sleep(0.002)
        waits.append((time.perf_counter() - due) * 1000)


def in_a_process(home: Path, count: int) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--measure", str(home), "--rows", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def broken_claims(results: Sequence[dict[str, float]]) -> list[str]:
    """Return the claims that do not hold."""
    first, last = results[0], results[-1]
    claims = {
        f"load of {last['rows']:,.0f} rows under 2 s": last["load_s"] < MOST_LOAD_SECONDS,
        "p50 at most 1.5 times the smallest's": last["p50_ms"] <= MOST_RATIO * first["p50_ms"],
        "memory under 300 MB": last["rss_mb"] < MOST_MEGABYTES,
    }
    return [claim for claim, holds in claims.items() if not holds]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, action="append", metavar="N")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asyncio.run(measured(options.measure, options.rows[0]))))
        return 0
    results = []
    for count in options.rows or SIZES:
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(stored(Path(home), made_up(count)))
            results.append(in_a_process(Path(home), count))
    broken = broken_claims(results)
    if options.json:
        print(json.dumps({"results": results, "broken": broken}))
    else:
        show(results, broken)
    return 1 if broken else 0


def show(results: Sequence[dict[str, float]], broken: Sequence[str]) -> None:
    """Print the table and the claims."""
    print(machine())
    print("   rows   load s   late p50 / max ms   exact p50 / p99 ms    RSS MB")
    for each in results:
        print(
            f"{each['rows']:>7,.0f} {each['load_s']:>8.3f}"
            f" {each['loop_wait_p50_ms']:>10.2f} / {each['loop_wait_max_ms']:>6.1f}"
            f" {each['p50_ms']:>12.4f} / {each['p99_ms']:.4f} {each['rss_mb']:>9.0f}"
        )
    for claim in broken:
        print(f"CLAIM BROKEN: {claim}")
    if not broken:
        print("All claims hold.")


if __name__ == "__main__":
    sys.exit(main())

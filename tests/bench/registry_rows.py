"""Made-up rows of the registry, and figures of processes that have them."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.mcp_client import Client
from bench.workload import LOOK_UP, look_up
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds

ROWS = {"type": int, "action": "append", "help": "a size; default: all four"}
SIZES = (50, 1_000, 10_000, 100_000)
KNOWN_SECONDS = 300.0  # the longest time until a server knows its rows
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstz" for vowel in "aeiou"]


def seed_like_rows(count: int) -> list[Row]:
    """Return rows with the descriptions and lengths of the seeds."""
    seeds = load_seeds().rows
    names = [f"{seeds[number % len(seeds)].name}x{number}" for number in range(count)]
    return [
        replace(
            seeds[number % len(seeds)], name=name, id=f"/made/{number}", aliases=(f"{name}-alias",)
        )
        for number, name in enumerate(names)
    ]


def described_rows(count: int) -> Iterator[Row]:
    """Yield rows with names and descriptions of the seeds' words, the same every time."""
    chance = random.Random(7)  # noqa: S311  # no secret
    seeds = load_seeds().rows
    words = [word for seed in seeds for word in seed.description.split()]
    parts = sorted({part for seed in seeds for part in seed.name.strip("@").split("-")})
    for number in range(count):
        like = chance.choice(seeds)
        tail = "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4)))
        own = like.description.split()
        described = [word if chance.random() < 0.5 else chance.choice(words) for word in own]
        name = f"{chance.choice(parts)}-{tail}{number:x}"
        yield Row(
            name=name,
            ecosystem=like.ecosystem,
            id=f"/{tail}/{name}",
            aliases=(name.replace("-", ""),),
            category=like.category,
            title=name.title(),
            description=" ".join(described),
            usage_count=int(chance.paretovariate(1.2)) - 1,
        )


def wait_until_known(server: Client, row: Row) -> None:
    """Look a row up until the server knows it: it reads its rows behind its first answers."""
    deadline = time.monotonic() + KNOWN_SECONDS
    while row.id.encode() not in server.call(LOOK_UP, look_up(row.name)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row.name} is not known")
        time.sleep(0.01)


def in_own_process(program: str, *words: object) -> Any:  # noqa: ANN401  # what the program prints
    """Run a program with `--child` and these words; return the JSON that it prints."""
    command = [sys.executable, program, "--child", *map(str, words)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

"""What `fabric.py` stores: JSON objects of about 350 bytes, all of them different."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache

from context7_fabric.fabric.context import Json
from context7_fabric.registry.seeds import load_seeds

CHARACTERS = 260
"""How long the text of a value is; its other parts and JSON's signs take the other 90 bytes."""


@dataclass(frozen=True)
class Item:
    """A value under a key: as a fabric takes it, and the bytes that a raw store takes."""

    key: str
    value: Json
    data: bytes


def item(number: int) -> Item:
    """Return the item of that number, the same every time."""
    chance = random.Random(number)  # noqa: S311  # no secret
    value: Json = {
        "library": f"/measured/library-{number % 500}",
        "topic": " ".join(chance.sample(_words(), 2)),
        "text": " ".join(chance.choices(_words(), k=60))[:CHARACTERS],
        "tokens": chance.randint(100, 9_999),
    }
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Item(f"docs/{number:06}", value, data)


class Draws:
    """Random items out of the first `count`, and what people might search for among them."""

    def __init__(self, count: int) -> None:
        """Draw the same every time."""
        self._count = count
        self._next = count
        self._chance = random.Random(7)  # noqa: S311  # no secret

    def items(self, count: int) -> list[Item]:
        """Return so many different ones."""
        return [item(number) for number in self._chance.sample(range(self._count), count)]

    def new(self, count: int) -> list[Item]:
        """Return so many that nobody has stored yet, in the order of their keys."""
        first, self._next = self._next, self._next + count
        return [item(number) for number in range(first, self._next)]

    def queries(self, count: int) -> list[str]:
        """Return so many times three words, each of which occurs in many items."""
        return [" ".join(self._chance.sample(_words(), 3)) for _ in range(count)]


@cache
def _words() -> tuple[str, ...]:
    """The words of the seeds' descriptions."""
    told = (row.description.split() for row in load_seeds().rows)
    return tuple(sorted({word.strip(".,()").lower() for words in told for word in words} - {""}))

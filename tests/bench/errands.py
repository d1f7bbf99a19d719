"""What is asked in `peers.py`: questions with answers of 5 to 7 kB, and a mix of all calls."""

from __future__ import annotations

from collections.abc import Iterator

from bench.rpc import DOCS, LOOK_UP, Arguments

LONG = "/fastapi/fastapi"
"""The library whose answers have 5 to 7 kB; those of the others are shorter."""

LIBRARIES = {
    LONG: "fastapi",
    "/numpy/numpy": "numpy",
    "/vercel/next.js": "next.js",
    "/pydantic/pydantic": "pydantic",
    "/tanstack/query": "tanstack query",
}
"""Ids, and the names that are looked up."""

QUESTIONS = [f"How is a response streamed to the client, part {number}?" for number in range(50)]
SIZES = range(5_000, 7_001)
"""Bytes of an answer, as a line of the protocol."""

Errand = tuple[str, Arguments]


def docs(library: str, question: str) -> Arguments:
    """Return the arguments of a documentation question."""
    return {"libraryId": library, "query": question}


def look_up(name: str) -> Arguments:
    """Return the arguments of a look-up."""
    return {"libraryName": name, "query": f"How do I use {name}?"}


ASKED = [docs(LONG, question) for question in QUESTIONS]
"""The calls that are timed."""


def mixed(window: int) -> Iterator[Errand]:
    """Yield 18 tool calls, three of them new to everybody; with two hand-shakes they are 20."""
    for name in LIBRARIES.values():
        yield LOOK_UP, look_up(name)
    for library in LIBRARIES:
        for number in range(2):
            yield DOCS, docs(library, QUESTIONS[2 * window + number])
    for number in range(3):
        yield DOCS, docs(LONG, f"What is asked in window {window} alone, {number}?")

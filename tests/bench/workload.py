"""Questions and look-ups of the benchmarks that send calls."""

from collections.abc import Mapping

DOCS, LOOK_UP = "query-docs", "resolve-library-id"
Arguments = Mapping[str, str]
HIT = b'"outcome":"hit"'  # mark of a hit in a reply without spaces
LONG = "/fastapi/fastapi"  # its answers have 5 to 7 kB; those of the others are shorter
LIBRARIES = {
    LONG: "fastapi",
    "/numpy/numpy": "numpy",
    "/vercel/next.js": "next.js",
    "/pydantic/pydantic": "pydantic",
    "/tanstack/query": "tanstack query",
}
"""Ids, and the names that are looked up."""

QUESTIONS = [f"How is a response streamed to the client, part {number}?" for number in range(50)]
SIZES = range(5_000, 7_001)  # bytes of an answer, as a line of the protocol


def docs(library: str, question: str) -> Arguments:
    return {"libraryId": library, "query": question}


def look_up(name: str) -> Arguments:
    return {"libraryName": name, "query": f"How do I use {name}?"}


def is_hit(reply: bytes) -> bool:
    """Return whether a reply says that it comes from the store, whatever its spacing."""
    return HIT in reply.replace(b" ", b"")


ASKED = [docs(LONG, question) for question in QUESTIONS]  # the calls that are timed

"""What `outage.py` asks, what is stored of it beforehand, and what may be in the store at the end.

The truth is what the real server says, asked directly while all is well. The product, asked the
same in front of it, gives the key that each truth is stored under.
"""

import shlex
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import anyio

from bench.troubles import MOVED
from context7_fabric.answers.stored import (
    DOCS,
    LISTS,
    QUARANTINE,
    AnswerStore,
    StoredAnswer,
    record_of,
)
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.settings import read_settings
from support.catalogue import Catalogue, Library
from support.client import Dialogue, talking, texts_of
from support.context7_api import Api, Request
from support.product import PROGRAM, product_environment
from support.upstreams import api_environment, context7_command

Stored = Literal["fresh", "stale", "expired", "nothing"]
Tool = Literal["docs", "look-up"]
STATES: tuple[Stored, ...] = get_args(Stored)
TOOLS: tuple[Tool, ...] = get_args(Tool)

ANSWERS = (DOCS, LISTS, QUARANTINE)
DAY = 86400.0
AGES: Mapping[tuple[Stored, Tool], float] = {
    ("fresh", "docs"): 60,
    ("fresh", "look-up"): 60,
    ("stale", "docs"): 15 * DAY,
    ("stale", "look-up"): 45 * DAY,
    ("expired", "docs"): 100 * DAY,
    ("expired", "look-up"): 100 * DAY,
}
"""How old the stored copies are, in seconds: clear of the product's limits by more than their 10 %.

Docs are fresh for 3 days and stale for 30 more, lists for 30 and 30; after that both are used only
when upstream fails, for a year.
"""

Truths = Mapping[str, StoredAnswer]
"""The true answers by the key they are stored under."""


@dataclass(frozen=True)
class Asked:
    """One thing to ask, always with a wording of its own, so that no two share an answer."""

    tool: Tool
    subject: str
    wording: str

    def start(self, server: Dialogue) -> int:
        """Ask a server; the number by which its `reply` is known."""
        docs = self.tool == "docs"
        arguments = {"libraryId" if docs else "libraryName": self.subject, "query": self.wording}
        tool = "query-docs" if docs else "resolve-library-id"
        return server.start("tools/call", name=tool, arguments=arguments)

    def asks(self, request: Request) -> bool:
        """Tell whether a request to the API is for this; of docs, also at where they moved."""
        if self.tool == "docs":
            return request.call.endpoint == "docs" and request.query.get("query") == self.wording
        return request.query.get("libraryName") == self.subject


WARMING = [Asked("docs", "/bench/warm", f"Is anybody there, time {each}?") for each in range(8)]
"""Questions that show that all is well."""


def asked(stored: Stored, tool: Tool, times: int) -> list[Asked]:
    """Return what is asked of a state, `times` different things."""
    if tool == "docs":
        topic = {"fresh": "routes", "stale": "bodies", "expired": "sessions", "nothing": "sockets"}
        words = [f"How do {topic[stored]} work, part {number}?" for number in range(times)]
        return [Asked(tool, MOVED[0], each) for each in words]
    return [Asked(tool, _name(stored, number), "Which one is it?") for number in range(times)]


def everything(times: int) -> Iterator[Asked]:
    """Yield all that is asked, and what the moved library would be asked in its place."""
    yield from WARMING
    for stored in STATES:
        for tool in TOOLS:
            for each in asked(stored, tool, times):
                yield each
                if tool == "docs":
                    yield replace(each, subject=MOVED[1])


def catalogue(times: int) -> Catalogue:
    """Return libraries that answer all of it, none of which any seed names."""
    like = Catalogue().libraries[0]
    known = [_library(like, "/bench/warm"), *(_library(like, each) for each in MOVED)]
    for stored in STATES:
        for number in range(times):
            name = _name(stored, number)
            known += (_library(like, f"/bench/{name}-{each}", name) for each in range(3))
    return Catalogue(tuple(known))


def _name(stored: Stored, number: int) -> str:
    return f"harbour{stored}{'abcdefghij'[number]}"


def _library(like: Library, library_id: str, *names: str) -> Library:
    title = library_id.rpartition("/")[2].replace("-", " ")
    return replace(like, id=library_id, title=title, names=names)


def find_truths(api: Api, folder: Path, times: int) -> Truths:
    """Ask the real server and the product in front of it, and hold the one to the other.

    Raises:
        AssertionError: the product stored something else than the real server says.
    """
    command = context7_command()
    here = {"CONTEXT7_API_URL": api.url, "CONTEXT7_FABRIC_UPSTREAM": shlex.join(command)}
    with (
        talking(command, api_environment(api)) as real,
        talking([PROGRAM], product_environment(folder, here)) as ours,
    ):
        said = {(each.subject, each.wording): _words(each, real) for each in everything(times)}
        for each in everything(times):
            _words(each, ours)
    records = ((key, record_of(entry)) for key, entry in anyio.run(_entries, folder).items())
    truths = {key: record for key, record in records if record is not None}
    stored = {(record.subject, record.question): record.text for record in truths.values()}
    assert stored == said, "in good health the product stores something else than upstream says"
    return truths


def _words(each: Asked, server: Dialogue) -> str:
    return texts_of(server.reply(each.start(server)))[0]


def is_true(text: str, each: Asked, truths: Truths) -> bool:
    """Tell whether upstream in good health says `text` to `each`, if need be of where it moved."""
    subjects = (each.subject, MOVED[1]) if each.tool == "docs" else (each.subject,)
    return any(
        record.text == text and record.question == each.wording and record.subject in subjects
        for record in truths.values()
    )


def stock(
    environment: Mapping[str, str], truths: Truths, states: Collection[Stored], times: int
) -> None:
    """Store the true answers of `states` at their ages, as the product there would have."""
    settings = read_settings(environment)
    ages = {
        (each.subject, each.wording): age
        for (stored, tool), age in AGES.items()
        if stored in states
        for each in asked(stored, tool, times)
    }
    aged = {
        key: replace(record, origin=settings.upstream.origin, fetched_at=time.time() - ages[about])
        for key, record in truths.items()
        if (about := (record.subject, record.question)) in ages
    }
    settings.home.mkdir(mode=0o700, parents=True)
    anyio.run(_write, settings.home, aged)


async def _write(home: Path, records: Truths) -> None:
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        for key, record in records.items():
            await AnswerStore(fabric).write(key, record)


@dataclass(frozen=True)
class Shelf:
    """What a store held at the end: what is wrong of it, and how many other entries by kind."""

    answers: int
    wrong: tuple[str, ...]
    others: Mapping[str, int]


def walk(home: Path, truths: Truths) -> Shelf:
    """Look at every entry of the store in `home`.

    Whatever was kept as an answer must be the truth for its very key, and a library may be noted as
    moved only where it moved. Other entries are no answers: they are counted.
    """
    entries = anyio.run(_entries, home)
    answers = {key: record_of(entry) for key, entry in entries.items() if key.startswith(ANSWERS)}
    others = {key: entry for key, entry in entries.items() if key not in answers}
    wrong = [*_untrue(answers, truths), *_unmoved(others)]
    return Shelf(len(answers), tuple(wrong), Counter(key.split(":")[0] for key in others))


async def _entries(home: Path) -> dict[str, Context]:
    """Return all contexts, those of other scopes under keys that begin with the scope.

    Raises:
        AssertionError: an entry is corrupt.
    """
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        found = {}
        for scope in Scope:
            for key in await fabric.keys(scope):
                context = await fabric.get_context(key, scope)
                if context is not None:
                    found[key if scope is Scope.GLOBAL else f"{scope}:{key}"] = context
        assert not fabric.faults.count, fabric.faults.last
        return found


def _untrue(answers: Mapping[str, StoredAnswer | None], truths: Truths) -> Iterator[str]:
    for key, record in answers.items():
        if record is None:
            yield f"{key}: no answer"
        elif key not in truths or truths[key].text != record.text:
            yield f"{key}: {record.text[:80]!r}"


def _unmoved(entries: Mapping[str, Context]) -> Iterator[str]:
    for key, entry in entries.items():
        if key.startswith("move:") and (key, entry.value) != (f"move:{MOVED[0]}", MOVED[1]):
            yield f"{key}: {entry.value!r}"

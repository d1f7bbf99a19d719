"""Questions of `outage.py`, the answers that are stored before, and the check of the store after.

The truth is the real server's answer, asked directly while all is well. The product, asked the same
in front of it, gives the key that each truth is stored under.
"""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import anyio

from bench import workload
from bench.mcp_client import Client, product, started
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
from support import faults
from support.catalogue import Catalogue, Library
from support.context7_api import Api, Request
from support.faults import Fault
from support.mortal import Mortal
from support.product import product_environment
from support.upstreams import api_environment, context7_command

SLOW_SECONDS = 0.6
MOVED = ("/bench/docs", "/bench/moved")
NOWHERE = "http://context7.invalid"  # a name that no resolver knows (RFC 6761)
Action = Callable[[Api, Mortal], None]


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong after a good start.

    `end` puts it right again without a trace; it is None where that cannot be: the product backs
    off, or a library has moved. Calls under way after the last question end within `settle`
    seconds. `waits`: callers wait most of the time. `pause` is left between calls, for what a call
    learns behind its answer. `nameless` is wrong from the start: the host of upstream or of its API
    has no name.
    """

    name: str
    begin: Action
    end: Action | None = None
    settle: float = 0.2
    waits: bool = False
    pause: float = 0.0
    nameless: Literal["upstream", "api"] | None = None


def _fail(fault: Fault) -> Action:
    return lambda api, _upstream: api.fail(fault)


def _heal(api: Api, _upstream: Mortal) -> None:
    api.heal()


def _missing(api: Api, _upstream: Mortal) -> None:
    api.fail(faults.LIBRARY_MISSING, on="docs")
    api.fail(faults.NO_LIBRARIES, on="search")


def _move(api: Api, _upstream: Mortal) -> None:
    old, new = MOVED
    api.redirects[old] = new
    message = f"Library {old} has been redirected to this library: {new}."
    api.fail(faults.problem(301, "library_redirected", message), on="search")


def _kill(_api: Api, upstream: Mortal, *, restart: bool = False) -> None:
    upstream.end()
    if restart:
        upstream.come_back()


def _nothing(_api: Api, _upstream: Mortal) -> None:
    """Leave all as it is: it was wrong from the start."""


def troubles(timeout: float) -> tuple[Trouble, ...]:
    """Return all troubles; `timeout` is the product's time-out of an upstream call."""
    slow = _fail(faults.slow(SLOW_SECONDS))
    return (
        Trouble("429", _fail(faults.RATE_LIMITED)),
        Trouble("429, Retry-After", _fail(faults.rate_limited(17))),
        Trouble("429, month used up", _fail(faults.QUOTA_SPENT)),
        Trouble("401", _fail(faults.INVALID_KEY), _heal),
        Trouble("404", _missing, _heal),
        Trouble("500", _fail(faults.SERVER_ERROR), _heal),
        Trouble("503", _fail(faults.SEARCH_FAILED), _heal),
        Trouble("202", _fail(faults.NOT_FINALIZED), _heal),
        Trouble("301", _move, waits=True, pause=0.2),
        Trouble("hangs", _fail(faults.HANGING), settle=timeout + 0.5, waits=True),
        Trouble("slow", slow, settle=SLOW_SECONDS + 0.5, waits=True),
        Trouble("HTML page", _fail(faults.HTML_PAGE), _heal),
        Trouble("binary", _fail(faults.BINARY), _heal),
        Trouble("empty body", _fail(faults.EMPTY), _heal),
        Trouble("closed", _fail(faults.CLOSED), _heal),
        Trouble("closed halfway", _fail(faults.CLOSED_HALFWAY), _heal),
        Trouble("upstream: no such host", _nothing, nameless="upstream"),
        Trouble("its API: no such host", _nothing, nameless="api"),
        Trouble("killed", _kill, settle=1.0),
        Trouble("killed, back at once", partial(_kill, restart=True), settle=1.5),
    )


Stored = Literal["fresh", "stale", "expired", "nothing"]
Tool = Literal["docs", "look-up"]
STATES: tuple[Stored, ...] = get_args(Stored)
TOOLS: tuple[Tool, ...] = get_args(Tool)

META_KEY = "context7-fabric/answer"
ANSWERS = (DOCS, LISTS, QUARANTINE)
DAY = 86400.0
AGES: Mapping[Stored, Mapping[Tool, float]] = {
    "fresh": {"docs": 60, "look-up": 60},
    "stale": {"docs": 15 * DAY, "look-up": 45 * DAY},
    "expired": {"docs": 100 * DAY, "look-up": 100 * DAY},
}
"""Ages of the stored copies in seconds: clear of the product's limits by more than their 10 %.

Docs are fresh for 3 days and stale for 30 more, lists for 30 and 30; after that both are used only
when upstream fails, for a year.
"""

Truths = Mapping[str, StoredAnswer]  # the true answers by the key they are stored under


@dataclass(frozen=True)
class Asked:
    """One question or look-up, with a wording of its own, so that no two share an answer."""

    tool: Tool
    subject: str
    wording: str

    def start(self, server: Client) -> int:
        """Ask a server; return the id of the request."""
        docs = self.tool == "docs"
        key, tool = ("libraryId", workload.DOCS) if docs else ("libraryName", workload.LOOK_UP)
        arguments = {key: self.subject, "query": self.wording}
        return server.start("tools/call", name=tool, arguments=arguments)

    def asks(self, request: Request) -> bool:
        """Return whether a request to the API is for this; of docs, also at their new place."""
        if self.tool == "docs":
            return request.call.endpoint == "docs" and request.query.get("query") == self.wording
        return request.query.get("libraryName") == self.subject


WARMING = [Asked("docs", "/bench/warm", f"Is all well, time {each}?") for each in range(8)]
"""Questions that show that all is well."""


def asked(stored: Stored, tool: Tool, times: int) -> list[Asked]:
    """Return the questions about a state, `times` different ones."""
    if tool == "docs":
        topic = {"fresh": "routes", "stale": "bodies", "expired": "sessions", "nothing": "sockets"}
        words = [f"How do {topic[stored]} work, part {number}?" for number in range(times)]
        return [Asked(tool, MOVED[0], each) for each in words]
    return [Asked(tool, _name(stored, number), "Which one is it?") for number in range(times)]


def everything(times: int) -> Iterator[Asked]:
    """Yield all questions, and those about the moved library at its new place."""
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
    """Ask the real server and the product in front of it, whose answers have to be the same."""
    command = context7_command()
    here = {"CONTEXT7_API_URL": api.url, "CONTEXT7_FABRIC_UPSTREAM": shlex.join(command)}
    with (
        started(command, api_environment(api)) as real,
        product(product_environment(folder, here)) as ours,
    ):
        real.initialize()
        said = {(each.subject, each.wording): _words(each, real) for each in everything(times)}
        for each in everything(times):
            _words(each, ours)
    records = ((key, record_of(entry)) for key, entry in anyio.run(_entries, folder).items())
    truths = {key: record for key, record in records if record is not None}
    stored = {(record.subject, record.question): record.text for record in truths.values()}
    assert stored == said, "in good health the product stores other answers than upstream's"
    return truths


def _words(each: Asked, server: Client) -> str:
    text: str = server.result(each.start(server))["content"][0]["text"]
    return text


def is_true(text: str, each: Asked, truths: Truths) -> bool:
    """Return whether `text` is upstream's answer in good health, there or at the new place."""
    subjects = (each.subject, MOVED[1]) if each.tool == "docs" else (each.subject,)
    return any(
        record.text == text and record.question == each.wording and record.subject in subjects
        for record in truths.values()
    )


def store_truths(
    environment: Mapping[str, str], truths: Truths, states: AbstractSet[Stored], times: int
) -> None:
    """Store the true answers of `states` at their ages, as the product there would have."""
    settings = read_settings(environment)
    ages = {
        (each.subject, each.wording): age
        for stored in states - {"nothing"}
        for tool, age in AGES[stored].items()
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


StoreCheck = tuple[int, list[str], Counter[str]]  # answers, wrong ones, other entries by kind


def check_store(home: Path, truths: Truths) -> StoreCheck:
    """Check every entry of the store in `home`.

    A stored answer must be the truth for its very key, and a library may be noted as moved only
    where it moved. Other entries are no answers: they are counted.
    """
    entries, answers, wrong, others = anyio.run(_entries, home), 0, list[str](), Counter[str]()
    for key, entry in entries.items():
        if key.startswith(ANSWERS):
            answers += 1
            record, truth = record_of(entry), truths.get(key)
            if record is None or truth is None or truth.text != record.text:
                wrong.append(f"{key}: {record and record.text[:80]!r}")
        else:
            others[key.partition(":")[0]] += 1
            if key.startswith("move:") and (key[5:], entry.value) != MOVED:
                wrong.append(f"{key}: {entry.value!r}")
    return answers, wrong, others


async def _entries(home: Path) -> dict[str, Context]:
    """Return all contexts, none corrupt; keys of other scopes than GLOBAL begin with the scope."""
    async with Fabric(DiskBackend(home / "fabric"), time.time) as fabric:
        found = {}
        for scope in Scope:
            for key in await fabric.keys(scope):
                if context := await fabric.get_context(key, scope):
                    found[key if scope is Scope.GLOBAL else f"{scope}:{key}"] = context
        assert not fabric.faults.count, fabric.faults.last
        return found

"""How many tokens a model reads about a library, from Context7 and from us, for `tokens.py`.

The product answers in this process, over MCP, in front of a scripted upstream that sends lists of
the entries at hand.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client

from bench.entries import SHARED, Entries
from context7_fabric.models import QUERY_DOCS, RESOLVE
from context7_fabric.parsing.libraries import Library, format_list
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

QUESTION = "How do I begin?"
TOOLS = SHARED / "tools-list-4.1.1.json"
HANDSHAKE = SHARED / "initialize-4.1.1.json"

Count = Callable[[str], int]


@dataclass(frozen=True)
class Shape:
    """A form of list: of which server, with how many entries; its generation of tools."""

    server: str
    entries: int
    generation: int


@dataclass(frozen=True)
class Reading:
    """Tokens about one library: of its list, then of an answer about it.

    `miss` and `hit` are ours, with nothing stored and with a choice known, and beside them those
    of the `_meta` that each comes with; `said_saved` is what we say of the hit.
    """

    upstream: int
    miss: int
    hit: int
    miss_meta: int
    hit_meta: int
    said_saved: int
    docs_upstream: int
    docs_miss: int
    docs_hit: int

    @property
    def saved(self) -> float:
        """The share that a hit saves, its `_meta` counted."""
        return 1 - (self.hit + self.hit_meta) / self.upstream


@dataclass(frozen=True)
class Session:
    """Tokens of what is read before any call: instructions, and the tools as they are described."""

    upstream: int
    ours: int


@dataclass
class Scribe:
    """An upstream's words: a list by the name that is looked up, documentation; remembers them."""

    lists: Mapping[str, Sequence[Library]]
    said: str = ""

    def say(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Answer a call."""
        if tool == RESOLVE:
            self.said = format_list(self.lists[arguments["libraryName"]])
        else:
            self.said = docs_text(arguments)
        return self.said


async def read_all(
    shape: Shape, names: Mapping[str, int], pool: Entries, count: Count, home: Path
) -> tuple[dict[str, Reading], Session | None]:
    """Look every name up, ask about what it meant, and look it up again.

    `names` tells for each how many of the libraries that are listed have it.
    """
    lists = {
        name: pool.listed(pool.about(name, otherwise=number), shape.entries, name, named)
        for number, (name, named) in enumerate(names.items())
    }
    scribe = Scribe(lists)
    upstream = ScriptedUpstream(generation=shape.generation, say=scribe.say)
    if shape.generation == 2 and TOOLS.exists():
        upstream.tools = ToolList(tuple(json.loads(TOOLS.read_text(encoding="utf-8"))["tools"]))
    async with (
        scripted_app(upstream, FakeClock(), home, BACKEND="memory") as app,
        connected(app, "legacy", meta="brief") as client,
    ):
        readings = {name: await _reading(app, client, name, scribe, count) for name in names}
        return readings, await _session(client, count) if upstream.tools else None


async def _reading(app: App, client: Client, name: str, scribe: Scribe, count: Count) -> Reading:
    about = {"libraryName": name, "query": QUESTION}
    miss = await call(client, RESOLVE, **about)
    listed = scribe.said
    meant = {"libraryId": scribe.lists[name][0].id, "query": f"{QUESTION} {name}"}
    docs_miss = await call(client, QUERY_DOCS, **meant)
    docs = scribe.said
    docs_hit = await call(client, QUERY_DOCS, **meant)
    hit = await call(client, RESOLVE, **about)
    outcomes = [provenance(each)["outcome"] for each in (miss, docs_miss, docs_hit, hit)]
    assert outcomes == ["miss", "miss", "hit", "hit"], outcomes

    execution = provenance(hit)["execution_id"]
    record = await app.desk.executions.find(execution, lambda _context: True)

    def read(result: types.CallToolResult) -> int:
        return sum(map(count, texts(result)))

    return Reading(
        upstream=count(listed),
        miss=read(miss),
        hit=read(hit),
        miss_meta=_counted_meta(miss, count),
        hit_meta=_counted_meta(hit, count),
        said_saved=record.tokens_saved,
        docs_upstream=count(docs),
        docs_miss=read(docs_miss),
        docs_hit=read(docs_hit),
    )


def _counted_meta(result: types.CallToolResult, count: Count) -> int:
    """Count a result's `_meta` as clients show it that hand whole results to the model."""
    return count(f'"_meta": {json.dumps(result.meta)}') if result.meta else 0


async def _session(client: Client, count: Count) -> Session:
    """Count both servers' introductions; ours lists upstream's own tools, and the older one."""
    tools = (await client.list_tools()).tools
    ours = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools]
    theirs = json.loads(TOOLS.read_text(encoding="utf-8"))["tools"]
    instructions = json.loads(HANDSHAKE.read_text(encoding="utf-8")).get("instructions", "")
    return Session(
        count(instructions) + _described(theirs, count),
        count(client.instructions or "") + _described(ours, count),
    )


def _described(tools: Sequence[Mapping[str, Any]], count: Count) -> int:
    """Count what a model is told of tools: name, description and arguments."""
    told = ("name", "description", "inputSchema")
    return sum(count(json.dumps({key: tool.get(key) for key in told})) for tool in tools)

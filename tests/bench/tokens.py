"""Tokens that a model reads from us instead of from Context7, by a real tokenizer.

Remakes the table of savings that the project was started for. Look-ups and questions go through the
real product, in this process and over MCP, in front of a scripted upstream. Counted is every block
of text that a client gets, and the `_meta` of each result, for some clients hand whole results to
the model. Two shapes of list: five entries, as server 4.1.1 sends, and thirty, as 1.x sent (without
its explanation of the fields, which we would save as well). A list is read in full until a question
shows which library was meant; of each list one library has the name that is looked up, or two,
which then both stay in full.

Entries are real ones where `../shared` has them, else ours. Real ones were recorded from Context7.
Those of before November 2025 get the line that servers since then print in place of the trust
score, so that all go into one list.

Needs bpe-openai, which `make bench` installs.
"""

import argparse
import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import mcp_types as types
import pytest
from anyio import to_thread
from mcp import Client

from bench.harness import Report, run
from context7_fabric.models import QUERY_DOCS, RESOLVE
from context7_fabric.parsing.libraries import Library, format_entry, format_list, parse_list
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from support.app_server import call, connected, provenance, texts
from support.docsets import add, library_in
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

ENCODING = "o200k_base"
QUESTION = "How do I begin?"
DOCS = Path(__file__).parents[2] / "docs"
DOCS_ID = "/context7-fabric/docs"
ASKED = (
    "revoke an access token of the shared server",
    "how long does an answer stay fresh",
    "search contexts by meaning in Python",
    "limit the requests of a token",
    "back up and delete what the store holds",
    "which metrics does the server export to Prometheus",
    "store a context over REST with curl",
    "where do docsets lie and which version answers",
    "switch traces on",
    "sizes and bounds of the store",
)
"""Questions about the project's own documentation, asked of its docset."""
SHARED = Path(__file__).parents[3] / "shared" / "upstream"
RECORDED = SHARED / "samples" / "resolve_entries.txt"
TOOLS = SHARED / "tools-list-4.1.1.json"
HANDSHAKE = SHARED / "initialize-4.1.1.json"
BETWEEN = re.compile(r"^#.*\n|^----------\n", re.MULTILINE)
TRUST = re.compile(r"^- Trust Score: ([\d.]+)$", re.MULTILINE)
LENGTHS = (217, 275, 289, 307, 317, 329, 354, 367, 379, 407)  # of our entries; real mean: 320
PROSE = (
    "provides asynchronous infrastructure for distributed measurement services, including strongly"
    " typed requests, streaming responses, automatic retries, authentication and a comprehensive"
    " command-line interface. Additional integrations support containerized deployment, persistent"
    " storage, performance monitoring and interactive documentation for professional developers."
)
"""Words of our own descriptions, cut to length: a token per four characters, as in real ones."""


FIVE, THIRTY = 5, 30
SERVERS = {FIVE: ("4.1.1", 2), THIRTY: ("1.x", 1)}  # name and generation, by entries of a list
CLAIMS = {FIVE: 0.55, THIRTY: 0.9}  # least share that look-ups with a known choice save
LANGCHAIN, FASTAPI = ("LangChain",), ("FastAPI",)
NAMES = (*LANGCHAIN, *FASTAPI, *(f"harbour{a}{b}" for a in "abcdefgh" for b in "uvwxyz"))
"""The two that the ticket names, and 48 made-up names: what counts is their lists."""

TWINS = tuple(f"quay{a}{b}" for a in "abcdefghij" for b in "vwxyz")  # each of two libraries
Reading = Counter[str]
"""Tokens of a library's list and of an answer about it, each from upstream and from us.

`miss` and `hit` are ours, with nothing stored and with a choice known, the `_meta` that each comes
with included; `text` is a hit without it, `estimate` our own estimate of its saving.
"""


@dataclass(frozen=True)
class Scenario:
    """A row: libraries, look-ups of each, the outcome of the first one, and the ticket's figure."""

    title: str
    names: Sequence[str]
    times: int
    first: str
    ticket: str = ""

    def row(self, readings: Mapping[str, Reading]) -> str:
        total = _total(readings, self.names)
        upstream = self.times * total["upstream"]
        ours = total[self.first] + (self.times - 1) * total["hit"]
        return f"{upstream:,} → {ours:,} ({100 * (1 - ours / upstream):.1f} %)"


SCENARIOS = (
    Scenario("10 LangChain look-ups, choice known", LANGCHAIN, 10, "hit", "15,000 → 500 (97 %)"),
    Scenario("10 LangChain look-ups, the first day", LANGCHAIN, 10, "miss"),
    Scenario("5 FastAPI look-ups, choice known", FASTAPI, 5, "hit", "7,500 → 250 (97 %)"),
    Scenario("5 FastAPI look-ups, the first day", FASTAPI, 5, "miss"),
    Scenario("First look-up (nothing stored)", LANGCHAIN, 1, "miss", "1,500 → 1,600 (-7 %)"),
    Scenario("50 libraries once, choices known", NAMES, 1, "hit", "75,000 → 5,000 (93 %)"),
    Scenario("50 libraries once, two of each name, choices known", TWINS, 1, "hit"),
    Scenario("50 libraries once, the first day", NAMES, 1, "miss"),
)


def measure(_options: argparse.Namespace) -> Report:
    """Count what is read in each scenario."""
    count_tokens("")
    libraries, origin = _libraries()
    mean = sum(len(each.text) for each in libraries) / len(libraries)
    about = f"Tokens: {ENCODING}. Entries: {origin}. Their mean length is {mean:.0f} characters."
    report, results = Report("Tokens of look-ups, as a model reads them", [about]), {}
    with TemporaryDirectory(prefix="tokens-") as folder:
        for entries in SERVERS:
            home = Path(folder, str(entries))
            results[entries] = anyio.run(_read, report, entries, libraries, home)
    heads = (f"{each} entries ({server}): Context7 → us" for each, (server, _) in SERVERS.items())
    table = report.table("", "", *heads, "the ticket said")
    for each in SCENARIOS:
        table.add_row(each.title, *(each.row(results[entries]) for entries in SERVERS), each.ticket)
    with TemporaryDirectory(prefix="tokens-") as folder:
        table.add_row(
            f"A docset's page, median of {len(ASKED)}", *anyio.run(_page_row, Path(folder))
        )
    _add_docs(report, results)
    for entries, readings in results.items():
        _add_hits(report, entries, readings)
    return report


def count_tokens(text: str) -> int:
    """Return the number of o200k tokens of a text."""
    return len(_encoding().encode(text))


@cache
def _encoding() -> Any:  # noqa: ANN401  # the tokenizer has no types
    try:
        return importlib.import_module("bpe_openai").get_encoding(ENCODING)
    except ImportError:
        pytest.skip("needs bpe-openai, which `make bench` installs")


def _total(readings: Mapping[str, Reading], names: Sequence[str]) -> Reading:
    return sum((readings[name] for name in names), Reading())


def _add_hits(report: Report, entries: int, readings: Mapping[str, Reading]) -> None:
    total, of = _total(readings, NAMES), [readings[name] for name in NAMES]
    shares = [1 - each["hit"] / each["upstream"] for each in of]
    metas = [each["hit"] - each["text"] for each in of]
    saved = 1 - total["hit"] / total["upstream"]
    report.remarks.append(
        f"A hit with a known choice, {entries} entries: {saved:.1%} saved, from"
        f" {min(shares):.1%} to {max(shares):.1%} by library;"
        f" {1 - total['text'] / total['upstream']:.1%} where the client keeps `_meta`"
        f" ({min(metas)} to {max(metas)} tokens) to itself. We say of ourselves that"
        f" {total['estimate']:,} tokens of text were saved; {total['upstream'] - total['text']:,}"
        " were."
    )
    text = f"saved by a hit on {entries} entries"
    report.at_least(text, 100 * saved, 100 * CLAIMS[entries], " %")


def _add_docs(report: Report, results: Mapping[int, Mapping[str, Reading]]) -> None:
    total = _total(results[FIVE], [*results[FIVE]])
    upstream, miss, hit = (total[f"docs {each}"] for each in ("upstream", "miss", "hit"))
    report.remarks.append(
        f"Documentation answers are the same text, nothing is saved on them: {len(results[FIVE])}"
        f" are {upstream:,} tokens from Context7, {miss:,} from us at first, {hit:,} once stored."
    )
    all_of_them = [each for readings in results.values() for each in readings.values()]
    others = sum(
        not each["docs upstream"] == each["docs miss"] == each["docs hit"] for each in all_of_them
    )
    report.at_most("documentation answers of another size than upstream's", others, 0)
    others = sum(each["first text"] != each["upstream"] for each in all_of_them)
    report.at_most("first look-ups of another size than upstream's", others, 0)


def _libraries() -> tuple[Sequence[Library], str]:
    """Return libraries, and where their entries come from: real ones if there are enough."""
    real = [*_recorded()] if RECORDED.exists() else []
    if len(real) >= THIRTY:
        return real, "recorded from Context7"
    lengths = islice(cycle(LENGTHS), THIRTY + 1)
    own = [_own(number, length) for number, length in enumerate(lengths, start=1)]
    return own, "of our own words, as long as real ones"


def _recorded() -> Iterator[Library]:
    for block in BETWEEN.split(RECORDED.read_text(encoding="utf-8")):
        entry = TRUST.sub(_reputation, block.strip("\n"))
        listed = parse_list(entry) if block.strip() else None
        if listed is not None and listed.libraries[0].reputation is not None:
            yield listed.libraries[0]


def _reputation(score: re.Match[str]) -> str:
    trust = float(score[1])
    return f"- Source Reputation: {'High' if trust >= 7 else 'Medium' if trust >= 4 else 'Low'}"


def _own(number: int, length: int) -> Library:
    made = Library(
        id=f"/harbour-tools/measured-{number}",
        title=f"Measured {number}",
        description=f"Measured {number} ",
        snippets=41 * number,
        reputation="High",
        trust_score=None,
        benchmark=60 + number % 35 + 0.25,
        versions=(f"v{number}.2.0",) if number % 3 == 0 else (),
        source=None,
        text="",
    )
    words = PROSE[: length - len(format_entry(made))]
    return _with_text(replace(made, description=made.description + words))


def _with_text(library: Library) -> Library:
    return replace(library, text=format_entry(library))


def _listed(
    libraries: Sequence[Library], start: int, count: int, name: str, named: int
) -> list[Library]:
    """Return a list of `count` libraries, the first `named` of which have `name` for a title.

    It begins with the library that has the name already, else with that at `start`.
    """
    titles = [each.title for each in libraries]
    first = titles.index(name) if name in titles else start
    row = [libraries[(first + each) % len(libraries)] for each in range(count)]
    return [*(_with_text(replace(each, title=name)) for each in row[:named]), *row[named:]]


@dataclass
class Script:
    """Answers of upstream: a list by the name that is looked up, or documentation."""

    lists: Mapping[str, Sequence[Library]]
    last: str = ""

    def answer(self, tool: str, arguments: Mapping[str, Any]) -> str:
        listed = tool == RESOLVE
        text = format_list(self.lists[arguments["libraryName"]]) if listed else docs_text(arguments)
        self.last = text
        return text


async def _read(
    report: Report, entries: int, libraries: Sequence[Library], home: Path
) -> dict[str, Reading]:
    """Look every name up, ask about the library that is meant, and look it up again."""
    names = dict.fromkeys(NAMES, 1) | dict.fromkeys(TWINS, 2)
    script = Script(
        {
            name: _listed(libraries, number, entries, name, named)
            for number, (name, named) in enumerate(names.items())
        }
    )
    upstream = ScriptedUpstream(generation=SERVERS[entries][1], say=script.answer)
    if entries == FIVE and TOOLS.exists():
        upstream.tools = ToolList(tuple(json.loads(TOOLS.read_text(encoding="utf-8"))["tools"]))
    async with (
        scripted_app(upstream, FakeClock(), home, BACKEND="memory") as app,
        connected(app, "legacy", meta="brief") as client,
    ):
        readings = {name: await _reading(app, client, name, script) for name in names}
        if upstream.tools:
            await _add_session(report, client)
        return readings


async def _reading(app: App, client: Client, name: str, script: Script) -> Reading:
    about = {"libraryName": name, "query": QUESTION}
    miss = await call(client, RESOLVE, **about)
    listed = script.last
    meant = {"libraryId": script.lists[name][0].id, "query": f"{QUESTION} {name}"}
    docs_miss, docs_hit = [await call(client, QUERY_DOCS, **meant) for _ in range(2)]
    hit = await call(client, RESOLVE, **about)
    outcomes = [provenance(each)["outcome"] for each in (miss, docs_miss, docs_hit, hit)]
    assert outcomes == ["miss", "miss", "hit", "hit"], outcomes
    execution = provenance(hit)["execution_id"]
    record = await app.services.call_log.find(execution, lambda _context: True)
    tokens = {
        "upstream": count_tokens(listed),
        "first text": _read_tokens(miss),
        "miss": _read_tokens(miss) + _meta_tokens(miss),
        "text": _read_tokens(hit),
        "hit": _read_tokens(hit) + _meta_tokens(hit),
        "estimate": record.tokens_saved,
        "docs upstream": count_tokens(script.last),
        "docs miss": _read_tokens(docs_miss),
        "docs hit": _read_tokens(docs_hit),
    }
    return Reading(tokens)


async def _page_row(home: Path) -> Sequence[str]:
    """Return the cells of the row about pages of a docset, which Context7 has no part in."""
    await to_thread.run_sync(add, library_in(home, FakeClock()), DOCS, DOCS_ID)
    async with (
        scripted_app(ScriptedUpstream(), FakeClock(), home) as app,
        connected(app, "legacy", meta="brief") as client,
    ):
        asked = ({"libraryId": DOCS_ID, "query": each} for each in ASKED)
        pages = [await call(client, QUERY_DOCS, **each) for each in asked]
    tiers = Counter(provenance(each)["tier"] for each in pages)
    assert tiers.keys() == {"docset"}, (tiers, pages[0])
    read = median([_read_tokens(each) for each in pages])
    whole = median([_read_tokens(each) + _meta_tokens(each) for each in pages])
    return f"{read:,.0f} from us ({whole:,.0f} with `_meta`)", "the same", ""


def _read_tokens(result: types.CallToolResult) -> int:
    return sum(map(count_tokens, texts(result)))


def _meta_tokens(result: types.CallToolResult) -> int:
    """Count a result's `_meta` as clients show it that hand whole results to the model."""
    return count_tokens(f'"_meta": {json.dumps(result.meta)}') if result.meta else 0


async def _add_session(report: Report, client: Client) -> None:
    """Add both servers' introductions; ours lists upstream's own tools, and the older one."""
    tools = (await client.list_tools()).tools
    own = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools]
    other = json.loads(TOOLS.read_text(encoding="utf-8"))["tools"]
    instructions = json.loads(HANDSHAKE.read_text(encoding="utf-8")).get("instructions", "")
    upstream = count_tokens(instructions) + _described(other)
    ours = count_tokens(client.instructions or "") + _described(own)
    report.remarks.append(
        f"Read once a session: instructions and tools, {upstream:,} tokens from Context7, {ours:,}"
        f" from us ({ours - upstream:+,})."
    )


def _described(tools: Sequence[Mapping[str, Any]]) -> int:
    """Count the descriptions of tools: name, description and arguments."""
    read = ("name", "description", "inputSchema")
    return sum(count_tokens(json.dumps({key: tool.get(key) for key in read})) for tool in tools)


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))

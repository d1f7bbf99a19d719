"""`demo`: a miss, a hit, a restart and an outage, with times and tokens side by side."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from context7_fabric.cli.output import plain_console, print_table
from context7_fabric.cli.text import CommandParser
from context7_fabric.mcp_server.tool_schemas import OWN
from context7_fabric.models import QUERY_DOCS, RESOLVE, Answer, Caller, Question, tokens
from context7_fabric.process import harmless, set_up_logging
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.values import DAY, StoreSettings, SuggestionSettings, UrlTarget
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.client import McpUpstream

LOOK_UP_SECONDS = 0.9
DOCS_SECONDS = 1.3
DAYS_LATER = 60

LIBRARY = "/sample/kettle"
QUESTION = "How do I set a timeout on a request?"
_ENTRY = """- Title: {title}
- Context7-compatible library ID: {id}
- Description: SAMPLE: {description}
- Code Snippets: {snippets}
- Source Reputation: {reputation}
- Benchmark Score: {score}"""
_LIBRARIES = (
    ("Kettle", LIBRARY, "an imaginary HTTP client that boils requests.", 412, "High", 88.4),
    ("Kettle Docs", "/websites/kettle", "the imaginary client's web site.", 655, "High", 81.2),
    ("Kettle CLI", "/sample/kettle-cli", "requests from a terminal.", 97, "Medium", 70),
    ("Teapot", "/sample/teapot", "a server that short and stout tests use.", 51, "Medium", 64.5),
    ("Kettledrum", "/sample/kettledrum", "nothing to do with HTTP: sound.", 230, "Low", 59.1),
)
_DOCS = """### Set a time-out on a request

Source: https://kettle.example/guide/timeouts

SAMPLE. Every request gives up after ten seconds. Pass `timeout` to change that for one request, or
to the client for all of them.

```python
import kettle

with kettle.Client(timeout=3.0) as client:
    reply = client.get("https://api.example/orders", timeout=30.0)
```

--------------------------------

### Retry a request that failed

Source: https://kettle.example/guide/retries

SAMPLE. A retry policy sets how often and at what interval a request is tried again. Only requests
that are safe to repeat are.

```python
client = kettle.Client(retries=kettle.Retries(times=3, wait=0.2))
```

### Guide > Time-outs > What counts

Source: https://kettle.example/guide/timeouts

SAMPLE. The time-out covers connecting, sending and each wait for bytes, not the whole download: a
long download goes on for as long as bytes keep coming."""


class SampleContext7:
    """Context7 in process with made-up text; if not `available`, every connection fails."""

    def __init__(self) -> None:
        self.available = True

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Any]:
        """Yield the streams of a connection.

        Raises:
            ConnectionError: The server is not available.
        """
        from mcp.client._memory import InMemoryTransport  # the SDK's way to connect in process

        if not self.available:
            raise ConnectionError("sample outage")
        server = Server("Context7 (sample)", on_list_tools=self._list, on_call_tool=self._call)
        async with InMemoryTransport(server) as streams:
            yield streams

    async def _list(self, *_request: object) -> types.ListToolsResult:
        tools = [types.Tool.model_validate(OWN[name]) for name in (RESOLVE, QUERY_DOCS)]
        return types.ListToolsResult(tools=tools)

    async def _call(
        self, _ctx: object, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        is_lookup = params.name == RESOLVE
        await anyio.sleep(LOOK_UP_SECONDS if is_lookup else DOCS_SECONDS)
        text = _list_text() if is_lookup else _DOCS
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


def _list_text() -> str:
    names = ("title", "id", "description", "snippets", "reputation", "score")
    entries = (_ENTRY.format(**dict(zip(names, row, strict=True))) for row in _LIBRARIES)
    return "Available Libraries:\n\n" + "\n----------\n".join(entries)


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One call: its time and kind in words, the answer, and the seconds it took."""

    when: str
    call: str
    answer: Answer
    seconds: float


ShowStep = Callable[[DemoStep], None]


async def _run_sample(settings: Settings, show: ShowStep) -> None:
    sample = SampleContext7()

    def connect(tasks: TaskGroup) -> Upstream:
        return McpUpstream(sample.connect, tasks, label="the sample", timeout=10.0)

    async with open_app(settings, connect=connect) as app:
        await _ask(app, show, "first time", "kettle", LIBRARY)
        await _ask(app, show, "second time", "kettle", LIBRARY)
    async with open_app(settings, connect=connect) as app:
        await _ask(app, show, "restarted", "kettle", LIBRARY)
    sample.available = False
    async with open_app(settings, clock=_later, connect=connect) as app:
        await _ask(app, show, f"{DAYS_LATER} days on, outage", "kettle", LIBRARY)


def _later() -> float:
    return time.time() + DAY * DAYS_LATER


async def _run_live(settings: Settings, show: ShowStep) -> None:
    async with open_app(settings) as app:
        await _ask(app, show, "first time", "httpx")
        await _ask(app, show, "second time", "httpx")
    unreachable = UrlTarget("http://127.0.0.1:9/mcp")
    cut_off = replace(settings, upstream=replace(settings.upstream, target=unreachable))
    async with open_app(cut_off) as app:
        await _ask(app, show, "restarted, outage", "httpx")


async def _ask(
    app: App, show: ShowStep, when: str, name: str, library_id: str | None = None
) -> None:
    """Look a library up, then ask for its documentation."""
    caller = Caller(app.principal)
    started = time.monotonic()
    answer = await app.services.resolve(Question(name), caller)
    show(DemoStep(when, "look-up", answer, time.monotonic() - started))
    started = time.monotonic()
    question = Question(library_id or _first_id(answer), QUESTION)
    answer = await app.services.query(question, caller)
    show(DemoStep(when, "question", answer, time.monotonic() - started))


def _first_id(answer: Answer) -> str:
    marker = "Context7-compatible library ID: "
    return answer.text.partition(marker)[2].partition("\n")[0].strip() or "/encode/httpx"


def run(words: list[str]) -> int:
    """Print each step as it is done, and the table at the end."""
    parser = CommandParser(
        "context7-fabric demo",
        description="Demonstrate the cache: against a sample in process, without a network.",
    )
    parser.add_argument("--live", action="store_true", help="against the real Context7: two calls")
    live = parser.parse_args(words).live
    set_up_logging("error")
    with tempfile.TemporaryDirectory(prefix="context7-fabric-demo-") as home:
        settings = replace(
            read_settings(os.environ),
            home=Path(home),
            cache_folder=Path(home),
            store=StoreSettings(),
            suggestions=SuggestionSettings(Path(home), enabled=False),
        )
        steps = _show_steps(settings, live=live)
    return 1 if any(step.answer.is_error for step in steps) else 0


def _show_steps(settings: Settings, *, live: bool) -> list[DemoStep]:
    console = plain_console(markup=True)
    steps: list[DemoStep] = []

    def show(step: DemoStep) -> None:
        steps.append(step)
        mark = "[red]failed[/]" if step.answer.is_error else "[green]answered[/]"
        console.print(f"{mark} {step.call}, {step.when}  [dim]{step.seconds * 1000:.0f} ms[/]")

    source = "the real Context7" if live else "a sample Context7 in this process, with made-up text"
    console.print(f"Asking [bold]{source}[/].\n")
    anyio.run(_run_live if live else _run_sample, settings, show)
    print_table(_table(steps))
    for note in dict.fromkeys(step.answer.note for step in steps if step.answer.note):
        console.print(f"[dim]Second block of the outage's answers:[/] {_quoted(note)}")
    for text in dict.fromkeys(step.answer.text for step in steps if step.answer.is_error):
        console.print(f"[red]{_quoted(text)}[/]")
    return steps


def _quoted(text: str) -> str:
    """Return text from outside, escaped for mark-up."""
    return escape(harmless(text))


def _table(steps: list[DemoStep]) -> Table:
    table = Table(title="\nWhat it cost", title_justify="left", box=SIMPLE_HEAD)
    for name in ("when", "call", "outcome", "from"):
        table.add_column(name, no_wrap=True)
    for name in ("ms", "tokens", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        answer = step.answer
        saved = str(answer.tokens_saved) if answer.tokens_saved else "-"
        figures = (f"{step.seconds * 1000:.0f}", str(tokens(answer.text)), saved)
        table.add_row(step.when, step.call, answer.outcome, answer.tier, *figures)
    return table

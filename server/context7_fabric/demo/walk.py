"""The walk of the demonstration: miss, hit, restart, outage; what each cost, side by side."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server

from context7_fabric.mcp_server.tool_schemas import OWN
from context7_fabric.models import QUERY_DOCS, RESOLVE, Answer, Caller, Question, tokens
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import Settings
from context7_fabric.settings.values import UrlTarget
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.client import McpUpstream

LOOK_UP_SECONDS = 0.9
DOCS_SECONDS = 1.3

LIBRARY = "/sample/kettle"
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

SAMPLE. A retry policy tells how often and how long apart a request is tried again. Only requests
that are safe to repeat are.

```python
client = kettle.Client(retries=kettle.Retries(times=3, wait=0.2))
```

### Guide > Time-outs > What counts

Source: https://kettle.example/guide/timeouts

SAMPLE. The time-out covers connecting, sending and each wait for bytes, not the whole download: a
long download goes on for as long as bytes keep coming."""


class SampleContext7:
    """A sample server; `available` false makes every connection to it fail."""

    def __init__(self) -> None:
        """Be available, and count calls from nought."""
        self.available = True
        self.calls = 0

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Any]:
        """Yield the streams of a connection.

        Raises:
            ConnectionError: The sample outage is on.
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
        if not self.available:
            return _result("Request failed with status 503. Please try again later.")
        self.calls += 1
        look_up = params.name == RESOLVE
        await anyio.sleep(LOOK_UP_SECONDS if look_up else DOCS_SECONDS)
        return _result(_list_text() if look_up else _DOCS)


def _list_text() -> str:
    names = ("title", "id", "description", "snippets", "reputation", "score")
    entries = (_ENTRY.format(**dict(zip(names, row, strict=True))) for row in _LIBRARIES)
    return "Available Libraries:\n\n" + "\n----------\n".join(entries)


def _result(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


DAYS_LATER = 60


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One call of the walk: when it was made, which it was, its answer, how long it took."""

    when: str
    call: str
    answer: Answer
    seconds: float

    @property
    def tokens(self) -> int:
        """What the client's model has to read."""
        return tokens(self.answer.text)


@dataclass(frozen=True, slots=True)
class DemoSubject:
    """What the walk asks about."""

    name: str
    library_id: str
    question: str


SAMPLE = DemoSubject("kettle", LIBRARY, "How do I set a timeout on a request?")
LIVE = DemoSubject("httpx", "", "How do I set a timeout on a request?")

ShowStep = Callable[[DemoStep], None]


async def walk_sample(settings: Settings, show: ShowStep) -> None:
    """Walk against the sample, `show` getting each step as it is done."""
    sample = SampleContext7()
    clock = _Clock()

    def connect(tasks: TaskGroup) -> Upstream:
        return McpUpstream(sample.connect, tasks, label="the sample", timeout=10.0)

    async with open_app(settings, clock=clock, connect=connect) as app:
        walk = _Walk(app, SAMPLE, show)
        await walk.both("first time")
        await walk.both("second time")
    async with open_app(settings, clock=clock, connect=connect) as app:
        await _Walk(app, SAMPLE, show).both("restarted")
    sample.available = False
    clock.days = DAYS_LATER
    async with open_app(settings, clock=clock, connect=connect) as app:
        await _Walk(app, SAMPLE, show).both(f"{DAYS_LATER} days on, outage")


async def walk_live(settings: Settings, show: ShowStep) -> None:
    """Walk against the real service, which costs two calls of its quota."""
    async with open_app(settings) as app:
        walk = _Walk(app, LIVE, show)
        await walk.both("first time")
        await walk.both("second time")
    gone = UrlTarget("http://127.0.0.1:9/mcp")
    cut_off = replace(settings, upstream=replace(settings.upstream, target=gone))
    async with open_app(cut_off) as app:
        await _Walk(app, LIVE, show).both("restarted, outage")


class _Clock:
    def __init__(self) -> None:
        self.days = 0

    def __call__(self) -> float:
        return time.time() + 86400 * self.days


class _Walk:
    def __init__(self, app: App, subject: DemoSubject, show: ShowStep) -> None:
        self._app = app
        self._subject = subject
        self._show = show

    async def both(self, when: str) -> None:
        """Look the library up, then ask of it."""
        caller = Caller(self._app.principal)
        started = time.monotonic()
        answer = await self._app.desk.resolve(Question(self._subject.name), caller)
        self._show(DemoStep(when, "look-up", answer, time.monotonic() - started))
        library_id = self._subject.library_id or _first_id(answer)
        started = time.monotonic()
        question = Question(library_id, self._subject.question)
        answer = await self._app.desk.query(question, caller)
        self._show(DemoStep(when, "question", answer, time.monotonic() - started))


def _first_id(answer: Answer) -> str:
    marker = "Context7-compatible library ID: "
    return answer.text.partition(marker)[2].partition("\n")[0].strip() or "/encode/httpx"

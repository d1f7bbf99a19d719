"""An upstream whose replies a test writes: it counts what it is asked, can be held, can fail."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Progress, no_progress
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import Settings, read_settings
from context7_fabric.upstream.base import Reply, ToolList
from support.catalogue import Catalogue
from support.documents import Edition, context_text, page_text

LIBRARY = Catalogue().libraries[0]
NOW = 1_800_000_000.0
"""Start of the fake clock in epoch seconds."""


@dataclass
class FakeClock:
    """The time, moved by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Asked:
    """One call that reached upstream."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass
class ScriptedUpstream:
    """Upstream with a scripted reply to each tool, by default from the stand-in's catalogue."""

    generation: int = 2
    error: Exception | None = None
    is_error: bool = False
    connecting_for: float = 0.0
    calls: list[Asked] = field(default_factory=list)
    lists: int = 0
    gate: anyio.Event | None = None
    list_gate: anyio.Event | None = None
    arrived: anyio.Event = field(default_factory=anyio.Event)
    texts: dict[str, str] = field(default_factory=dict)
    say: Callable[[str, Mapping[str, Any]], str] | None = None
    revision: int = 1
    tools: ToolList | None = None

    async def list_tools(self) -> ToolList:
        self.lists += 1
        if self.list_gate is not None:
            await self.list_gate.wait()
        if self.error is not None:
            raise self.error
        docs = QUERY_DOCS if self.generation == 2 else GET_DOCS
        named = ({"name": name, "inputSchema": {"type": "object"}} for name in (RESOLVE, docs))
        return self.tools or ToolList(tuple(named))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], progress: Progress = no_progress
    ) -> Reply:
        """Count the call, wait at the gate if there is one, then reply or fail."""
        self.calls.append(Asked(name, arguments))
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        await progress(0.5, 1.0, "half way")
        if self.error is not None:
            raise self.error
        return Reply(self._text(name, arguments), self.is_error)

    def _text(self, name: str, arguments: Mapping[str, Any]) -> str:
        if self.say is not None:
            return self.say(name, arguments)
        if name in self.texts:
            return self.texts[name]
        return list_text() if name == RESOLVE else docs_text(arguments, self.revision)


def list_text(count: int = 5, title: str = "Widget {}") -> str:
    """Return a list of `count` libraries, as server 4.1.1 would send it."""
    entries = (
        f"- Title: {title.format(number)}\n"
        f"- Context7-compatible library ID: /widgets/widget{number}\n"
        f"- Description: The widget library number {number}.\n"
        f"- Code Snippets: {100 + number}\n"
        "- Source Reputation: High\n"
        f"- Benchmark Score: {90 - number}.5"
        for number in range(1, count + 1)
    )
    return "Available Libraries:\n\n" + "\n----------\n".join(entries)


def docs_text(arguments: Mapping[str, Any], revision: int = 1) -> str:
    """Return documentation as upstream would send it for a call's arguments."""
    edition = Edition(library=LIBRARY, version=None, revision=revision)
    if "context7CompatibleLibraryID" in arguments:
        mode, page = arguments.get("mode", "code"), arguments.get("page", 1)
        return page_text(edition, mode, arguments.get("topic", ""), page, 2)
    return context_text(edition, str(arguments["query"]))


def settings_for(home: Path, **variables: str) -> Settings:
    """Return the settings of an environment that holds `variables` (short names) alone."""
    environ = {f"CONTEXT7_FABRIC_{name}": value for name, value in variables.items()}
    return read_settings({"CONTEXT7_FABRIC_HOME": str(home)} | environ)


@asynccontextmanager
async def scripted_app(
    upstream: ScriptedUpstream, clock: FakeClock, home: Path, **variables: str
) -> AsyncGenerator[App]:
    settings = settings_for(home, **variables)
    async with open_app(settings, clock=clock, connect=lambda _tasks: upstream) as app:
        yield app

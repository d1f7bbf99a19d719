"""The walk of the demonstration: miss, hit, restart, outage; what each cost, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from anyio.abc import TaskGroup

from context7_fabric.answers.docs import Question
from context7_fabric.answers.lookup import LookUp
from context7_fabric.demo.sample import LIBRARY, SampleContext7
from context7_fabric.models import Answer, Caller, tokens
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import Settings
from context7_fabric.settings.values import UrlTarget
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.client import McpUpstream

DAYS_LATER = 60


@dataclass(frozen=True, slots=True)
class Step:
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
class Subject:
    """What the walk asks about."""

    name: str
    library_id: str
    question: str


SAMPLE = Subject("kettle", LIBRARY, "How do I set a timeout on a request?")
LIVE = Subject("httpx", "", "How do I set a timeout on a request?")

Show = Callable[[Step], None]


async def walk_sample(settings: Settings, show: Show) -> None:
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


async def walk_live(settings: Settings, show: Show) -> None:
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
    def __init__(self, app: App, subject: Subject, show: Show) -> None:
        self._app = app
        self._subject = subject
        self._show = show

    async def both(self, when: str) -> None:
        """Look the library up, then ask of it."""
        caller = Caller(self._app.principal)
        started = time.monotonic()
        answer = await self._app.desk.resolve(LookUp(self._subject.name), caller)
        self._show(Step(when, "look-up", answer, time.monotonic() - started))
        library_id = self._subject.library_id or _first_id(answer)
        started = time.monotonic()
        question = Question(library_id, self._subject.question)
        answer = await self._app.desk.query(question, caller)
        self._show(Step(when, "question", answer, time.monotonic() - started))


def _first_id(answer: Answer) -> str:
    marker = "Context7-compatible library ID: "
    return answer.text.partition(marker)[2].partition("\n")[0].strip() or "/encode/httpx"

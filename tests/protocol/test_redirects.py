"""A redirect is followed while its target answers; else upstream's word on the id asked counts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.fabric.context import Scope
from context7_fabric.models import Answer, Caller, Question
from context7_fabric.runtime.app import App
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

DAY = 86400.0
A, B, C = "/old/one", "/new/two", "/newest/three"
DOCS = "docs"
UNKNOWN = 'Library "{}" not found. Please check the library ID or your access permissions.'
WORDLESS = "The library you are trying to access does not exist. Please try with a different ID."
CODED = '{"error":"library_not_found","message":"no such library"}'
TAGLESS = 'Tag "v2" not found for this library.'
World = dict[str, str]
"""Reply of upstream about an id: documentation, a text, or the id that it redirects to."""


class Moving(ScriptedUpstream):
    """An upstream whose libraries move."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.say = self.answer

    def answer(self, _tool: str, arguments: Mapping[str, Any]) -> str:
        return said(self.world, arguments["libraryId"], arguments["query"])

    @property
    def asked(self) -> list[str]:
        """The ids that it was asked about so far; they are counted anew from now on."""
        ids = [each.arguments["libraryId"] for each in self.calls]
        self.calls.clear()
        return ids


def said(world: World, library_id: str, query: str) -> str:
    """Upstream's own reply about an id, without a redirect being followed."""
    target = world.get(library_id, UNKNOWN)
    if target == DOCS:
        return docs_text({"query": f"{query} of {library_id}"})
    if target.startswith("/"):
        return f"Library {library_id} has been redirected to this library: {target}."
    return target.replace("{}", library_id)


async def ask(app: App, query: str, library_id: str = A) -> Answer:
    """Ask about a library."""
    return await app.services.query(Question(library_id, query), Caller(app.principal))


@pytest.mark.parametrize(
    "world",
    [
        {A: B},
        {A: B, B: WORDLESS},
        {A: B, B: CODED},
        {A: f"{B}/v2", f"{B}/v2": TAGLESS},
        {A: B, B: C},
        {A: B, B: A},
        {A: A},
        {A: B, B: B},
        {A: B, B: C, C: "/four/four", "/four/four": "/five/five", "/five/five": DOCS},
        {A: "/no-id"},
        {A: '{"error":"library_redirected","redirectUrl":"/new/two"}'},
    ],
)
async def test_query_when_a_redirect_leads_nowhere_gets_upstreams_word_and_keeps_nothing(
    clock: FakeClock, tmp_path: Path, world: World
) -> None:
    upstream = Moving(world)
    async with scripted_app(upstream, clock, tmp_path) as app:
        answer = await ask(app, "start")
        assert answer.text == said(world, A, "start")
        assert not await app.fabric.keys(Scope.GLOBAL, "move:")
        upstream.world = {A: DOCS}
        assert (await ask(app, "again")).text == said({A: DOCS}, A, "again")


@pytest.mark.parametrize(
    ("later", "source", "kept"),
    [
        ({A: DOCS}, A, []),
        ({A: DOCS, B: WORDLESS}, A, []),
        ({A: C, C: DOCS}, C, [A]),
        ({A: B}, A, []),
        ({A: UNKNOWN}, A, []),
        ({A: DOCS, B: C}, A, []),
        ({A: DOCS, B: A}, A, [B]),
        ({A: DOCS, B: B}, A, []),
    ],
)
@pytest.mark.parametrize("how", ["learned now", "learned long ago", "learned by another release"])
async def test_query_when_the_target_is_unknown_later_asks_the_original(
    clock: FakeClock, tmp_path: Path, later: World, source: str, kept: list[str], how: str
) -> None:
    upstream = Moving({A: B, B: DOCS})
    if how != "learned now":
        async with scripted_app(upstream, clock, tmp_path) as app:
            if how == "learned by another release":
                await app.fabric.set_context(f"move:{A}", B, disposable=True)
            assert (await ask(app, "start")).text == said({B: DOCS}, B, "start")
        clock.forward(1000 * DAY)
    async with scripted_app(upstream, clock, tmp_path) as app:
        await ask(app, "before")
        assert await app.fabric.keys(Scope.GLOBAL, "move:") == [f"move:{A}"]
        upstream.world = later
        expected = said(later, source, "after")
        for _question in range(2):
            assert (await ask(app, "after")).text == expected
        moves = await app.fabric.keys(Scope.GLOBAL, "move:")
    assert moves == [f"move:{each}" for each in kept]


@pytest.mark.parametrize("asked", [f"{A}/v1", f"{A}@v1"])
async def test_query_when_a_versions_redirect_ends_asks_that_version(
    clock: FakeClock, tmp_path: Path, asked: str
) -> None:
    upstream = Moving({f"{A}/v1": f"{B}/v1", f"{B}/v1": DOCS, A: DOCS, B: DOCS})
    async with scripted_app(upstream, clock, tmp_path) as app:
        assert (await ask(app, "one", asked)).text == said(upstream.world, f"{B}/v1", "one")
        upstream.world = {f"{A}/v1": DOCS, B: DOCS, f"{B}/v1": TAGLESS}
        assert (await ask(app, "two", asked)).text == said(upstream.world, f"{A}/v1", "two")
        assert (await ask(app, "three", B)).text == said(upstream.world, B, "three")


async def test_query_when_the_target_goes_behind_a_stale_copy_asks_the_original_next(
    clock: FakeClock, tmp_path: Path
) -> None:
    upstream = Moving({A: B, B: DOCS})
    async with scripted_app(upstream, clock, tmp_path) as app:
        await ask(app, "start")
        clock.forward(4 * DAY)
        upstream.world = {A: DOCS}
        upstream.calls.clear()
        assert (await ask(app, "start")).outcome == "stale"
        with anyio.fail_after(30):
            while await app.fabric.keys(Scope.GLOBAL, "move:"):
                await anyio.lowlevel.checkpoint()
        assert (await ask(app, "start")).text == said(upstream.world, A, "start")


async def test_query_when_upstream_is_down_keeps_the_redirect(
    clock: FakeClock, tmp_path: Path
) -> None:
    upstream = Moving({A: B, B: DOCS})
    async with scripted_app(upstream, clock, tmp_path) as app:
        copy = await ask(app, "start")
        upstream.error = UpstreamUnreachable("the test", "no route to host")
        assert (await ask(app, "start")).text == copy.text
        await ask(app, "other")
        upstream.error = None
        upstream.calls.clear()
        assert (await ask(app, "third")).text == said(upstream.world, B, "third")
        assert upstream.asked == [B]


async def test_query_when_two_ask_by_different_ids_each_gets_upstreams_word_on_its_own(
    clock: FakeClock, tmp_path: Path
) -> None:
    upstream = Moving({A: B, B: DOCS})
    async with scripted_app(upstream, clock, tmp_path) as app:
        await ask(app, "start")
        upstream.world = {A: DOCS}
        upstream.gate, upstream.arrived = anyio.Event(), anyio.Event()
        answers: dict[str, str] = {}

        async def keep(library_id: str) -> None:
            answers[library_id] = (await ask(app, "same", library_id)).text

        async with anyio.create_task_group() as tasks:
            for library_id in (B, A):
                tasks.start_soon(keep, library_id)
            await upstream.arrived.wait()
            upstream.gate.set()
    assert answers == {each: said(upstream.world, each, "same") for each in (A, B)}


async def test_query_when_one_principal_is_redirected_asks_for_another_as_ever(
    clock: FakeClock, tmp_path: Path
) -> None:
    upstream = Moving({A: B, B: DOCS})
    async with scripted_app(upstream, clock, tmp_path, PRINCIPAL="one") as app:
        await ask(app, "start")
        upstream.calls.clear()
    upstream.world = {A: DOCS}
    for principal in ("two", None):
        variables = {} if principal is None else {"PRINCIPAL": principal}
        async with scripted_app(upstream, clock, tmp_path, **variables) as app:
            assert (await ask(app, "start")).text == said(upstream.world, A, "start")
            assert upstream.asked == [A]

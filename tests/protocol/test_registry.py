"""Look-ups and the registry: spellings of a row share a list, questions guard it, use teaches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.models import Answer, Caller, Question
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.seeds import Seeds
from context7_fabric.runtime.app import App
from context7_fabric.views.purge import Purge
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

GONE = UpstreamUnreachable("the test", "no route to host")
FASTAPI = "/websites/fastapi_tiangolo"
LISTED = (
    "Available Libraries:\n\n"
    f"- Title: FastAPI\n- Context7-compatible library ID: {FASTAPI}\n"
    "- Description: A framework for APIs.\n- Code Snippets: 900\n- Source Reputation: High\n"
    "- Benchmark Score: 91.5\n- Versions: 0.115.0, 0.116.1"
)


@pytest.fixture
async def app(app: App, upstream: ScriptedUpstream) -> App:
    """Return the app with its registry loaded, behind an upstream that lists FastAPI."""
    upstream.texts["resolve-library-id"] = LISTED
    await app.services.registry.loaded.wait()
    return app


async def look_up(app: App, name: str, question: str = "") -> Answer:
    """Look `name` up."""
    return await app.services.resolve(Question(name, question), Caller(app.principal))


@pytest.mark.parametrize(
    "spelling",
    ["fastapi", " FastAPI ", "`fastapi`", "fastapi==0.115", "docs for fastapi", "fastapi python"],
)
async def test_every_spelling_of_a_row_finds_what_any_spelling_fetched(
    app: App, upstream: ScriptedUpstream, spelling: str
) -> None:
    assert (await look_up(app, "FastAPI documentation")).outcome == "miss"
    assert (await look_up(app, spelling)).outcome == "hit"
    assert len(upstream.calls) == 1


async def test_an_alias_finds_the_list_of_its_row_and_is_named_as_alias(
    app: App, upstream: ScriptedUpstream
) -> None:
    await look_up(app, "scikit-learn")
    found = await look_up(app, "sklearn")
    assert (found.outcome, found.tier) == ("hit", "alias")
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("question", ["fetch it in javascript", "use the Node.js client"])
async def test_a_question_about_another_language_is_a_miss(app: App, question: str) -> None:
    await look_up(app, "fastapi", "routing")
    assert (await look_up(app, "fastapi", question)).outcome == "miss"
    assert (await look_up(app, "fastapi", "routing in Python")).outcome == "hit"


async def test_questions_in_two_languages_about_one_name_are_two_look_ups(app: App) -> None:
    assert (await look_up(app, "redis", "connect in Python")).outcome == "miss"
    assert (await look_up(app, "redis", "connect in JavaScript")).outcome == "miss"
    assert (await look_up(app, "redis", "pipelines in Python")).outcome == "hit"


async def test_a_language_word_that_disagrees_is_another_look_up(app: App) -> None:
    await look_up(app, "fastapi")
    assert (await look_up(app, "fastapi javascript")).outcome == "miss"


async def test_an_admitted_list_teaches_rows(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    await look_up(app, "fastapi")
    row = app.services.registry.row(FASTAPI)
    assert row is not None
    assert (row.name, row.ecosystem, row.last_verified) == ("fastapi", "pypi", clock.now)
    assert (row.snippets, row.score, row.reputation) == (900, 91.5, "High")
    assert row.versions == ("0.115.0", "0.116.1")


async def test_use_is_counted_and_survives_a_restart(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("rows")
    upstream.texts["resolve-library-id"] = LISTED
    async with scripted_app(upstream, clock, home) as app:
        await app.services.registry.loaded.wait()
        await look_up(app, "fastapi")
        for query in ("one", "two"):
            await app.services.query(Question(FASTAPI, query), Caller(app.principal))
    async with scripted_app(upstream, clock, home) as app:
        await app.services.registry.loaded.wait()
        row = app.services.registry.row(FASTAPI)
    assert row is not None
    assert row.usage_count == 2


async def test_a_redirect_moves_the_row(app: App, upstream: ScriptedUpstream) -> None:
    def say(_tool: str, arguments: Mapping[str, Any]) -> str:
        if arguments["libraryId"] == FASTAPI:
            return f"Library {FASTAPI} has been redirected to this library: /new/fastapi."
        return docs_text(arguments)

    await look_up(app, "fastapi")
    upstream.say = say
    await app.services.query(Question(FASTAPI, "start"), Caller(app.principal))
    row = app.services.registry.row("/new/fastapi")
    assert row is not None
    assert row.name == "fastapi"
    assert app.services.registry.row(FASTAPI) is None


async def test_an_id_that_upstream_does_not_know_any_more_sends_the_next_look_up_upstream(
    app: App, upstream: ScriptedUpstream
) -> None:
    await look_up(app, "fastapi")
    upstream.texts["query-docs"] = f'Library "{FASTAPI}" not found. Please check the library ID.'
    await app.services.query(Question(FASTAPI, "start"), Caller(app.principal))
    assert (await look_up(app, "fastapi")).outcome == "miss"
    assert (await look_up(app, "fastapi")).outcome == "hit"


async def test_a_phrase_that_names_no_library_gets_labelled_suggestions_in_an_outage(
    app: App, upstream: ScriptedUpstream
) -> None:
    await look_up(app, "fastapi")
    upstream.error = GONE
    async with connected(app) as client:
        result = await call(
            client,
            "resolve-library-id",
            libraryName="web framework for building APIs",
            query="python type hints",
        )
    assert provenance(result)["outcome"] == "suggestion"
    assert FASTAPI in texts(result)[0]
    assert "from the local registry, not verified" in texts(result)[1]


async def test_look_up_in_an_outage_while_rows_are_still_read_ends(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RowStore, "load", lambda _store: anyio.sleep_forever())
    upstream.error = GONE
    async with scripted_app(upstream, clock, tmp_path / "home") as app:
        resolver = app.services.resolver
        resolver.load_seconds = resolver.fallback.load_seconds = 0.01
        with anyio.fail_after(30):
            answer = await look_up(app, "fastapi")
    assert answer.is_error
    assert "still loading: ask again" in answer.text


async def test_rows_learned_under_a_key_belong_to_its_principal(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("private")
    upstream.texts["resolve-library-id"] = LISTED.replace(FASTAPI, "/secret/project")
    async with scripted_app(upstream, clock, home, PRINCIPAL="owner") as app:
        await app.services.registry.loaded.wait()
        await look_up(app, "project")
        assert app.services.registry.row("/secret/project") is not None
    async with scripted_app(upstream, clock, home) as app:
        await app.services.registry.loaded.wait()
        assert app.services.registry.row("/secret/project") is None


async def test_what_one_process_learns_or_forgets_another_on_the_home_follows(
    upstream: ScriptedUpstream,
    clock: FakeClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("step")
    upstream.texts["resolve-library-id"] = LISTED.replace(FASTAPI, "/made/up")
    async with (
        scripted_app(upstream, clock, home) as one,
        scripted_app(upstream, clock, home) as two,
        anyio.create_task_group() as tasks,
    ):
        rows = RowStore(two.fabric, two.principal)
        registry = Registry(rows, lambda: Seeds(()), clock, step_seconds=0.01)
        tasks.start_soon(registry.keep_in_step)
        await one.services.registry.loaded.wait()
        await look_up(one, "made up")
        with anyio.fail_after(30):
            while registry.row("/made/up") is None:
                await anyio.lowlevel.checkpoint()
        await Purge(one.fabric).everything()
        with anyio.fail_after(30):
            while registry.row("/made/up") is not None:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

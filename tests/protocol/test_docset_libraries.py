"""Docsets and libraries: ids, versions, private ones, look-ups that list what a docset knows."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.models import Caller, Question
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.held_docsets import GEARS, KNOWN, UNKNOWN, place_docset
from support.scripted import FakeClock, ScriptedUpstream, docs_text, list_text, scripted_app

GONE = UpstreamUnreachable("the test", "no route to host")
PRIVATE = "/local/gears"
MOVED = "Library /acme/gears has been redirected to this library: /newacme/gears."
NO_LIBRARY = "No libraries found matching the provided name."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the folder of a home."""
    return tmp_path / "home"


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, home: Path) -> AsyncGenerator[App]:
    """Return an open app on that home."""
    async with scripted_app(upstream, clock, home) as opened:
        yield opened


async def hold(home: Path, library: str = GEARS, version: str | None = None, **facts: Any) -> None:  # noqa: ANN401  # fields of a docset
    """Put a docset into the home before the app looks for the first time."""
    await to_thread.run_sync(partial(place_docset, home, library, version, **facts))


async def tier_of(app: App, library: str, query: str = KNOWN) -> str:
    """Ask on a connection of its own: nothing is asked again."""
    caller = Caller(app.principal, connection=None)
    answer = await app.services.query(Question(library, query), caller)
    return f"{answer.outcome} {answer.tier}"


async def test_docset_answers_for_its_other_ids(app: App, home: Path) -> None:
    await hold(home, also=("/websites/gears",))
    assert await tier_of(app, "/websites/gears") == "hit docset"
    assert await tier_of(app, "/websites/wheels") == "miss upstream"


@pytest.mark.parametrize("filed", ["/acme/gears", "/newacme/gears"])
async def test_docset_answers_for_both_ends_of_a_learned_redirect(
    upstream: ScriptedUpstream, clock: FakeClock, home: Path, filed: str
) -> None:
    upstream.say = lambda _tool, arguments: (
        MOVED if arguments["libraryId"] == "/acme/gears" else docs_text(arguments)
    )
    async with scripted_app(upstream, clock, home) as app:
        assert await tier_of(app, "/acme/gears", UNKNOWN) == "miss upstream"
    await hold(home, filed)
    asked = len(upstream.calls)
    async with scripted_app(upstream, clock, home) as app:
        assert await tier_of(app, "/acme/gears") == "hit docset"
        assert await tier_of(app, "/newacme/gears") == "hit docset"
    assert len(upstream.calls) == asked


def fastapi_list() -> str:
    """Return a list with two ids of one product, and the fork of another owner."""
    ids = ("/fastapi/fastapi", "/websites/fastapi_tiangolo", "/acme/fastapi-fork")
    text = list_text(3, title="FastAPI")
    for number, library_id in enumerate(ids, start=1):
        text = text.replace(f"/widgets/widget{number}", library_id)
    head, _, last = text.rpartition("Title: FastAPI")
    return f"{head}Title: FastAPI Fork{last}"


@pytest.mark.parametrize(
    ("filed", "tier"),
    [
        ("/fastapi/fastapi", "hit docset"),
        ("/acme/fastapi-fork", "miss upstream"),
        ("/acme/fastapi", "miss upstream"),
    ],
)
async def test_docset_answers_for_an_id_that_the_registry_joins_by_the_exact_rule(
    app: App, upstream: ScriptedUpstream, home: Path, filed: str, tier: str
) -> None:
    upstream.texts["resolve-library-id"] = fastapi_list()
    await hold(home, filed)
    await app.services.registry.loaded.wait()
    await app.services.resolve(Question("fastapi"), Caller(app.principal))
    assert await tier_of(app, "/websites/fastapi_tiangolo") == tier


@pytest.mark.parametrize(
    ("filed", "asked", "tier"),
    [
        ("/fastapi/fastapi", "/websites/fastapi_tiangolo", "hit docset"),
        ("/websites/fastapi_tiangolo", "/fastapi/fastapi", "hit docset"),
        ("/acme/fastapi", "/websites/fastapi_tiangolo", "miss upstream"),
        ("/websites/fastapi_tiangolo", "/acme/fastapi", "miss upstream"),
        ("/fastapi/fastapi", "/pydantic/pydantic", "miss upstream"),
    ],
)
async def test_docset_answers_for_an_id_that_a_seed_joins_to_the_owners_own(
    app: App, home: Path, filed: str, asked: str, tier: str
) -> None:
    await hold(home, filed)
    await app.services.registry.loaded.wait()
    assert await tier_of(app, asked) == tier


async def test_version_that_no_docset_holds_goes_upstream(app: App, home: Path) -> None:
    await hold(home, GEARS, "2.1")
    await hold(home, GEARS, "1.4")
    assert await tier_of(app, f"{GEARS}/1.4") == "hit docset"
    assert await tier_of(app, f"{GEARS}/v2.0") == "miss upstream"
    assert await tier_of(app, GEARS) == "hit docset"


async def test_version_that_no_docset_holds_falls_back_on_the_nearest_lower_one(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    upstream.error = GONE
    for version in ("1.4", "2.1", "3.0"):
        await hold(home, GEARS, version)
    question = Question(f"{GEARS}/v2.5", KNOWN)
    answer = await app.services.query(question, Caller(app.principal))
    assert f"{answer.outcome} {answer.tier}" == "offline docset"
    assert "Version v2.5 is not held here" in (answer.note or "")
    assert f"{GEARS}, version 2.1" in (answer.note or "")
    assert await tier_of(app, f"{GEARS}/v1.0") == "error local"


async def test_library_that_upstream_does_not_know_is_answered_by_its_docset(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    upstream.texts["query-docs"] = (
        'Library "/acme/gears" not found. Please check the library ID or your access permissions.'
    )
    await hold(home)
    assert await tier_of(app, GEARS, f"{UNKNOWN} spindle") == "offline docset"
    assert await tier_of(app, GEARS, UNKNOWN) == "negative upstream"


@pytest.mark.parametrize("query", [KNOWN, f"{UNKNOWN} spindle", UNKNOWN, ""])
async def test_local_library_is_never_asked_for_upstream(
    app: App, upstream: ScriptedUpstream, home: Path, query: str
) -> None:
    await hold(home, PRIVATE)
    answer = await app.services.query(Question(PRIVATE, query), Caller(app.principal))
    again = await app.services.query(Question(PRIVATE, query), Caller(app.principal))
    assert upstream.calls == []
    assert (answer.outcome, answer.tier) == (again.outcome, again.tier) == ("hit", "docset")
    assert answer.text.startswith("### ")
    assert "Nothing about it is sent to Context7." in (answer.note or "")


@pytest.mark.parametrize("library", [PRIVATE, "/LOCAL/x/1.0", "local/x", "/local", "/local/a b"])
async def test_local_id_without_a_docset_is_an_error_without_upstream(
    app: App, upstream: ScriptedUpstream, library: str
) -> None:
    for answer in (
        await app.services.query(Question(library, KNOWN), Caller(app.principal)),
        await app.services.resolve(Question(library, KNOWN), Caller(app.principal)),
    ):
        assert answer.is_error
        assert "never sent to Context7" in answer.text
    assert upstream.calls == []


async def test_local_library_with_docsets_off_is_an_error_without_upstream(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home, PRIVATE)
    caller = Caller(app.principal, docsets="off")
    answer = await app.services.query(Question(PRIVATE, KNOWN), caller)
    assert answer.is_error
    assert upstream.calls == []


async def test_private_docset_answers_its_owner_alone_and_never_goes_upstream(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home, GEARS, owner="alice")
    question = Question(GEARS, f"{UNKNOWN} spindle")
    own = await app.services.query(question, Caller(app.principal, "alice"))
    assert upstream.calls == []
    other = await app.services.query(question, Caller(app.principal, "bob"))
    assert (own.tier, other.tier) == ("docset", "upstream")


async def test_private_docset_keeps_every_version_of_its_library_from_upstream(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home, GEARS, "2.0", owner="alice", also=("/websites/gears",))
    caller = Caller(app.principal, "alice")
    newer = await app.services.query(Question("/websites/gears/9.0", KNOWN), caller)
    older = await app.services.query(Question(f"{GEARS}/1.0", KNOWN), caller)
    assert upstream.calls == []
    assert "Version 9.0 is not held here" in (newer.note or "")
    assert older.is_error


@pytest.mark.parametrize("name", ["gears", "Gears", PRIVATE, "local/gears"])
async def test_look_up_of_a_local_library_is_answered_alone(
    app: App, upstream: ScriptedUpstream, home: Path, name: str
) -> None:
    await hold(home, PRIVATE)
    async with connected(app) as client:
        found = await call(client, "resolve-library-id", libraryName=name, query="in Rust")
    listed = parse_list(texts(found)[0])
    assert listed is not None
    assert [each.id for each in listed.libraries] == [PRIVATE]
    assert "Context7 is not asked" in texts(found)[1]
    assert (provenance(found)["tier"], provenance(found)["library_id"]) == ("docset", PRIVATE)
    assert upstream.calls == []


async def test_look_up_lists_a_library_that_only_a_docset_knows_first(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home, GEARS, "2.1")
    async with connected(app) as client:
        found = await call(client, "resolve-library-id", libraryName="gears", query="x")
        stored = await call(client, "resolve-library-id", libraryName="gears", query="x")
    text, note = texts(found)
    listed, upstreams = parse_list(text), parse_list(list_text())
    assert listed is not None
    assert upstreams is not None
    assert [each.id for each in listed.libraries] == [GEARS, *(e.id for e in upstreams.libraries)]
    ours = listed.libraries[0]
    assert ours.versions == ("2.1",)
    assert text.replace(f"{ours.text}\n----------\n", "") == list_text()
    assert GEARS in note
    assert texts(stored) == texts(found)
    assert [each.arguments["libraryName"] for each in upstream.calls] == ["gears"]


async def test_look_up_of_ids_that_differ_in_case_lists_one_library(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home, GEARS, "1.0")
    await hold(home, "/Acme/Gears", "2.0")
    for name in ("gears", "/ACME/gears"):
        found = await app.services.resolve(Question(name, "x"), Caller(app.principal))
        listed = parse_list(found.text)
        assert listed is not None
        ours, *others = [each for each in listed.libraries if each.id.lower() == GEARS]
        assert sorted(ours.versions) == ["1.0", "2.0"]
        assert others == []


async def test_look_up_that_lists_the_docsets_library_is_byte_identical(
    app: App, home: Path
) -> None:
    await hold(home, "/widgets/widget2")
    async with connected(app) as client:
        found = await call(client, "resolve-library-id", libraryName="widget2", query="x")
    assert texts(found) == [list_text()]


async def test_look_up_of_another_name_is_byte_identical(app: App, home: Path) -> None:
    await hold(home)
    async with connected(app) as client:
        found = await call(client, "resolve-library-id", libraryName="gearsets", query="x")
    assert texts(found) == [list_text()]


@pytest.mark.parametrize("name", ["gears", "GEARS", GEARS, "acme/gears"])
async def test_look_up_in_an_outage_resolves_a_docsets_library_exactly(
    app: App, upstream: ScriptedUpstream, home: Path, name: str
) -> None:
    await hold(home)
    upstream.error = GONE
    found = await app.services.find(Question(name), Caller(app.principal))
    assert found.library_id == GEARS
    assert (found.outcome, found.tier) == ("offline", "docset")
    assert "no route to host" in (found.note or "")


@pytest.mark.parametrize(
    ("filed", "also", "name", "question", "is_found"),
    [
        ("/python/cpython", (), "cpython", "run a coroutine", True),
        ("/python/cpython", (), "CPython", "run a coroutine in python", True),
        ("/python/cpython", (), "unittest", "in python", True),
        ("/python/cpython", (), "python", "run a coroutine", False),
        ("/opencv/opencv", (), "opencv", "in python", True),
        ("/opencv/opencv", (), "opencv javascript", "", False),
        ("/microsoft/TypeScript", (), "typescript", "in javascript", True),
        ("/microsoft/TypeScript", (), "typescript", "in python", False),
        ("/websites/fastapi_tiangolo", ("/fastapi/fastapi",), "fastapi", "in python", True),
        ("/websites/fastapi_tiangolo", ("/fastapi/fastapi",), "fastapi", "in rust", False),
        ("/mongodb/docs", (), "mongodb", "in rust", True),
        ("/mongodb/docs", (), "docs", "in rust", False),
    ],
)
async def test_look_up_of_a_docset_that_the_registry_knows_by_another_name(
    app: App,
    home: Path,
    filed: str,
    also: tuple[str, ...],
    name: str,
    question: str,
    is_found: bool,
) -> None:
    await hold(home, filed, also=also)
    await app.services.registry.loaded.wait()
    caller = Caller(app.principal)
    assert [
        each.entry.id
        for each in await app.services.docset_names.named(Question(name, question), caller.viewer)
    ] == [filed] * is_found


async def test_look_up_by_project_of_a_docset_that_upstream_titled(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    upstream.texts["resolve-library-id"] = list_text(1, title="Python").replace(
        "/widgets/widget1", "/python/cpython"
    )
    await hold(home, "/python/cpython")
    await app.services.registry.loaded.wait()
    await app.services.resolve(Question("unittest"), Caller(app.principal))
    upstream.error = GONE
    found = await app.services.find(Question("cpython", "in python"), Caller(app.principal))
    assert (found.library_id, found.tier) == ("/python/cpython", "docset")


async def test_look_up_that_upstream_knows_nothing_of_lists_the_docsets_library(
    app: App, upstream: ScriptedUpstream, home: Path
) -> None:
    await hold(home)
    upstream.texts["resolve-library-id"] = NO_LIBRARY
    found = await app.services.find(Question("gears"), Caller(app.principal))
    assert found.library_id == GEARS
    assert found.outcome == "hit"


async def test_look_up_with_upstream_off_resolves_a_docsets_library(
    upstream: ScriptedUpstream, clock: FakeClock, home: Path
) -> None:
    await hold(home)
    async with scripted_app(upstream, clock, home, UPSTREAM="off") as app:
        upstream.error = GONE
        found = await app.services.find(Question("gears"), Caller(app.principal))
        assert found.library_id == GEARS
        answer = await app.services.query(Question(GEARS, KNOWN), Caller(app.principal))
    assert answer.tier == "docset"
    assert "Ask again" not in (answer.note or "")

"""Short look-ups: only for a library that goes by the name, and nothing exact is hidden."""

from collections.abc import Sequence

import pytest

from context7_fabric.models import Caller
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream

Entries = Sequence[tuple[str, str]]
"""Titles and ids."""

FLASK = ("Flask", "/pallets/flask")
PYTEST = ("pytest", "/pytest-dev/pytest")


def listed(entries: Entries) -> str:
    """A list as upstream sends it."""
    return "Available Libraries:\n\n" + "\n----------\n".join(map(entry, entries))


def entry(named: tuple[str, str]) -> str:
    title, library_id = named
    return (
        f"- Title: {title}\n- Context7-compatible library ID: {library_id}\n"
        f"- Description: Says of {title} what has to be said.\n- Code Snippets: 9\n"
        "- Source Reputation: High"
    )


async def looked_up(
    app: App, name: str, asked: str, tool: str = "query-docs", question: str = "x"
) -> tuple[str, dict[str, object]]:
    """Look `name` up, ask about `asked`, look it up again; the text of that, and its provenance."""
    key = "libraryId" if tool == "query-docs" else "context7CompatibleLibraryID"
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName=name, query=question)
        docs = await call(client, tool, **{key: asked, "query": "start", "topic": "start"})
        assert provenance(docs)["outcome"] == "miss"
        again = await call(client, "resolve-library-id", libraryName=name, query=question)
    return texts(again)[0], provenance(again)


@pytest.mark.parametrize("tool", ["query-docs", "get-library-docs"])
@pytest.mark.parametrize(
    ("name", "entries", "asked"),
    [
        ("pytest", [PYTEST, FLASK], "/pallets/flask"),
        (
            "jest",
            [("Jest", "/jestjs/jest"), ("Vitest", "/vitest-dev/vitest")],
            "/vitest-dev/vitest",
        ),
        (
            "polars",
            [("Polars", "/pola-rs/polars"), ("pandas", "/pandas-dev/pandas")],
            "/pandas-dev/pandas/v2.2.0",
        ),
        ("gin", [("Gin", "/gin-gonic/gin"), ("Echo", "/labstack/echo")], "/labstack/echo@v4"),
        (
            "react",
            [("React", "/facebook/react"), ("React Router", "/remix-run/react-router")],
            "/remix-run/react-router",
        ),
        (
            "angular core",
            [("Angular", "/angular/angular"), ("Nest", "/npm/nestjs/core")],
            "/npm/nestjs/core",
        ),
        (
            "httpbin java",
            [("httpbin", "/postmanlabs/httpbin"), ("Jersey", "/eclipse-ee4j/jersey")],
            "/postmanlabs/httpbin",
        ),
        ("nothing of the kind", [("Kind", "/kubernetes-sigs/kind"), FLASK], "/pallets/flask"),
    ],
)
async def test_resolve_when_the_library_asked_has_another_name_stays_whole(
    app: App, upstream: ScriptedUpstream, name: str, entries: Entries, asked: str, tool: str
) -> None:
    upstream.texts["resolve-library-id"] = listed(entries)
    text, about = await looked_up(app, name, asked, tool)
    assert text == listed(entries)
    assert about["tier"] != "learned"


@pytest.mark.parametrize(
    ("name", "entries", "asked", "shown"),
    [
        ("pytest", [FLASK, PYTEST], "/pytest-dev/pytest", [1]),
        ("PyTest docs", [FLASK, PYTEST], "/pytest-dev/pytest/v8.3.0", [1]),
        (
            "jest",
            [("Jest", "/jestjs/jest"), FLASK, ("Jest", "/facebook/jest")],
            "/facebook/jest",
            [2, 0],
        ),
        (
            "react",
            [("React", "/reactjs/react.dev"), ("Docs", "/facebook/react"), FLASK],
            "/reactjs/react.dev",
            [0, 1],
        ),
        (
            "py.test",
            [("pytest", "/pytest-dev/pytest"), FLASK, ("py.test", "/old/py-test")],
            "/pytest-dev/pytest",
            [0, 2],
        ),
        (
            "redis",
            [("redis-py", "/redis/redis-py"), ("Redis", "/redis/redis"), FLASK],
            "/redis/redis",
            [1, 0],
        ),
        (
            "langchain",
            [
                ("LangChain", "/websites/langchain"),
                FLASK,
                ("LangChain Core", "/langchain-ai/langchain/core"),
            ],
            "/websites/langchain",
            [0],
        ),
    ],
)
async def test_resolve_when_the_library_asked_has_the_name_shows_all_of_that_name_in_full(
    app: App,
    upstream: ScriptedUpstream,
    name: str,
    entries: Entries,
    asked: str,
    shown: Sequence[int],
) -> None:
    await app.services.registry.loaded.wait()
    upstream.texts["resolve-library-id"] = listed(entries)
    text, about = await looked_up(app, name, asked)
    others = [library_id for at, (_, library_id) in enumerate(entries) if at not in shown]
    whole = "\n----------\n".join(entry(entries[at]) for at in shown)
    assert text == f"{whole}\n- Also matching: {','.join(others)}"
    assert about["tier"] == "learned"
    assert about["library_id"] == entries[shown[0]][1]


async def test_resolve_when_two_look_ups_listed_the_library_learns_for_the_one_that_names_it(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts["resolve-library-id"] = listed([PYTEST, FLASK])
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="flask", query="x")
        await call(client, "resolve-library-id", libraryName="pytest", query="x")
        await call(client, "query-docs", libraryId="/pallets/flask", query="start")
        found = [
            await call(client, "resolve-library-id", libraryName=name, query="x")
            for name in ("flask", "pytest")
        ]
    assert [provenance(each)["tier"] for each in found] == ["learned", "name"]


@pytest.mark.parametrize(
    ("question", "asked", "tier"),
    [
        ("connect in Python", "/redis/redis-py", "learned"),
        ("connect in Python", "/redis/node-redis", "name"),
        ("connect in JavaScript", "/redis/redis-py", "name"),
    ],
)
async def test_resolve_when_the_question_names_a_language_learns_no_library_of_another(
    app: App, upstream: ScriptedUpstream, question: str, asked: str, tier: str
) -> None:
    rows = [
        Row("redis", ecosystem, library_id, title=library_id, last_verified=1.0)
        for ecosystem, library_id in (("pypi", "/redis/redis-py"), ("npm", "/redis/node-redis"))
    ]
    await RowStore(app.fabric, app.principal).save(rows)
    await app.services.registry.load()
    upstream.texts["resolve-library-id"] = listed(
        [("redis-py", "/redis/redis-py"), ("Node-Redis", "/redis/node-redis"), FLASK]
    )
    _text, about = await looked_up(app, "redis", asked, question=question)
    assert about["tier"] == tier


@pytest.mark.parametrize(
    "key", ["choice:{}", "choice:{}#/local", "choice:pypi:{}", "choice:pypi:{}#/local"]
)
@pytest.mark.parametrize(
    ("name", "entries", "stored"),
    [
        ("pytest", [PYTEST, FLASK], "/pallets/flask"),
        (
            "polars",
            [("Polars", "/pola-rs/polars"), ("pandas", "/pandas-dev/pandas")],
            "/pandas-dev/pandas",
        ),
        ("numpy", [("NumPy", "/numpy/numpy"), ("JAX", "/jax-ml/jax")], "/jax-ml/jax"),
    ],
)
async def test_resolve_when_a_stored_choice_has_another_name_ignores_it(
    app: App, upstream: ScriptedUpstream, name: str, entries: Entries, stored: str, key: str
) -> None:
    await app.fabric.set_context(key.format(name), stored, disposable=True)
    upstream.texts["resolve-library-id"] = listed(entries)
    async with connected(app) as client:
        for _look_up in range(2):
            found = await call(client, "resolve-library-id", libraryName=name, query="x")
            assert texts(found) == [listed(entries)]
    meant = await app.services.choices.meant(name)
    assert meant is None or meant.id != stored


@pytest.mark.parametrize(
    ("name", "row", "known"),
    [
        ("brand-new", Row("brand-new", "other", "/no/one", source="context7-live-resolve"), None),
        ("flaskling", Row("pytest", "pypi", "/pytest-dev/pytest", aliases=("flaskling",)), None),
        ("huggingface", Row("huggingface", "pypi", "/no/one", last_verified=1.0), None),
        ("pytest", Row("pytest", "pypi", "/no/one", last_verified=1.0), "/pytest-dev/pytest"),
        (
            "pytest",
            Row("pytest", "pypi", "/new/pytest", title="pytest", last_verified=1.0),
            "/new/pytest",
        ),
    ],
)
async def test_registry_when_an_earlier_release_stored_what_callers_claimed_keeps_what_is_vouched(
    app: App, name: str, row: Row, known: str | None
) -> None:
    await RowStore(app.fabric, app.principal).save([row])
    await app.services.registry.load()
    match = app.services.registry.find(name)
    assert (match.row.id or None if match else None) == known


@pytest.mark.parametrize(
    "entries",
    [
        [("scikit-learn", "/a/sk"), ("scikit-learn", "/b/sk")],
        [("scikit-learn", "/a/sk"), ("Learning", "/b/scikit-learn")],
        [FLASK, ("Scikit-Learn", "/a/sk"), PYTEST, ("scikit_learn", "/b/sk")],
    ],
)
async def test_registry_when_several_entries_have_the_name_takes_no_id_for_it(
    app: App, upstream: ScriptedUpstream, clock: FakeClock, entries: Entries
) -> None:
    await app.services.registry.loaded.wait()
    upstream.texts["resolve-library-id"] = listed(entries)
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="scikit-learn", query="x")
        match = app.services.registry.find("scikit-learn")
        assert match is not None
        assert match.row.id == ""
        upstream.texts["resolve-library-id"] = listed([FLASK, ("scikit-learn", "/c/sk")])
        clock.forward(400 * 86400)
        await call(client, "resolve-library-id", libraryName="scikit-learn", query="x")
    match = app.services.registry.find("scikit-learn")
    assert match is not None
    assert match.row.id == "/c/sk"


@pytest.mark.parametrize("connection", [None, "another"])
async def test_resolve_when_the_question_came_without_the_session_stays_whole(
    app: App, upstream: ScriptedUpstream, connection: str | None
) -> None:
    upstream.texts["resolve-library-id"] = listed([PYTEST, FLASK])
    resolver = app.services.resolver
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="pytest", query="x")
        await resolver.used("/pytest-dev/pytest", Caller(app.principal, connection=connection))
        found = await call(client, "resolve-library-id", libraryName="pytest", query="x")
    assert texts(found) == [listed([PYTEST, FLASK])]

"""Pins in answers: two projects on one server, look-ups and questions, files that change or lie."""

import json
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import mcp_types as types
import pytest
from anyio import to_thread
from mcp import Client

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.mcp_server.server import build_server
from context7_fabric.runtime.app import App
from support.app_server import call, connected, opened, provenance, records, texts
from support.held_docsets import GEARS, KNOWN, place_docset
from support.projects import lock_python, npm_project, pin_file, python_project
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

FASTAPI, OTHER = "/fastapi/fastapi", "/websites/fastapi_tiangolo"
LISTED = (
    "Available Libraries:\n\n"
    "- Title: FastAPI\n- Context7-compatible library ID: /fastapi/fastapi\n"
    "- Description: Web framework for APIs in Python.\n- Code Snippets: 900\n"
    "- Source Reputation: High\n- Benchmark Score: 90.5\n"
    "- Versions: 0.128.0, 0.115.13, 0.115.0, 0.99.1\n----------\n"
    "- Title: FastAPI\n- Context7-compatible library ID: /websites/fastapi_tiangolo\n"
    "- Description: The documentation of FastAPI.\n- Code Snippets: 700\n"
    "- Source Reputation: High\n- Benchmark Score: 80.5\n----------\n"
    "- Title: FastAPI Users\n- Context7-compatible library ID: /fastapi-users/fastapi-users\n"
    "- Description: Users for FastAPI.\n- Code Snippets: 90\n"
    "- Source Reputation: High\n- Benchmark Score: 70.5"
)


@pytest.fixture
def upstream() -> ScriptedUpstream:
    """Return an upstream that lists FastAPI with versions."""
    return ScriptedUpstream(texts={"resolve-library-id": LISTED})


async def project(tmp_path: Path, name: str = "a", **versions: str) -> str:
    """Return the folder of a project that locks these versions."""
    return str(await to_thread.run_sync(lambda: python_project(tmp_path / name, **versions)))


async def look_up(client: Client, name: str = "fastapi", query: str = "start") -> list[str]:
    return texts(await call(client, "resolve-library-id", libraryName=name, query=query))


def asked(upstream: ScriptedUpstream) -> list[str]:
    """Return the ids of the questions that reached upstream."""
    return [each.arguments["libraryId"] for each in upstream.calls if each.tool == "query-docs"]


async def test_look_up_in_a_project_has_the_locked_version_in_front_of_upstreams_own_text(
    app: App, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.13")
    async with connected(app, project=folder) as client:
        text, note = await look_up(client)
        result = await call(client, "resolve-library-id", libraryName="fastapi", query="start")
    head, tail = LISTED[: LISTED.index("- Title")], LISTED[LISTED.index("- Title") :]
    ours = tail.partition("\n----------\n")[0].replace(FASTAPI, f"{FASTAPI}/0.115.13")
    assert text == f"{head}{ours}\n----------\n{tail}"
    assert note == (
        f"{FASTAPI}/0.115.13 is listed first: the version that this project uses (pyproject.toml)."
    )
    assert (provenance(result)["outcome"], provenance(result)["tier"]) == ("hit", "pin")
    assert texts(result)[0].startswith(ours)
    assert "- Also matching: /fastapi/fastapi,/fastapi-users/fastapi-users" in texts(result)[0]


async def test_look_up_without_the_locked_version_names_the_nearest_lower_one_as_such(
    app: App, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.116.4")
    async with connected(app, project=folder) as client:
        text, note = await look_up(client)
    assert f"library ID: {FASTAPI}/0.115.13\n" in text
    assert "the nearest lower version to 0.116.4, which this project uses" in note


async def test_question_of_a_project_is_asked_for_the_locked_version_and_says_so(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    one = await project(tmp_path, "a", fastapi="0.115.0")
    two = await project(tmp_path, "b", fastapi="0.117.0")
    async with (
        connected(app) as bare,
        connected(app, project=one) as first,
        connected(app, project=two) as second,
    ):
        await look_up(bare)
        for client in (bare, first, second, first, bare, second):
            given: Any = {"libraryId": FASTAPI, "query": "how to start"}
            answer = texts(await call(client, "query-docs", **given))
            assert answer[0] == docs_text(given)
            if client is bare:
                assert len(answer) == 1
            elif client is first:
                assert answer[1:] == [
                    "For version 0.115.0, which this project uses (pyproject.toml)."
                ]
            else:
                assert answer[1:] == [
                    (
                        "For version 0.115.13, the nearest lower one to 0.117.0,"
                        " which this project uses (pyproject.toml)."
                    )
                ]
    assert asked(upstream) == [FASTAPI, f"{FASTAPI}/0.115.0", f"{FASTAPI}/0.115.13"]


async def test_question_with_a_version_of_its_own_keeps_it(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    async with connected(app, project=folder) as client:
        await look_up(client)
        for version in ("0.99.1", "latest"):
            answer = await call(
                client, "query-docs", libraryId=f"{FASTAPI}/{version}", query="start"
            )
            assert len(texts(answer)) == 1
    assert asked(upstream) == [f"{FASTAPI}/0.99.1", f"{FASTAPI}/latest"]


async def test_question_of_the_older_tool_uses_the_pin_too(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    async with connected(app, project=folder) as client:
        await look_up(client)
        given = {"context7CompatibleLibraryID": FASTAPI, "topic": "start", "tokens": 5000}
        answer = texts(await call(client, "get-library-docs", **given))
    assert answer[1] == "For version 0.115.0, which this project uses (pyproject.toml)."
    assert asked(upstream) == [f"{FASTAPI}/0.115.0"]


async def test_question_about_another_library_of_the_name_is_not_redirected(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0", starlette="0.9")
    async with connected(app, project=folder) as client:
        await look_up(client)
        others = [OTHER, "/acme/fastapi", "/fastapi-users/fastapi-users", "/a/starlette"]
        for library in others:
            answer = await call(client, "query-docs", libraryId=library, query="start")
            assert len(texts(answer)) == 1
    assert asked(upstream) == [
        OTHER,
        "/acme/fastapi",
        "/fastapi-users/fastapi-users",
        "/a/starlette",
    ]


async def test_version_lower_than_all_changes_nothing(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.10.0")
    async with connected(app, project=folder) as client:
        assert await look_up(client) == [LISTED]
        answer = await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert len(texts(answer)) == 1
    assert asked(upstream) == [FASTAPI]


async def test_version_that_upstream_does_not_have_after_all_is_answered_without_it(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    lacking = f'Version "0.115.0" not found for library "{FASTAPI}". Available versions: 0.99.1'

    def say(tool: str, arguments: Any) -> str:  # noqa: ANN401  # as upstream gets them
        if tool == "resolve-library-id":
            return LISTED
        return lacking if "0.115" in arguments["libraryId"] else docs_text(arguments)

    upstream.say = say
    async with connected(app, project=folder) as client:
        await look_up(client)
        result = await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert texts(result)[0] == docs_text({"libraryId": FASTAPI, "query": "start"})
    assert texts(result)[1] == (
        "There is no answer for version 0.115.0, which this project uses (pyproject.toml):"
        " this one is for no fixed version."
    )
    assert provenance(result)["library_id"] == FASTAPI


async def test_outage_of_a_pinned_version_serves_what_is_stored_without_one(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    async with connected(app) as bare, connected(app, project=folder) as client:
        await look_up(bare)
        stored = await call(bare, "query-docs", libraryId=FASTAPI, query="start")
        upstream.error = UpstreamUnreachable("the test", "no route to host")
        answer = await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert texts(answer)[0] == texts(stored)[0]
    assert "for no fixed version" in texts(answer)[1]


async def test_question_is_for_the_locked_version_that_another_process_has_just_looked_up(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    folder, home = await project(tmp_path, fastapi="0.115.13"), tmp_path / "shared"
    async with (
        scripted_app(upstream, clock, home) as window,
        scripted_app(upstream, clock, home) as shell,
    ):
        await window.services.registry.loaded.wait()
        async with connected(shell) as client:
            await look_up(client)
        async with connected(window, project=folder) as client:
            await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert asked(upstream) == [f"{FASTAPI}/0.115.13"]


async def test_lock_file_that_changes_counts_on_the_fast_path_too(
    app: App, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    given = {"libraryId": FASTAPI, "query": "start"}
    async with opened(app, project=folder) as raw:
        await raw.ask("resolve-library-id", libraryName="fastapi", query="start")
        await raw.ask(**given)
        reply = await raw.by_fast_path(**given)
        assert "0.115.0" in reply["result"]["content"][1]["text"]
        await to_thread.run_sync(lambda: lock_python(Path(folder), fastapi="0.115.13"))
        monkeypatch.setattr("context7_fabric.project.projects.LOOK_SECONDS", 0.0)
        reply = await raw.ask(**given)
        assert "0.115.13" in reply["result"]["content"][1]["text"]
    assert asked(upstream)[-1] == f"{FASTAPI}/0.115.13"


async def pinned(tmp_path: Path, text: str) -> str:
    """Return the folder of a project whose file of pins is `text`."""
    return str(await to_thread.run_sync(lambda: pin_file(tmp_path / "p", text)))


async def test_pin_of_a_project_chooses_among_what_the_look_up_lists(
    app: App, tmp_path: Path
) -> None:
    folder = await pinned(tmp_path, f'[pins]\nfastapi = "{OTHER}"\n')
    async with connected(app, project=folder) as client:
        text, note = await look_up(client)
    assert text.index(OTHER) < text.index(FASTAPI)
    assert note == (
        f"{OTHER} is listed first: the library that .context7-fabric.toml of this project pins."
    )


@pytest.mark.parametrize("library", ["/evil/tool", "/evil/tool/1.0", "/fastapi/evil"])
async def test_pin_of_a_project_to_a_library_that_no_list_has_is_ignored_and_said(
    app: App, upstream: ScriptedUpstream, tmp_path: Path, library: str
) -> None:
    folder = await pinned(tmp_path, f'[pins]\nfastapi = "{library}"\n')
    async with connected(app, project=folder) as client:
        text, note = await look_up(client)
        answer = await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert text == LISTED
    assert "evil" not in note
    assert note.startswith("A pin in .context7-fabric.toml of this project is ignored")
    assert len(texts(answer)) == 1
    assert asked(upstream) == [FASTAPI]


async def test_pin_of_a_project_with_a_version_goes_before_the_lock_file(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    await project(tmp_path, "p", fastapi="0.115.13")
    folder = await pinned(tmp_path, f'[pins]\n"python:fastapi" = "{FASTAPI}/v0.99.1"\n')
    async with connected(app, project=folder) as client:
        _text, note = await look_up(client)
        answer = await call(client, "query-docs", libraryId=FASTAPI, query="start")
    assert note.startswith(f"{FASTAPI}/0.99.1 is listed first")
    assert texts(answer)[1] == (
        "For version 0.99.1, which .context7-fabric.toml of this project pins."
    )
    assert asked(upstream) == [f"{FASTAPI}/0.99.1"]


async def test_pin_of_the_user_counts_for_any_library_and_without_a_project(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    home = anyio.Path(tmp_path / "home")
    await (home / "pins.toml").write_text('[pins]\nfastapi = "/my/fork/2.0"\n')
    async with connected(app, project="/") as client, connected(app) as bare:
        text, note = await look_up(client)
        assert await look_up(bare) == [LISTED]
        await call(client, "query-docs", libraryId="/my/fork", query="start")
    assert "library ID: /my/fork/2.0\n" in text
    assert text.endswith(LISTED[LISTED.index("- Title") :])
    assert note == "/my/fork/2.0 is listed first: the version that the user has pinned."
    assert asked(upstream) == ["/my/fork/2.0"]


async def test_pin_of_the_user_answers_where_upstream_lists_nothing(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    home = anyio.Path(tmp_path / "home")
    await (home / "pins.toml").write_text('[pins]\nours = "/my/ours"\n')
    upstream.texts["resolve-library-id"] = "No libraries found matching the provided name."
    async with connected(app, project="/") as client:
        result = await call(client, "resolve-library-id", libraryName="ours", query="x")
    assert "library ID: /my/ours\n" in texts(result)[0]
    assert (provenance(result)["tier"], provenance(result)["library_id"]) == ("pin", "/my/ours")


async def test_docset_at_the_locked_version_answers_a_question_without_one(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    folder = await project(tmp_path, gears="2.1.0")
    for version in ("2.1.0", "3.0"):
        await to_thread.run_sync(partial(place_docset, tmp_path / "home", GEARS, version))
    upstream.texts["resolve-library-id"] = "No libraries found matching the provided name."
    async with connected(app, project=folder) as client:
        result = await call(client, "resolve-library-id", libraryName="gears", query="x")
        answer = await call(client, "query-docs", libraryId=GEARS, query=KNOWN)
    assert f"library ID: {GEARS}/2.1.0\n" in texts(result)[0]
    assert provenance(result)["library_id"] == f"{GEARS}/2.1.0"
    assert provenance(answer)["tier"] == "docset"
    assert provenance(answer)["library_id"] == f"{GEARS}/2.1.0"
    assert texts(answer)[1].startswith(
        "For version 2.1.0, which this project uses (pyproject.toml). From the documentation of"
    )
    assert asked(upstream) == []


async def library_view(client: Client) -> dict[str, Any]:
    (content,) = (await client.read_resource("library://fastapi/fastapi")).contents
    assert isinstance(content, types.TextResourceContents)
    return cast("dict[str, Any]", json.loads(content.text))


async def test_why_and_the_resource_of_a_library_show_the_pin(app: App, tmp_path: Path) -> None:
    folder = await project(tmp_path, fastapi="0.116.0")
    async with connected(app, project=folder) as client, connected(app) as bare:
        await look_up(client)
        await call(client, "query-docs", libraryId=FASTAPI, query="start")
        shown = [await library_view(each) for each in (client, bare)]
    newest = max(await records(app), key=lambda each: each.at + (each.tool == "query-docs"))
    assert newest.pin == (
        "For version 0.115.13, the nearest lower one to 0.116.0, which this project uses"
        " (pyproject.toml)."
    )
    assert shown[0]["pin"] == {
        "library_id": f"{FASTAPI}/0.115.13",
        "wanted": "0.116.0",
        "is_exact": False,
        "file": "pyproject.toml",
    }
    assert "pin" not in shown[1]


async def test_project_settles_a_name_that_two_ecosystems_share(
    app: App, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.texts["resolve-library-id"] = LISTED.replace("FastAPI", "Redis").replace(
        "/fastapi/fastapi", "/redis/redis-py"
    )
    folder = str(await to_thread.run_sync(lambda: npm_project(tmp_path / "n", redis="0.115.0")))
    async with connected(app, project=folder) as client:
        texts_of = await look_up(client, "redis")
    assert len(texts_of) == 1  # the list has the client for Python alone
    folder = await project(tmp_path, redis="0.115.0")
    async with connected(app, project=folder) as client:
        text, _note = await look_up(client, "redis")
    assert "library ID: /redis/redis-py/0.115.0\n" in text


async def rooted(app: App, roots: list[str], **more: Any) -> list[str]:  # noqa: ANN401  # as Client
    """Look up as a legacy client that says where its roots are; return the texts."""

    async def list_roots(_context: object) -> types.ListRootsResult:
        return types.ListRootsResult(
            roots=[types.Root.model_validate({"uri": each}) for each in roots]
        )

    server = build_server(app.services, app.principal, project="/", asks_roots=True)
    given: Any = {"mode": "legacy", "cache": None, "list_roots_callback": list_roots} | more
    async with Client(server, **given) as client:
        return await look_up(client)


async def test_roots_of_a_client_that_is_in_no_project_name_it(app: App, tmp_path: Path) -> None:
    folder = await project(tmp_path, fastapi="0.115.0")
    uris = ["file:///", "file://elsewhere/x", Path(folder).as_uri()]
    assert "0.115.0 is listed first" in (await rooted(app, uris))[1]


@pytest.mark.parametrize(
    "uris", [[], ["file:///"], ["file:///nowhere%00"], ["file:///" + "x" * 9000]]
)
async def test_roots_that_are_no_project_change_nothing(app: App, uris: list[str]) -> None:
    assert await rooted(app, uris) == [LISTED]


async def test_roots_that_never_come_are_waited_for_once_and_a_little(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("context7_fabric.mcp_server.client_project.ROOTS_SECONDS", 0.0)
    folder = await project(tmp_path, fastapi="0.115.0")
    assert await rooted(app, [Path(folder).as_uri()]) == [LISTED]


async def test_client_without_roots_is_not_asked(app: App) -> None:
    assert await rooted(app, [], list_roots_callback=None) == [LISTED]

"""Pins in answers: two projects on one server, look-ups and questions, files that change or lie."""

from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from mcp import Client

from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.projects import python_project
from support.scripted import ScriptedUpstream, docs_text

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

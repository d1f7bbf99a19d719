"""Clients that people use: the TypeScript SDK and the Inspector, on every transport."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.client import outcome_of, texts_of
from support.context7_api import Api
from support.inspector import inspect, options
from support.product import PROGRAM, Variables, product_at_port, product_environment
from support.upstreams import clean_environment

WALK = Path(__file__).with_name("clients") / "walk.mjs"
SECONDS = 50
TOOLS = ["resolve-library-id", "query-docs", "get-library-docs"]
QUESTION = "How do I test a WebSocket?"
LOOK_UP = {"libraryName": "fastapi", "query": QUESTION}
ASKED = {"libraryId": "/fastapi/fastapi", "query": QUESTION}

Place = dict[str, str]


@pytest.fixture(params=[("http", "/mcp"), ("sse", "/sse")], ids=["http", "sse"])
def place(request: pytest.FixtureRequest, home: Path, by_http: Variables) -> Iterator[Place]:
    """The product on a port, as the configuration of a client of either transport."""
    transport, path = request.param
    with product_at_port(transport, product_environment(home, by_http)) as served:
        yield {"transport": transport, "url": served.url(path)}


def run(command: Sequence[str], typed: str = "") -> str:
    """Return the output of a node program; it must not look for a proxy."""
    done = subprocess.run(
        command,
        input=typed,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def walk(sdk: Path, **where: object) -> dict[str, Any]:
    """Return the results of the TypeScript client: a look-up, then a question twice."""
    calls = [(TOOLS[0], LOOK_UP), (TOOLS[1], ASKED), (TOOLS[1], ASKED)]
    plan = {"modules": str(sdk), "calls": calls, **where}
    report: dict[str, Any] = json.loads(run(["node", str(WALK)], json.dumps(plan)))
    return report


def assert_served_well(report: dict[str, Any], api: Api) -> None:
    assert report["server"]["name"] == "context7-fabric"
    assert report["tools"] == TOOLS
    # opencode treats "method not found" as fatal: each list must be there.
    lists = report["prompts"], report["resources"], report["templates"]
    assert [len(each) for each in lists] == [3, 6, 4]
    assert [each["uri"] for each in report["read"]] == [each["uri"] for each in lists[1]]
    assert all(json.loads(each["text"]) for each in report["read"])
    assert ["autumn" in each["content"]["text"] for each in report["got"]] == [True] * 3
    found, *answers = report["results"]
    assert [outcome_of(each) for each in report["results"]] == ["miss", "miss", "hit"]
    assert texts_of(found)[0].startswith("Available Libraries:\n\n- Title: FastAPI\n")
    assert texts_of(answers[0]) == texts_of(answers[1])
    assert texts_of(answers[0])[0].startswith(f"### Walk through: {QUESTION}")
    assert api.calls == 2


@pytest.mark.either_mode
def test_the_typescript_sdk_on_stdio(api: Api, home: Path, by_http: Variables, sdk: Path) -> None:
    environment = product_environment(home, by_http)
    report = walk(sdk, transport="stdio", command=[PROGRAM], env=environment)
    assert_served_well(report, api)


def test_the_typescript_sdk_on_a_port(api: Api, place: Place, sdk: Path) -> None:
    assert_served_well(walk(sdk, **place), api)


def assert_inspected_well(inspector: str, tmp_path: Path, target: Sequence[str], api: Api) -> None:
    listed = inspect(inspector, tmp_path, target, "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    pairs = [f"{name}={value}" for name, value in ASKED.items()]
    words = ["--tool-name", "query-docs", "--tool-arg", *pairs]
    results = [inspect(inspector, tmp_path, target, "tools/call", *words) for _ in range(2)]
    assert [outcome_of(each) for each in results] == ["miss", "hit"]
    assert texts_of(results[0]) == texts_of(results[1])
    assert api.calls == 1


@pytest.mark.either_mode
def test_the_inspector_on_stdio(
    api: Api, tmp_path: Path, home: Path, by_http: Variables, inspector: str
) -> None:
    target = [*options(home, by_http), PROGRAM]
    assert_inspected_well(inspector, tmp_path, target, api)


def test_the_inspector_on_a_port(api: Api, tmp_path: Path, place: Place, inspector: str) -> None:
    assert_inspected_well(inspector, tmp_path, [place["url"]], api)

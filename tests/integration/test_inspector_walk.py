"""The Inspector's command line walks through every tool, resource, template and prompt.

It cannot subscribe: test_notifications_processes covers that with real clients.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.client import outcome_of, texts_of
from support.context7_api import Api
from support.inspector import inspect, options
from support.product import PROGRAM, Variables, product_at_port, product_environment

QUESTION = "How do I test a WebSocket?"
LIBRARY = "/fastapi/fastapi"
SET = {"key": "prompt:haiku", "value": "Write a haiku about {topic}.", "scope": "GLOBAL"}
OTHERS = {
    "resolve-library-id": {"libraryName": "fastapi", "query": QUESTION},
    "get-library-docs": {"context7CompatibleLibraryID": LIBRARY, "topic": "websocket"},
}
READING = {
    "fabric-get": {"key": "prompt:haiku"},
    "fabric-query": {"pattern": "prompt:*"},
    "fabric-search": {"query": "haiku"},
}
FILLED = {
    "scope": "GLOBAL",
    "key": quote(SET["key"], safe=""),
    "?after": "?after=" + quote(SET["key"], safe=""),
    "?q": "?q=web",
    "org": "fastapi",
    "project": "fastapi",
}
"""The value of each parameter of the templates."""

Inspect = Callable[..., dict[str, Any]]

# Each method is a process of node, and one of ours: minutes in all. The TypeScript client reads the
# same in one process (test_clients.py).
pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


@pytest.fixture(params=["stdio", "http"])
def inspected(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    home: Path,
    by_http: Variables,
    inspector: str,
) -> Iterator[Inspect]:
    """Ask a method of the product with all its tools, over either transport."""
    variables = {**by_http, "CONTEXT7_FABRIC_TOOLS": "+feedback,+fabric"}
    if request.param == "stdio":
        target = [*options(home, variables), PROGRAM]
        yield lambda method, *words: inspect(inspector, tmp_path, target, method, *words)
        return
    with product_at_port("http", product_environment(home, variables)) as served:
        at = [served.url("/mcp")]
        yield lambda method, *words: inspect(inspector, tmp_path, at, method, *words)


def call(inspected: Inspect, tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Return the result of a tool, which is no error."""
    words = ("--tool-name", tool, "--tool-args-json", json.dumps(arguments))
    result = inspected("tools/call", *words)
    assert not result.get("isError"), result
    return result


def rated(inspected: Inspect) -> None:
    """Ask a question, and rate the answer."""
    answered = call(inspected, "query-docs", {"libraryId": LIBRARY, "query": QUESTION})
    assert outcome_of(answered) == "miss"
    execution = answered["_meta"]["context7-fabric/answer"]["execution_id"]
    call(inspected, "record-feedback", {"executionId": execution, "rating": 5})


def test_every_tool_answers(api: Api, inspected: Inspect) -> None:
    listed = {tool["name"] for tool in inspected("tools/list", "--strict")["tools"]}
    assert listed == {"query-docs", "record-feedback", *OTHERS, "fabric-set", *READING}
    rated(inspected)
    for tool, arguments in OTHERS.items():
        call(inspected, tool, arguments)
    call(inspected, "fabric-set", SET)
    for tool, arguments in READING.items():
        assert "prompt:haiku" in texts_of(call(inspected, tool, arguments))[0]


def test_every_resource_and_template_answers(api: Api, inspected: Inspect) -> None:
    def read(uri: str) -> dict[str, Any]:
        (content,) = inspected("resources/read", "--uri", uri)["contents"]
        assert (content["uri"], content["mimeType"]) == (uri, "application/json")
        value: dict[str, Any] = json.loads(content["text"])
        return value

    rated(inspected)
    call(inspected, "fabric-set", SET)
    uris = {each["uri"] for each in inspected("resources/list")["resources"]}
    scopes = {f"fabric://{scope}" for scope in ("GLOBAL", "EXECUTION", "FEEDBACK", "USER")}
    assert uris == scopes | {"library://registry", "fabric://stats"}
    values = {uri: read(uri) for uri in sorted(uris)}
    (feedback,) = values["fabric://FEEDBACK"]["entries"]
    assert read(feedback["uri"])["value"]["rating"] == 5
    listed = inspected("resources/templates/list")["resourceTemplates"]
    assert len(listed) == 4
    for template in listed:
        assert read(re.sub(r"\{(.+?)\}", lambda part: FILLED[part[1]], template["uriTemplate"]))


def test_every_prompt_answers(api: Api, inspected: Inspect) -> None:
    call(inspected, "fabric-set", SET)
    prompts = {each["name"]: each for each in inspected("prompts/list")["prompts"]}
    assert "haiku" in prompts
    for name, prompt in prompts.items():
        given = [f"{each['name']}=autumn" for each in prompt.get("arguments", [])]
        got = inspected("prompts/get", "--prompt-name", name, "--prompt-args", *given)
        assert "autumn" in got["messages"][0]["content"]["text"]

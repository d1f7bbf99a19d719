"""The stand-in behind the real servers: 4.1.1 as a child and on HTTP, 1.0.33 through TLS.

What the real servers make of each fault is asserted word for word, because our own server is
measured against exactly these texts.
"""

import json
from collections.abc import Iterator

import pytest
from mcp.shared.exceptions import MCPError

from support import faults
from support.client import ask, over_http, over_stdio, text_of
from support.context7_api import Api, running_api
from support.faults import FAILURES, Endpoint
from support.processes import spawn
from support.tls_proxy import tls_proxy
from support.upstreams import (
    NEWEST,
    OLDEST,
    api_environment,
    clean_environment,
    context7_http,
)

ANONYMOUS_LIMIT = (
    "Rate limited or quota exceeded. Create a free API key at https://context7.com/dashboard"
    " for higher limits."
)
KEYED_LIMIT = (
    "Rate limited or quota exceeded. Upgrade your plan at https://context7.com/plans"
    " for higher limits."
)
NO_SUCH_LIBRARY = (
    "The library you are trying to access does not exist. Please try with a different library ID."
)
BAD_KEY = "Invalid API key. Please check your API key. API keys should start with 'ctx7sk' prefix."
SEARCHING = "Error searching libraries: "
FETCHING = "Error fetching library context. Please try again later. "

# For a search and for docs, where the server does not just repeat the API's message. "…" stands
# for what may follow: it depends on the version of node, or says nothing more.
SAID: dict[str, tuple[str, str]] = {
    "rate limited": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "rate limited, with Retry-After": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "invalid key": (BAD_KEY, BAD_KEY),
    "library missing, wordless": (NO_SUCH_LIBRARY, NO_SUCH_LIBRARY),
    "gateway time-out": ("Request failed with status 504. Please try again later.",) * 2,
    "wordless": ("Request failed with status 500. Please try again later.",) * 2,
    "empty": (
        SEARCHING + "SyntaxError: Unexpected end of JSON input",
        "Documentation not found or not finalized for this library. …",
    ),
    "HTML page": (
        SEARCHING + "SyntaxError: …",
        "<!doctype html><title>Sign in</title><p>Hotel Wi-Fi",
    ),
    "binary": (SEARCHING + "SyntaxError: …", "\x00\x01\x02\x03…"),
    "closed": (SEARCHING + "TypeError: fetch failed", FETCHING + "TypeError: fetch failed"),
    "closed halfway": (SEARCHING + "TypeError: terminated", FETCHING + "TypeError: terminated"),
}


def after(failure: str, endpoint: Endpoint, subject: str) -> str:
    """The text for an anonymous caller, by the failure's name; "…" at the end is an open end."""
    own = FAILURES[failure].said(subject)
    if failure == "not finalized" and own:
        # Status 202 counts as success there: a search shows the code, docs are the raw body.
        raw = json.dumps({"error": FAILURES[failure].code, "message": own})
        return raw if endpoint == "docs" else "library_not_finalized"
    return own or SAID[failure][0 if endpoint == "search" else 1]


def matches(text: str, expected: str) -> bool:
    """Return True if a text is the expected one, or begins with it where that ends in "…"."""
    if expected.endswith("…"):
        return text.startswith(expected[:-1])
    return text == expected


QUESTION = "How do I test a WebSocket?"
FASTAPI = "/fastapi/fastapi"


@pytest.fixture(scope="module")
def shared_api() -> Iterator[Api]:
    with running_api() as api:
        yield api


@pytest.fixture
def api(shared_api: Api) -> Iterator[Api]:
    """The stand-in without faults, with an empty log."""
    shared_api.clear()
    yield shared_api
    shared_api.heal()
    shared_api.redirects.clear()
    shared_api.revision = 1


@pytest.fixture(scope="module")
def url(shared_api: Api) -> Iterator[str]:
    """The real 4.1.1 on HTTP."""
    with context7_http(shared_api) as url:
        yield url


@pytest.fixture(scope="module")
def old_url(shared_api: Api) -> Iterator[str]:
    """The real 1.0.33 on HTTP, its backend behind TLS."""
    with tls_proxy(shared_api) as proxy:
        environment = clean_environment(proxy.environment)
        with context7_http(shared_api, OLDEST, environment) as url:
            yield url


async def resolve(url: str, name: str, key: str | None = None) -> str:
    async with over_http(url, key) as client:
        return await ask(client, "resolve-library-id", libraryName=name, query=QUESTION)


async def docs(
    url: str, library_id: str = FASTAPI, question: str = QUESTION, key: str | None = None
) -> str:
    async with over_http(url, key) as client:
        return await ask(client, "query-docs", libraryId=library_id, query=question)


class TestTheNewestServerAsAChild:
    async def test_resolves_and_answers_with_the_key_of_its_environment(
        self, api: Api, newest: list[str]
    ) -> None:
        environment = api_environment(api, key="ctx7sk-child")
        async with over_stdio(newest, environment) as client:
            found = await ask(client, "resolve-library-id", libraryName="fastapi", query=QUESTION)
            text = await ask(client, "query-docs", libraryId=FASTAPI, query=QUESTION)
        assert found.startswith("Available Libraries:\n\n- Title: FastAPI\n")
        assert text.startswith(f"### Walk through: {QUESTION}\n\nSource: https://")
        search, context = api.requests
        assert (search.path, search.query) == (
            "/api/v2/libs/search",
            {"query": QUESTION, "libraryName": "fastapi"},
        )
        assert (context.path, context.query) == (
            "/api/v2/context",
            {"query": QUESTION, "libraryId": FASTAPI},
        )
        assert search.key == context.key == "ctx7sk-child"
        assert search.headers["x-context7-server-version"] == NEWEST
        assert search.at <= context.at

    def test_ends_with_its_standard_input_even_during_a_call(
        self, api: Api, newest: list[str]
    ) -> None:
        with spawn(newest, api_environment(api)) as server, api.gate() as gate:
            client = {"name": "tests", "version": "1"}
            version = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
            server.send(request(0, "initialize", **version))
            server.out.wait_for('"id":0', seconds=20)
            asked = {"libraryName": "react", "query": QUESTION}
            server.send(request(1, "tools/call", name="resolve-library-id", arguments=asked))
            gate.wait_for(1)
            server.close_stdin()
            assert server.wait() == 0


class TestTheOldestServer:
    async def test_resolves_and_answers_through_tls_as_a_child(
        self, api: Api, oldest: list[str]
    ) -> None:
        with tls_proxy(api) as proxy:
            environment = clean_environment({**proxy.environment, "CONTEXT7_API_KEY": "ctx7sk-old"})
            async with over_stdio(oldest, environment) as client:
                found = await ask(client, "resolve-library-id", libraryName="numpy")
                text = await ask(
                    client,
                    "get-library-docs",
                    context7CompatibleLibraryID="/numpy/numpy/v2.3.1",
                    topic="where",
                    mode="code",
                )
        assert "\n----------\n\n- Title: NumPy\n" in found
        assert "/blob/v2.3.1/" in text
        assert "\n```APIDOC\n## numpy.where" in text
        search, page = api.requests
        assert (search.path, search.query) == ("/api/v2/search", {"query": "numpy"})
        assert page.path == "/api/v2/docs/code/numpy/numpy/v2.3.1"
        assert page.query == {"type": "txt", "topic": "where", "page": "1", "limit": "10"}
        assert search.key == page.key == "ctx7sk-old"
        assert set(proxy.asked) == {"context7.com:443"}

    async def test_pages_through_code_and_answers_information(self, api: Api, old_url: str) -> None:
        asked = {"context7CompatibleLibraryID": FASTAPI, "topic": "cors"}
        async with over_http(old_url, mode="legacy") as client:
            first = await ask(client, "get-library-docs", **asked)
            second = await ask(client, "get-library-docs", **asked, page=2)
            third = await ask(client, "get-library-docs", **asked, page=3)
            info = await ask(client, "get-library-docs", **asked, mode="info")
        assert first.count("\nSource: ") == 10
        assert second.count("\nSource: ") == 4
        assert third.startswith("No code documentation available for this library.")
        assert "### Concurrency > When to write async def" in info
        assert api.calls == 4

    @pytest.mark.parametrize(
        ("fault", "wanted"),
        [
            (faults.RATE_LIMITED, ANONYMOUS_LIMIT),
            (faults.QUOTA_SPENT, faults.QUOTA_SPENT.message),
            (faults.INVALID_KEY, BAD_KEY),
            (faults.EMPTY, "No code documentation available for this library. Try mode='info'…"),
            (
                faults.CLOSED,
                "Error fetching library documentation. Please try again later. TypeError: …",
            ),
        ],
        ids=["rate limited", "quota spent", "invalid key", "empty", "closed"],
    )
    async def test_tells_a_fault_as_ordinary_text(
        self, api: Api, old_url: str, fault: faults.Fault, wanted: str
    ) -> None:
        api.fail(fault, on="docs")
        async with over_http(old_url, mode="legacy") as client:
            result = await client.call_tool(
                "get-library-docs", {"context7CompatibleLibraryID": FASTAPI}
            )
        assert not result.is_error
        assert matches(text_of(result), wanted)


class TestWhatIsServed:
    async def test_a_common_name_finds_five_libraries_the_best_first(
        self, api: Api, url: str
    ) -> None:
        text = await resolve(url, "react")
        entries = text.removeprefix("Available Libraries:\n\n").split("\n----------\n")
        assert len(entries) == 5
        assert entries[0] == (
            "- Title: React\n"
            "- Context7-compatible library ID: /reactjs/react.dev\n"
            "- Description: The documentation site of React, a library for user interfaces that are"
            " made of components: guides, hooks, and the reference.\n"
            "- Code Snippets: 2791\n"
            "- Source Reputation: High\n"
            "- Benchmark Score: 89.5"
        )

    async def test_an_unknown_name_is_answered_with_the_apis_own_message(
        self, api: Api, url: str
    ) -> None:
        text = await resolve(url, "zzqx")
        assert text == 'No libraries found for "zzqx". Try a different search term.'

    async def test_moved_libraries_are_redirected_one_move_at_a_time(
        self, api: Api, url: str
    ) -> None:
        api.redirects = {"/tiangolo/fastapi": "/fast/api", "/fast/api": FASTAPI}
        texts = [await docs(url, each) for each in ("/tiangolo/fastapi", "/fast/api")]
        assert texts == [
            "Library /tiangolo/fastapi has been redirected to this library: /fast/api.",
            f"Library /fast/api has been redirected to this library: {FASTAPI}.",
        ]

    async def test_a_private_library_is_seen_with_its_owners_key_only(
        self, api: Api, url: str
    ) -> None:
        own = await docs(url, "/harbour/ledger", key="ctx7sk-harbour")
        foreign = await docs(url, "/harbour/ledger", key="ctx7sk-other")
        assert "ledger.post" in own
        assert foreign == faults.LIBRARY_MISSING.said("/harbour/ledger")
        assert [each.key for each in api.requests] == ["ctx7sk-harbour", "ctx7sk-other"]

    async def test_a_teamspace_filter_is_noted_above_the_list(self, api: Api, url: str) -> None:
        api.fail(faults.FILTERED)
        assert "\n\n**Note:** Your results only include libraries" in await resolve(url, "react")

    async def test_a_sign_in_prompt_changes_no_text(self, api: Api, url: str) -> None:
        before = await docs(url)
        api.fail(faults.AUTH_PROMPT)
        assert await docs(url) == before


class TestFaults:
    @pytest.mark.parametrize("name", faults.FAILURES)
    async def test_each_comes_back_as_ordinary_text(self, api: Api, url: str, name: str) -> None:
        api.fail(faults.FAILURES[name])
        async with over_http(url) as client:
            found = await client.call_tool(
                "resolve-library-id", {"libraryName": "react", "query": QUESTION}
            )
            answer = await client.call_tool("query-docs", {"libraryId": FASTAPI, "query": QUESTION})
        assert not found.is_error
        assert not answer.is_error
        assert matches(text_of(found), after(name, "search", "react"))
        assert matches(text_of(answer), after(name, "docs", FASTAPI))

    async def test_a_rate_limit_reads_differently_with_a_key(self, api: Api, url: str) -> None:
        api.fail(faults.RATE_LIMITED)
        assert await docs(url, key="ctx7sk-ann") == KEYED_LIMIT

    async def test_an_empty_list_has_a_sentence_of_its_own(self, api: Api, url: str) -> None:
        api.fail(faults.NO_RESULTS)
        assert await resolve(url, "react") == "No libraries found matching the provided name."

    async def test_one_endpoint_fails_so_many_times(self, api: Api, url: str) -> None:
        api.fail(faults.SERVER_ERROR, on="docs", times=1)
        assert (await resolve(url, "react")).startswith("Available Libraries:")
        assert await docs(url) == faults.SERVER_ERROR.message
        assert (await docs(url)).startswith("### ")


class TestMistakes:
    @pytest.mark.parametrize(
        ("tool", "arguments", "name", "received"),
        [
            ("resolve-library-id", {"query": "x"}, "libraryName", "undefined"),
            ("query-docs", {"libraryId": 5, "query": "x"}, "libraryId", "number"),
        ],
        ids=["missing", "of another type"],
    )
    async def test_a_wrong_argument_is_named_in_an_error_result(
        self, url: str, tool: str, arguments: dict[str, object], name: str, received: str
    ) -> None:
        async with over_http(url) as client:
            result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert text_of(result) == (
            f"Input validation error: Invalid arguments for tool {tool}: "
            f"{name}: Invalid input: expected string, received {received}"
        )

    async def test_an_unknown_tool_is_a_protocol_error(self, url: str) -> None:
        async with over_http(url) as client:
            with pytest.raises(MCPError) as error:
                await client.call_tool("nope")
        assert (error.value.code, str(error.value)) == (-32602, "Tool nope not found")


def request(number: int, method: str, **params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

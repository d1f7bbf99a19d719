"""The stand-in is believed by the real servers: 4.1.1 as a child and on HTTP, 1.0.33 through TLS.

What the real servers make of each fault is asserted word for word, because our own server is
measured against exactly these texts.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from support import faults
from support import npm as npm_module
from support.clients import ask, over_http, over_stdio, text_of
from support.context7_api import Api, running_api
from support.npm import npm_package
from support.processes import children_of, spawn, wait_gone
from support.tls_proxy import tls_proxy
from support.upstreams import (
    NEWEST,
    OLDEST,
    api_environment,
    clean_environment,
    context7_command,
    context7_http,
)

QUESTION = "How do I test a WebSocket?"
FASTAPI = "/fastapi/fastapi"
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

# What 4.1.1 says after each fault when it searches for "react" and when it asks for FASTAPI;
# None stands for the fault's own message, "…" for a rest that depends on the version of node.
SAID: dict[str, tuple[str | None, str | None]] = {
    "rate limited": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "rate limited, with Retry-After": (ANONYMOUS_LIMIT, ANONYMOUS_LIMIT),
    "quota spent": (None, None),
    "invalid key": (BAD_KEY, BAD_KEY),
    "spending limit": (None, None),
    "forbidden": (None, None),
    "library missing": (None, None),
    "library missing, wordless": (NO_SUCH_LIBRARY, NO_SUCH_LIBRARY),
    "no libraries": (None, None),
    "not finalized": (
        "library_not_finalized",
        json.dumps(
            {
                "error": "library_not_finalized",
                "message": f"Library {FASTAPI} is still being read.",
            }
        ),
    ),
    "unprocessable": (None, None),
    "server error": (None, None),
    "search failed": (None, None),
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


@pytest.fixture(scope="module")
def newest() -> list[str]:
    """The command of the real 4.1.1, installed before any event loop runs."""
    return context7_command(NEWEST)


@pytest.fixture(scope="module")
def oldest() -> list[str]:
    """The command of the real 1.0.33."""
    return context7_command(OLDEST)


@pytest.fixture(scope="module")
def shared_api() -> Iterator[Api]:
    with running_api() as api:
        yield api


@pytest.fixture
def api(shared_api: Api) -> Iterator[Api]:
    """The stand-in in good health, with an empty log."""
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


def assert_said(text: str, wanted: str | None, own: str | None) -> None:
    expected = own if wanted is None else wanted
    assert expected is not None
    if expected.endswith("…"):
        assert text.startswith(expected[:-1])
    else:
        assert text == expected


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
            server.send(initialize())
            server.out.wait_for('"id":0', seconds=20)
            server.send(call_of("resolve-library-id", libraryName="react", query=QUESTION))
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
        assert_said(text_of(result), wanted, None)


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

    async def test_each_question_and_each_revision_has_a_text_of_its_own(
        self, api: Api, url: str
    ) -> None:
        first, second = await docs(url), await docs(url, question="Deploy with workers")
        before = await resolve(url, "fastapi")
        api.revision = 2
        assert len({first, second, await docs(url)}) == 3
        assert await resolve(url, "fastapi") != before
        assert 5_000 < len(first) < 7_500

    async def test_information_follows_the_code_after_one_blank_line(
        self, api: Api, url: str
    ) -> None:
        text = await docs(url)
        code, info = text.split("\n```\n\n### ")
        assert code.count("\n\n--------------------------------\n\n### ") == 4
        assert info.count("\n\n--------------------------------\n\n### ") == 1

    @pytest.mark.parametrize("joint", ["/", "@"])
    async def test_a_version_is_served_when_the_library_has_it(
        self, api: Api, url: str, joint: str
    ) -> None:
        text = await docs(url, f"{FASTAPI}{joint}0.116.1")
        missing = await docs(url, f"{FASTAPI}{joint}9.9")
        assert "/blob/0.116.1/" in text
        assert missing == (
            f'Version "9.9" not found for library "{FASTAPI}".'
            " Available versions: 0.115.13, 0.116.1, 0.128.0"
        )

    async def test_moved_libraries_are_told_one_move_at_a_time(self, api: Api, url: str) -> None:
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
    def test_the_table_covers_every_failure(self) -> None:
        assert set(SAID) == set(faults.FAILURES)

    @pytest.mark.parametrize("name", SAID)
    async def test_each_comes_back_as_ordinary_text(self, api: Api, url: str, name: str) -> None:
        fault = faults.FAILURES[name]
        api.fail(fault)
        async with over_http(url) as client:
            found = await client.call_tool(
                "resolve-library-id", {"libraryName": "react", "query": QUESTION}
            )
            answer = await client.call_tool("query-docs", {"libraryId": FASTAPI, "query": QUESTION})
        assert not found.is_error
        assert not answer.is_error
        assert_said(text_of(found), SAID[name][0], fault.said("react"))
        assert_said(text_of(answer), SAID[name][1], fault.said(FASTAPI))

    async def test_a_rate_limit_reads_differently_with_a_key(self, api: Api, url: str) -> None:
        api.fail(faults.RATE_LIMITED)
        assert await docs(url, key="ctx7sk-somebody") == KEYED_LIMIT

    async def test_an_empty_list_has_a_sentence_of_its_own(self, api: Api, url: str) -> None:
        api.fail(faults.NO_RESULTS)
        assert await resolve(url, "react") == "No libraries found matching the provided name."

    async def test_one_endpoint_fails_so_many_times(self, api: Api, url: str) -> None:
        api.fail(faults.SERVER_ERROR, on="docs", times=1)
        assert (await resolve(url, "react")).startswith("Available Libraries:")
        assert await docs(url) == faults.SERVER_ERROR.message
        assert (await docs(url)).startswith("### ")

    @pytest.mark.parametrize("fault", [faults.HANGING, faults.slow(60)], ids=["hanging", "slow"])
    @pytest.mark.parametrize("end", ["heal", "release"])
    async def test_what_hangs_or_dawdles_goes_on_when_told(
        self, api: Api, url: str, fault: faults.Fault, end: str
    ) -> None:
        api.fail(fault)
        answers: list[str] = []

        async def call() -> None:
            answers.append(await docs(url))

        with anyio.fail_after(15):
            async with anyio.create_task_group() as calls:
                calls.start_soon(call)
                await api.arrived(1)
                assert not answers
                getattr(api, end)()
        assert answers[0].startswith("### ")

    async def test_a_gate_holds_all_calls_until_its_release(self, api: Api, url: str) -> None:
        answers: list[str] = []

        async def call(number: int) -> None:
            answers.append(await docs(url, question=f"Question {number}"))

        with anyio.fail_after(15), api.gate() as gate:
            async with anyio.create_task_group() as calls:
                for number in range(6):
                    calls.start_soon(call, number)
                await gate.arrived(6)
                assert not answers
                gate.release()
        assert len(set(answers)) == api.calls == 6

    async def test_waiting_for_calls_that_do_not_come_ends_in_time(self, api: Api) -> None:
        with pytest.raises(TimeoutError):
            await api.arrived(1, seconds=0.01)


class TestProcesses:
    def test_descendants_are_found_and_waited_for(self) -> None:
        script = "tail -f /dev/null & echo $!; wait"
        with spawn(["sh", "-c", script]) as shell:
            child = int(shell.out.wait_for(r"^\d+$")[0])
            assert children_of(os.getpid()) >= {shell.pid, child}
            assert children_of(shell.pid) == {child}
            os.kill(shell.pid, signal.SIGKILL)
            wait_gone([shell.pid], 5)
            with pytest.raises(AssertionError, match="tail"):
                wait_gone([shell.pid, child], 0.01)
            os.kill(child, signal.SIGKILL)
            wait_gone([shell.pid, child], 5)

    def test_a_line_that_does_not_come_is_reported_with_those_that_did(self) -> None:
        with spawn(["sh", "-c", "echo one >&2"]) as shell:
            with pytest.raises(TimeoutError, match="one"):
                shell.err.wait_for("two")
            assert shell.wait() == 0


class TestNpm:
    FAILING = (
        "#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error at https://x' >&2\nexit 1\n"
    )
    WORKING = "#!/bin/sh\nmkdir -p node_modules/$1; echo once >> $XDG_CACHE_HOME/runs\n"

    @pytest.fixture
    def npm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An npm and a node of our own making, first on the path."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        for name in ("node", "npm"):
            Path(tmp_path, name).touch(mode=0o700)
        return tmp_path / "npm"

    def test_a_package_is_installed_once(self, npm: Path) -> None:
        npm.write_text(self.WORKING)
        folders = [npm_package("one", "1.0.0"), npm_package("one", "1.0.0")]
        assert folders[0] == folders[1]
        assert folders[0].is_dir()
        assert (npm.parent / "runs").read_text() == "once\n"
        assert [each.suffix for each in folders[0].parent.parent.iterdir()] == [""]

    def test_a_failure_skips_the_test_without_naming_addresses(self, npm: Path) -> None:
        npm.write_text(self.FAILING)
        with pytest.raises(pytest.skip.Exception) as skipped:
            npm_package("two", "1.0.0")
        assert str(skipped.value) == "needs node: npm install failed (E404)"

    def test_the_slower_of_two_installations_leaves_the_faster_ones(self, tmp_path: Path) -> None:
        draft, home = tmp_path / "draft", tmp_path / "home"
        for folder in (draft, home):
            Path(folder, "node_modules", folder.name).mkdir(parents=True)
        assert npm_module._move(draft, home) is None
        assert (home / "node_modules" / "home").is_dir()

    def test_without_node_the_test_is_skipped(
        self, npm: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(pytest.skip.Exception, match="needs node"):
            npm_package("three", "1.0.0")


def initialize() -> str:
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    }
    return json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})


def call_of(tool: str, **arguments: object) -> str:
    params = {"name": tool, "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})

"""Hosts that a server answers for, pages that may use it, and paths with and without a slash."""

from __future__ import annotations

import pytest

from context7_fabric.http_server.middleware import AllowedHosts, HostMiddleware, PathMiddleware
from unit.http_server.requests import Application, asked, scope_of

LOOPBACK = AllowedHosts(frozenset({"127.0.0.1", "localhost", "::1"}))


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "localhost:3000", "127.0.0.1:1", "[::1]", "[::1]:3000", "LOCALHOST.:80"],
    )
    async def test_loopback_names_pass_with_any_port(self, host: str) -> None:
        answer = await asked(HostMiddleware(Application(), LOOPBACK), scope_of({"host": host}))
        assert answer.status == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("context7.example", "context7.example:3000", "localhost.context7.example", ""),
            *("localhost:x", "localhost:", "::1", "user@localhost", "localhost,evil", "[::1"),
            *("localhost/..", "127.0.0.1\xa0", "127.0.0.2"),
        ],
    )
    async def test_any_other_name_is_refused(self, host: str) -> None:
        app = Application()
        answer = await asked(HostMiddleware(app, LOOPBACK), scope_of({"host": host}), [])
        assert answer.status == 421
        assert repr(host) in answer.error
        assert app.scopes == []

    async def test_a_request_for_no_host_or_for_two_is_refused(self) -> None:
        guard = HostMiddleware(Application(), LOOPBACK)
        assert (await asked(guard, scope_of(), [])).status == 421
        twice = scope_of()
        twice["headers"] = [(b"host", b"localhost"), (b"host", b"evil")]
        assert (await asked(guard, twice, [])).status == 421

    async def test_a_list_of_names_is_all_that_passes(self) -> None:
        guard = HostMiddleware(Application(), AllowedHosts(frozenset({"docs.example"})))
        assert (await asked(guard, scope_of({"host": "Docs.Example:8443"}))).status == 200
        assert (await asked(guard, scope_of({"host": "localhost"}), [])).status == 421

    async def test_without_a_list_any_name_passes(self) -> None:
        guard = HostMiddleware(Application(), AllowedHosts(None))
        for host in ({"host": "anything"}, {}):
            assert (await asked(guard, scope_of(host))).status == 200

    @pytest.mark.parametrize("origin", ["http://docs.example:8080", "https://DOCS.example:8080"])
    async def test_a_page_of_this_server_passes(self, origin: str) -> None:
        headers = {"host": "docs.example:8080", "origin": origin}
        assert (
            await asked(HostMiddleware(Application(), AllowedHosts(None)), scope_of(headers))
        ).status == 200

    @pytest.mark.parametrize(
        "origin",
        [
            *("https://evil.example", "http://docs.example.evil.example:8080", "null", ""),
            *("http://docs.example", "http://docs.example:80", "http://docs.example:8081"),
            *("file://docs.example:8080", "docs.example:8080", "http://docs.example:8080/"),
        ],
    )
    async def test_a_page_from_elsewhere_is_refused(self, origin: str) -> None:
        app = Application()
        headers = {"host": "docs.example:8080", "origin": origin}
        answer = await asked(HostMiddleware(app, AllowedHosts(None)), scope_of(headers), [])
        assert (answer.status, app.scopes) == (403, [])
        assert "Origin" in answer.error

    @pytest.mark.parametrize(
        ("origins", "origin"),
        [
            (None, "http://localhost:6274"),
            (None, "https://127.0.0.1"),
            (None, "http://[::1]:8080"),
            ({"https://app.example"}, "https://APP.example"),
            ({"https://a.example", "http://b.example:81"}, "http://b.example:81"),
            ({"vscode-webview://panel"}, "vscode-webview://panel"),
        ],
    )
    async def test_host_middleware_with_an_allowed_origin_shares_the_answer_with_its_pages(
        self, origins: set[str] | None, origin: str
    ) -> None:
        hosts = AllowedHosts(None, None if origins is None else frozenset(origins))
        headers = {"host": "docs.example:8080", "origin": origin}
        guard = HostMiddleware(Application(), hosts)
        answer = await asked(guard, scope_of(headers))
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"
        asks = headers | {"access-control-request-method": "POST"}
        answer = await asked(guard, scope_of(asks, method="OPTIONS"))
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == origin
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert {"mcp-name", "authorization", "context7-api-key"} <= set(allowed.split(", "))

    @pytest.mark.parametrize(
        ("origins", "origin"),
        [
            (None, "http://localhost.evil.example"),
            (None, "http://127.0.0.1.evil.example"),
            (None, "null"),
            ({"https://app.example"}, "http://app.example"),
            ({"https://app.example"}, "https://app.example:8443"),
            ({"https://app.example"}, "https://sub.app.example"),
            ({"https://app.example"}, "http://localhost:3000"),
        ],
    )
    async def test_host_middleware_with_another_origin_refuses_also_a_preflight_request(
        self, origins: set[str] | None, origin: str
    ) -> None:
        hosts = AllowedHosts(None, None if origins is None else frozenset(origins))
        asks = {"host": "docs.example", "origin": origin, "access-control-request-method": "POST"}
        for method in ("GET", "POST", "OPTIONS"):
            answer = await asked(
                HostMiddleware(Application(), hosts), scope_of(asks, method=method), []
            )
            assert answer.status == 403
            assert not [name for name in answer.headers if name.startswith("access-control-")]

    async def test_a_page_without_a_host_or_with_two_origins_is_refused(self) -> None:
        guard = HostMiddleware(Application(), AllowedHosts(None))
        assert (await asked(guard, scope_of({"origin": "http://a"}), [])).status == 403
        twice = scope_of({"host": "a"})
        twice["headers"] += [(b"origin", b"http://a"), (b"origin", b"http://evil")]
        assert (await asked(guard, twice, [])).status == 403


class TestPaths:
    @pytest.mark.parametrize(
        ("asked_for", "served"),
        [
            ("/mcp", "/mcp"),
            ("/mcp/", "/mcp"),
            ("/sse/", "/sse"),
            ("/messages", "/messages/"),
            ("/messages/", "/messages/"),
            ("/rag/query/", "/rag/query"),
            ("/health//", "/health"),
            ("/", "/"),
        ],
    )
    async def test_path_middleware_with_any_end_of_a_path_serves_the_same(
        self, asked_for: str, served: str
    ) -> None:
        app = Application()
        await asked(PathMiddleware(app), scope_of(path=asked_for))
        assert app.scopes[0]["path"] == served

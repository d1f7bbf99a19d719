"""Middleware that a request passes on its way in, and its answer on its way out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.http_server.auth import Authenticator, Identity, RateLimits
from context7_fabric.http_server.middleware import (
    AllowedHosts,
    AuthMiddleware,
    BodyLimitMiddleware,
    HostMiddleware,
    SecurityHeadersMiddleware,
)
from context7_fabric.http_server.token_file import TokenFile
from support.scripted import FakeClock
from unit.http_server.requests import Answer, Application, asked, scope_of

LOOPBACK = AllowedHosts(frozenset({"127.0.0.1", "localhost", "::1"}))
EVERY_ANSWER = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture
async def token(tmp_path: Path) -> str:
    """The token of ci, in the file of `access`."""
    return await anyio.to_thread.run_sync(TokenFile(tmp_path / "tokens").add, "ci")


@pytest.fixture
def access(tmp_path: Path) -> Authenticator:
    return Authenticator(TokenFile(tmp_path / "tokens"))


def limits(rate: int = 600) -> RateLimits:
    return RateLimits(rate, FakeClock())


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class TestAuth:
    async def test_auth_puts_the_identity_into_the_requests_own_state(
        self, access: Authenticator, token: str
    ) -> None:
        app, shared = Application(), {"kept": 1}
        guard = AuthMiddleware(app, access, limits())
        answer = await asked(guard, scope_of(bearing(token), state=shared), [b"hello"])
        assert (answer.status, answer.body) == (200, b"hello")
        assert app.scopes[0]["state"] == {"kept": 1, "identity": Identity("ci")}
        assert shared == {"kept": 1}

    async def test_auth_without_a_state_makes_one(self) -> None:
        app = Application()
        await asked(
            AuthMiddleware(app, Authenticator(None), limits()), scope_of({"x-api-key": "key"})
        )
        assert app.scopes[0]["state"]["identity"] == Identity(None, "key")

    async def test_auth_without_a_known_token_answers_401_and_does_not_pass_on(
        self, access: Authenticator
    ) -> None:
        app = Application()
        answer = await asked(AuthMiddleware(app, access, limits()), scope_of(bearing("x")), [])
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="context7-fabric"'
        assert "context7-fabric token add" in answer.error
        assert app.scopes == []

    async def test_auth_with_an_unusable_key_answers_400(self) -> None:
        guard = AuthMiddleware(Application(), Authenticator(None), limits())
        answer = await asked(guard, scope_of({"x-api-key": "a b"}), [])
        assert answer.status == 400
        assert "Context7 key" in answer.error

    async def test_auth_of_too_many_requests_answers_429_with_the_wait(
        self, access: Authenticator, token: str
    ) -> None:
        guard = AuthMiddleware(Application(), access, limits(4))
        scope = partial(scope_of, bearing(token))
        answers = [await asked(guard, scope()) for _try in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 200, 429]
        assert answers[-1].headers["retry-after"] == "15"
        assert answers[-1].error == "too many requests: the next one in 15 s"

    async def test_auth_with_a_wait_of_less_than_a_second_rounds_it_up(
        self, access: Authenticator, token: str
    ) -> None:
        guard = AuthMiddleware(Application(), access, limits(6000))
        for _try in range(600):
            await asked(guard, scope_of(bearing(token)))
        answer = await asked(guard, scope_of(bearing(token)))
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")

    async def test_auth_of_unknown_tokens_counts_for_no_name(
        self, access: Authenticator, token: str
    ) -> None:
        guard = AuthMiddleware(Application(), access, limits(1))
        assert (await asked(guard, scope_of(bearing("x")))).status == 401
        assert (await asked(guard, scope_of(bearing(token)))).status == 200

    async def test_auth_without_tokens_has_no_limit(self) -> None:
        guard = AuthMiddleware(Application(), Authenticator(None), limits(1))
        assert {(await asked(guard, scope_of())).status for _try in range(20)} == {200}

    async def test_auth_of_a_web_socket_closes_it(self) -> None:
        app = Application()
        answer = await asked(
            AuthMiddleware(app, Authenticator(None), limits()), {"type": "websocket"}
        )
        assert answer.messages == [{"type": "websocket.close", "code": 1008}]
        assert app.scopes == []


class TestHeaders:
    async def test_security_headers_are_on_every_answer(self) -> None:
        answer = await asked(SecurityHeadersMiddleware(Application()), scope_of())
        assert dict(answer.headers) == EVERY_ANSWER

    async def test_security_headers_are_on_refusals_and_bare_answers(self) -> None:
        async def bare(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        refusing = SecurityHeadersMiddleware(HostMiddleware(Application(), LOOPBACK))
        for app, status in ((refusing, 421), (SecurityHeadersMiddleware(bare), 204)):
            answer = await asked(app, scope_of(), [])
            assert answer.status == status
            assert EVERY_ANSWER.items() <= dict(answer.headers).items()

    async def test_a_page_keeps_its_own_policy(self) -> None:
        app = SecurityHeadersMiddleware(
            Application({"content-security-policy": "default-src 'self'"})
        )
        answer = await asked(app, scope_of())
        assert answer.headers.getlist("content-security-policy") == ["default-src 'self'"]

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("no-cache, no-transform", "no-cache, no-transform, no-store"),
            ("no-store", "no-store"),
        ],
    )
    async def test_a_stream_stays_untransformed_and_nothing_is_stored(
        self, sent: str, expected: str
    ) -> None:
        answer = await asked(
            SecurityHeadersMiddleware(Application({"cache-control": sent})), scope_of()
        )
        assert answer.headers.getlist("cache-control") == [expected]

    @pytest.mark.parametrize(("sent", "expected"), [("keep-alive", []), ("close", ["close"])])
    async def test_connection_keep_alive_of_an_application_is_removed(
        self, sent: str, expected: list[str]
    ) -> None:
        answer = await asked(
            SecurityHeadersMiddleware(Application({"connection": sent})), scope_of()
        )
        assert answer.headers.getlist("connection") == expected

    async def test_no_other_site_is_allowed_anything(self) -> None:
        headers = {"host": "localhost", "origin": "http://localhost"}
        answer = await asked(
            SecurityHeadersMiddleware(HostMiddleware(Application(), LOOPBACK)), scope_of(headers)
        )
        assert answer.status == 200
        assert [name for name in answer.headers if name.startswith("access-control-")] == []


def guarded(app: ASGIApp) -> SecurityHeadersMiddleware:
    """All guards in their order."""
    inside = AuthMiddleware(BodyLimitMiddleware(app), Authenticator(None), limits())
    return SecurityHeadersMiddleware(HostMiddleware(inside, AllowedHosts(None)))


class TestAllTogether:
    async def test_a_stream_passes_piece_by_piece(self) -> None:
        go_on, answer = anyio.Event(), Answer()
        seen = anyio.Event()

        async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"two", "more_body": False})

        async def send(message: Message) -> None:
            answer.messages.append(message)
            if message.get("body"):
                seen.set()

        async def receive() -> Message:
            return {"type": "http.request"}

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guarded(stream).__call__, scope_of(), receive, send)
            with anyio.fail_after(30):
                await seen.wait()
            assert answer.body == b"one"
            go_on.set()
        assert answer.body == b"onetwo"

    async def test_a_stream_receives_that_its_client_has_left(self) -> None:
        heard: list[str] = []

        async def listening(_scope: Scope, receive: Receive, _send: Send) -> None:
            heard.extend([(await receive())["type"], (await receive())["type"]])

        said: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request"}]

        async def receive() -> Message:
            return said.pop()

        async def send(_message: Message) -> None:
            pass

        await guarded(listening)(scope_of(), receive, send)
        assert heard == ["http.request", "http.disconnect"]

    async def test_lifespan_passes_all_middleware(self) -> None:
        scopes: list[Scope] = []

        async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
            scopes.append(scope)

        await asked(guarded(app), {"type": "lifespan"})
        assert scopes == [{"type": "lifespan"}]

"""Access to Redis by password and by certificate, and the errors of a refused connection."""

from __future__ import annotations

import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from contracts.entries import got, put
from support.redis_calls import CALLS
from support.redis_servers import redis_server

SECRET = "s3cr3t %/@: word"


async def test_with_the_password_one_gets_in() -> None:
    with redis_server(password=SECRET) as server:
        for backend in (
            RedisBackend(server.url, timeout=30),
            RedisBackend(f"redis://127.0.0.1:{server.port}", password=SECRET, timeout=30),
        ):
            await put(backend, "key", b"value")
            assert await got(backend, "key") == b"value"
            assert backend.dbsize() == 1
            await backend.aclose()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("password", [None, "wr0ng"])
async def test_without_the_password_the_error_says_why_and_shows_no_secret(
    caplog: pytest.LogCaptureFixture, password: str | None, call: str
) -> None:
    caplog.set_level("DEBUG")
    with redis_server(password=SECRET) as server:
        backend = RedisBackend(f"redis://127.0.0.1:{server.port}", password=password, timeout=30)
        with pytest.raises(StoreUnavailable, match=r"(?i)auth|password") as caught:
            await CALLS[call](backend)
        await backend.aclose()
    shown = f"{caught.value} {caught.value!r} {backend!r} {caplog.text}"
    assert "wr0ng" not in shown
    assert "\n" not in str(caught.value)


async def test_who_may_use_no_channels_stores_and_removes_and_hears_nothing() -> None:
    with redis_server() as server:
        server.cli("ACL", "SETUSER", "fabric", "on", ">pass", "~*", "+@all", "resetchannels")
        backend = RedisBackend(f"redis://fabric:pass@127.0.0.1:{server.port}", timeout=30)
        await put(backend, "key", b"value")
        assert await got(backend, "key") == b"value"
        assert await backend.delete("key")
        with pytest.raises(StoreUnavailable, match=r"(?i)perm|channel"):
            await anext(backend.announcements())
        await backend.aclose()


async def test_tls_goes_to_who_has_a_trusted_certificate() -> None:
    with redis_server(password=SECRET, tls=True) as server:
        backend = RedisBackend(server.url, timeout=30)
        await put(backend, "key", b"value")
        assert await got(backend, "key") == b"value"
        assert backend.dbsize() == 1
        await backend.aclose()


async def test_tls_does_not_go_to_who_has_a_strange_certificate() -> None:
    with redis_server(tls=True) as server:
        backend = RedisBackend(f"redis://127.0.0.1:{server.port}", ssl=True, timeout=30)
        for call in CALLS.values():
            with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await call(backend)
        await backend.aclose()

"""The body of a request: handed on whole, whatever its chunks, or refused."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.http_server.middleware import MOST_BYTES, BodyLimitMiddleware
from unit.http_server.requests import Application, asked, scope_of

SMALL = 10


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8))
def test_a_body_is_handed_on_whole_or_refused_whatever_its_chunks(chunks: list[bytes]) -> None:
    app, whole = Application(), b"".join(chunks)
    answer = asyncio.run(asked(BodyLimitMiddleware(app, SMALL), scope_of(), chunks))
    if len(whole) <= SMALL:
        assert (answer.status, answer.body) == (200, whole)
    else:
        assert (answer.status, app.scopes) == (413, [])


async def test_a_mebibyte_passes_and_a_byte_more_does_not() -> None:
    guard = BodyLimitMiddleware(Application())
    assert (await asked(guard, scope_of(), [b"x" * MOST_BYTES])).status == 200
    answer = await asked(guard, scope_of(), [b"x" * MOST_BYTES, b"x"])
    assert answer.status == 413
    assert answer.error == "the request's body has more than 1,048,576 bytes"


@pytest.mark.parametrize("length", ["11", "9" * 300, "00011"])
async def test_a_length_that_is_too_large_is_refused_before_anything_is_read(length: str) -> None:
    scope = scope_of({"content-length": length})
    answer = await asked(BodyLimitMiddleware(Application(), SMALL), scope, [])
    assert answer.status == 413
    assert "connection" not in answer.headers


@pytest.mark.parametrize("length", ["10", "-1", "x", "²", ""])
async def test_body_limit_counts_what_is_read_and_not_what_was_announced(length: str) -> None:
    scope = scope_of({"content-length": length})
    guard = BodyLimitMiddleware(Application(), SMALL)
    assert (await asked(guard, dict(scope), [b"0123456789"])).status == 200
    assert (await asked(guard, dict(scope), [b"0123456789", b"0"])).status == 413


async def test_no_more_is_read_than_it_takes_to_refuse() -> None:
    chunks = iter([b"012345", b"67890", b"never"])
    read: list[bytes] = []

    async def receive() -> dict[str, object]:
        read.append(next(chunks))
        return {"type": "http.request", "body": read[-1], "more_body": True}

    async def send(_message: object) -> None:
        pass

    await BodyLimitMiddleware(Application(), SMALL)(scope_of(), receive, send)
    assert read == [b"012345", b"67890"]


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app = Application()
    with anyio.fail_after(30):
        answer = await asked(BodyLimitMiddleware(app, seconds=0.01), scope_of(), [])
    assert (answer.status, answer.headers["connection"], app.scopes) == (408, "close", [])
    assert answer.error == "the request's body took more than 0.01 s"


async def test_the_application_may_take_longer_than_the_body() -> None:
    ready = anyio.Event()

    async def slow(_scope: object, receive: object, send: object) -> None:
        with anyio.move_on_after(0.05):
            await anyio.sleep_forever()
        ready.set()

    await asked(BodyLimitMiddleware(slow, seconds=0.01), scope_of())
    assert ready.is_set()


async def test_a_client_that_leaves_before_the_end_is_not_answered() -> None:
    app = Application()
    answer = await asked(BodyLimitMiddleware(app), scope_of(), [b"begun", None])
    assert (answer.messages, app.scopes) == ([], [])

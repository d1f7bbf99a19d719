"""Machines that share a store share the secret that names principals, and make it once."""

from __future__ import annotations

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.base import Put
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.services.principals import DRAFT_SECONDS, SECRET_BYTES, shared_secret


async def test_all_who_ask_at_once_get_the_same() -> None:
    backend, found = MemoryBackend(), set[bytes]()

    async def ask() -> None:
        found.add(await shared_secret(backend))

    async with anyio.create_task_group() as tasks:
        for _each in range(10):
            tasks.start_soon(ask)
    (secret,) = found
    assert len(secret) == SECRET_BYTES
    assert await shared_secret(backend) == secret


async def test_it_stays_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, kept = MemoryBackend(), list[Put]()
    write = backend.write

    async def noted(puts: list[Put], deletes: tuple[str, ...] = ()) -> None:
        kept.extend(puts)
        await write(puts, deletes)

    monkeypatch.setattr(backend, "write", noted)
    await shared_secret(backend)
    assert (kept[-1].expires_in, kept[-1].disposable) == (None, False)


async def test_where_its_maker_died_half_way_others_use_the_draft() -> None:
    backend = MemoryBackend()
    assert await backend.add("secret", b"draft", expires_in=DRAFT_SECONDS)
    assert await shared_secret(backend) == b"draft"


async def test_it_lies_where_no_scope_shows_it() -> None:
    fabric = Fabric(MemoryBackend())
    await shared_secret(fabric.backend)
    assert [await fabric.keys(scope) for scope in Scope] == [[]] * len(Scope)


async def test_a_store_that_keeps_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()

    async def nothing(key: str) -> None:
        return None

    monkeypatch.setattr(backend, "get", nothing)
    with pytest.raises(StoreUnavailable):
        await shared_secret(backend)

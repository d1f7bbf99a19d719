"""Machines that share a store share the secret that names principals, and make it once."""

from __future__ import annotations

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed, ChangeListener
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.privacy import principals as module
from context7_fabric.privacy.principals import (
    DRAFT_SECONDS,
    PLACE,
    SECRET_BYTES,
    SharedSecret,
    shared_secret,
)


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
    backend, kept = MemoryBackend(), list[WriteRequest]()
    write = backend.write

    async def noted(puts: list[WriteRequest], deletes: tuple[str, ...] = ()) -> None:
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


async def test_who_knows_it_puts_it_back_into_a_store_that_lost_it() -> None:
    backend = MemoryBackend()
    secret = await shared_secret(backend)
    await backend.delete(PLACE)
    assert await shared_secret(backend, secret) == secret
    assert await shared_secret(backend) == secret


class Failing(MemoryBackend):
    """A store that does not work until it is told to, and whose next reply can be held up."""

    fails = True
    gate: anyio.Event | None = None

    def __init__(self) -> None:
        super().__init__()
        self.told = anyio.Event()

    async def get(self, key: str) -> BackendEntry | None:
        if self.fails:
            raise StoreUnavailable("get", "it is gone")
        entry = await super().get(key)
        self.told.set()
        if self.gate is not None:
            gate, self.gate = self.gate, None
            await gate.wait()
        return entry


class TestAProcess:
    @pytest.fixture
    def backend(self) -> Failing:
        return Failing()

    @pytest.fixture
    def secret(self, backend: Failing) -> SharedSecret:
        fabric = Fabric(backend)
        return SharedSecret(backend, fabric.faults, ChangeFeed(backend).ear(PLACE))

    async def test_it_makes_do_with_one_of_its_own_until_the_store_works(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        await secret.look()
        made_up, epoch = await secret.value(), secret.epoch
        await secret.look()
        assert (await secret.value(), secret.epoch) == (made_up, epoch)
        backend.fails = False
        await secret.look()
        assert await secret.value() == await shared_secret(backend) != made_up
        assert secret.epoch == epoch + 1

    async def test_it_stays_what_it_is_while_the_store_is_gone(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        backend.fails = False
        await secret.look()
        known, epoch = await secret.value(), secret.epoch
        backend.fails = True
        await secret.look()
        assert (await secret.value(), secret.epoch) == (known, epoch)

    async def test_it_becomes_that_of_the_others_where_they_were_first(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        backend.fails = False
        await secret.look()
        epoch = secret.epoch
        await backend.write([WriteRequest(PLACE, b"theirs", disposable=False)])
        await secret.look()
        assert await secret.value() == b"theirs"
        assert secret.epoch == epoch + 1

    async def test_who_asks_waits_for_the_first_look(self, secret: SharedSecret) -> None:
        with anyio.move_on_after(0.01) as waiting:
            await secret.value()
        assert waiting.cancelled_caught


class TestAProcessThatHears:
    @pytest.fixture
    def backend(self) -> Failing:
        return Failing()

    @pytest.fixture
    def ear(self, backend: Failing) -> ChangeListener:
        news = ChangeFeed(backend)
        news.is_live = True
        return news.ear(PLACE)

    @pytest.fixture
    def secret(self, backend: Failing, ear: ChangeListener) -> SharedSecret:
        return SharedSecret(backend, Fabric(backend).faults, ear)

    async def test_asks_again_when_it_was_written_while_the_reply_was_on_its_way(
        self, backend: Failing, ear: ChangeListener, secret: SharedSecret
    ) -> None:
        backend.fails = False
        backend.gate = gate = anyio.Event()
        await backend.write([WriteRequest(PLACE, b"first", disposable=False)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(secret.keep)
            await anyio.wait_all_tasks_blocked()
            await backend.write([WriteRequest(PLACE, b"second", disposable=False)])
            ear.hear((PLACE,))
            gate.set()
            await anyio.wait_all_tasks_blocked()
            assert await secret.value() == b"second"
            tasks.cancel_scope.cancel()

    async def test_asks_soon_again_where_the_store_did_not_tell(
        self, backend: Failing, secret: SharedSecret, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(secret.keep)
            await anyio.wait_all_tasks_blocked()
            backend.fails = False
            with anyio.fail_after(5):
                await backend.told.wait()
            tasks.cancel_scope.cancel()

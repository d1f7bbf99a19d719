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
from context7_fabric.privacy.principals import (
    DRAFT_SECONDS,
    SECRET_BYTES,
    SECRET_KEY,
    SharedSecret,
    shared_secret,
)


async def test_concurrent_reads_return_the_same_secret() -> None:
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


async def test_a_draft_of_a_dead_process_is_used() -> None:
    backend = MemoryBackend()
    assert await backend.add("secret", b"draft", expires_in=DRAFT_SECONDS)
    assert await shared_secret(backend) == b"draft"


async def test_no_scope_lists_the_secret() -> None:
    fabric = Fabric(MemoryBackend())
    await shared_secret(fabric.backend)
    assert [await fabric.keys(scope) for scope in Scope] == [[]] * len(Scope)


async def test_a_store_that_keeps_nothing_raises_store_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = MemoryBackend()

    async def nothing(key: str) -> None:
        return None

    monkeypatch.setattr(backend, "get", nothing)
    with pytest.raises(StoreUnavailable):
        await shared_secret(backend)


async def test_a_known_secret_is_restored_to_a_store_that_lost_it() -> None:
    backend = MemoryBackend()
    secret = await shared_secret(backend)
    await backend.delete(SECRET_KEY)
    assert await shared_secret(backend, secret) == secret
    assert await shared_secret(backend) == secret


class Failing(MemoryBackend):
    """A store that fails until `fails` is unset, and whose next reply can be delayed."""

    fails = True
    gate: anyio.Event | None = None

    def __init__(self) -> None:
        super().__init__()
        self.replied = anyio.Event()

    async def get(self, key: str) -> BackendEntry | None:
        if self.fails:
            raise StoreUnavailable("get", "it is gone")
        entry = await super().get(key)
        self.replied.set()
        if self.gate is not None:
            gate, self.gate = self.gate, None
            await gate.wait()
        return entry


class TestProcess:
    @pytest.fixture
    def backend(self) -> Failing:
        return Failing()

    @pytest.fixture
    def secret(self, backend: Failing) -> SharedSecret:
        fabric = Fabric(backend)
        return SharedSecret(backend, fabric.faults, ChangeFeed(backend).listen(SECRET_KEY))

    async def test_the_secret_is_random_until_the_store_works(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        await secret.refresh()
        made_up, epoch = await secret.value(), secret.epoch
        await secret.refresh()
        assert (await secret.value(), secret.epoch) == (made_up, epoch)
        backend.fails = False
        await secret.refresh()
        assert await secret.value() == await shared_secret(backend) != made_up
        assert secret.epoch == epoch + 1

    async def test_it_stays_what_it_is_while_the_store_is_gone(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        backend.fails = False
        await secret.refresh()
        known, epoch = await secret.value(), secret.epoch
        backend.fails = True
        await secret.refresh()
        assert (await secret.value(), secret.epoch) == (known, epoch)

    async def test_the_secret_of_another_process_is_taken_over(
        self, backend: Failing, secret: SharedSecret
    ) -> None:
        backend.fails = False
        await secret.refresh()
        epoch = secret.epoch
        await backend.write([WriteRequest(SECRET_KEY, b"theirs", disposable=False)])
        await secret.refresh()
        assert await secret.value() == b"theirs"
        assert secret.epoch == epoch + 1

    async def test_value_waits_for_the_first_read(self, secret: SharedSecret) -> None:
        with anyio.move_on_after(0.01) as waiting:
            await secret.value()
        assert waiting.cancelled_caught


class TestListeningProcess:
    @pytest.fixture
    def backend(self) -> Failing:
        return Failing()

    @pytest.fixture
    def listener(self, backend: Failing) -> ChangeListener:
        news = ChangeFeed(backend)
        news.is_live = True
        return news.listen(SECRET_KEY)

    @pytest.fixture
    def secret(self, backend: Failing, listener: ChangeListener) -> SharedSecret:
        return SharedSecret(backend, Fabric(backend).faults, listener)

    async def test_a_change_during_a_read_is_read_again(
        self, backend: Failing, listener: ChangeListener, secret: SharedSecret
    ) -> None:
        backend.fails = False
        backend.gate = gate = anyio.Event()
        await backend.write([WriteRequest(SECRET_KEY, b"first", disposable=False)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(secret.watch)
            await anyio.wait_all_tasks_blocked()
            await backend.write([WriteRequest(SECRET_KEY, b"second", disposable=False)])
            listener.receive((SECRET_KEY,))
            gate.set()
            await anyio.wait_all_tasks_blocked()
            assert await secret.value() == b"second"
            tasks.cancel_scope.cancel()

    async def test_a_failed_read_is_retried_soon(
        self, backend: Failing, listener: ChangeListener
    ) -> None:
        secret = SharedSecret(backend, Fabric(backend).faults, listener, retry=0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(secret.watch)
            await anyio.wait_all_tasks_blocked()
            backend.fails = False
            with anyio.fail_after(30):
                await backend.replied.wait()
            tasks.cancel_scope.cancel()

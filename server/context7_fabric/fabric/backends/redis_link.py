"""The way into a Redis server or cluster, and the one place where redis-py's errors become ours.

Calls that wait use a client of their own in each event loop, because a connection lives and dies
with its loop. A client is held by an async generator that was begun in the loop: `asyncio.run`
ends these before it closes the loop, so that connections are closed where they were opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisClusterException, RedisError

from context7_fabric.errors import StoreClosed, StoreUnavailable
from context7_fabric.fabric.backends.redis_address import Address
from context7_fabric.fabric.backends.redis_clients import (
    CONNECTIONS,
    Argument,
    BlockingClient,
    Client,
    blocking_client,
    close,
    close_blocking,
    heard,
    info_of_masters,
    run_script,
    tells_of_cluster,
    waiting_client,
)
from context7_fabric.fabric.backends.redis_scripts import Script

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Held:
    """What one event loop has: a client, the generator that closes it, and room for its calls."""

    client: Client
    holder: AsyncGenerator[None]
    room: asyncio.Semaphore


class Link:
    """Runs work against what is at an address: a server or a cluster, it finds out itself."""

    def __init__(self, address: Address, timeout: float, keys: Sequence[str]) -> None:
        """Give up after `timeout` seconds; connect when there is something to do.

        Every script is handed `keys`.
        """
        self._address = address
        self._timeout = timeout
        self._keys = keys
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._is_cluster: bool | None = None
        self._open = True

    async def command(self, operation: str, *words: Argument) -> Any:  # noqa: ANN401  # the reply
        """Return what a command replies.

        Raises:
            StoreUnavailable: It does not; the error tells the `operation`.
            StoreClosed: The link is closed.
        """
        return await self._run(
            operation, lambda client: client.execute_command(*words), self._timeout
        )

    async def script(
        self,
        operation: str,
        script: Script,
        *arguments: Argument,
        timeouts: int = 1,
        again: bool = True,
    ) -> Any:  # noqa: ANN401  # whatever the script returns
        """Return what `script` returns, within `timeouts` times the time-out.

        A connection may have died since it was last used, which shows only now: then it is run
        `again`, unless that would do harm where it ran already and only its reply is lost.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        return await self._run(
            operation,
            lambda client: run_script(client, script, self._keys, arguments),
            timeouts * self._timeout,
            again=again,
        )

    def script_blocking(self, operation: str, script: Script, *arguments: Argument) -> Any:  # noqa: ANN401  # whatever the script returns
        """Return what `script` returns, by a client that is there for this call only.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        words = (*self._keys, *arguments)
        return self._run_blocking(
            operation, lambda client: client.eval(script.text, len(self._keys), *words)
        )

    def info(self) -> list[dict[str, object]]:
        """Return what each master tells of itself, by a client that is there for this call only.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        return self._run_blocking("info", info_of_masters)

    async def messages(self, operation: str, channel: str) -> AsyncGenerator[bytes | None]:
        """Yield what is published on `channel`, after a None when it begins to be heard.

        The server is asked for a sign of life every few seconds.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        with self._told(operation):
            async with asyncio.timeout(self._timeout):
                held = await self._holding()
            async with aclosing(heard(held.client, channel, self._timeout)) as messages:
                async for message in messages:
                    yield message

    async def aclose(self) -> None:
        """Close this loop's connections. Those of another loop close in it, at its end if not now.

        A second call does nothing.
        """
        self._open = False
        held = self._held.pop(asyncio.get_running_loop(), None)
        self._held.clear()
        if held:
            await held.holder.aclose()

    async def _run(
        self,
        operation: str,
        work: Callable[[Client], Awaitable[_T]],
        seconds: float,
        *,
        again: bool = True,
    ) -> _T:
        with self._told(operation):
            async with asyncio.timeout(seconds):
                held = await self._holding()
                async with held.room:
                    try:
                        return await work(held.client)
                    except ConnectionLost:
                        if not (again and self._open):
                            raise
                    return await work(held.client)

    def _run_blocking(self, operation: str, work: Callable[[BlockingClient], _T]) -> _T:
        with self._told(operation):
            if self._is_cluster is None:
                with self._blocking(is_cluster=False) as client:
                    self._is_cluster = tells_of_cluster(info_of_masters(client)[0])
            with self._blocking(is_cluster=self._is_cluster) as client:
                return work(client)

    async def _holding(self) -> _Held:
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            if self._is_cluster is None:
                self._is_cluster = await self._find_out()
            if not self._open:
                raise StoreClosed
            if loop not in self._held:  # somebody else may have been first
                client = self._waiting(is_cluster=self._is_cluster)
                holder = self._hold(client, loop)
                self._held[loop] = _Held(client, holder, asyncio.Semaphore(CONNECTIONS))
                await anext(holder)
        return self._held[loop]

    async def _hold(self, client: Client, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._held.pop(loop, None)
            await close(client)

    async def _find_out(self) -> bool:
        client = self._waiting(is_cluster=False)
        try:
            return tells_of_cluster(await client.info("server"))
        finally:
            await close(client)

    def _waiting(self, *, is_cluster: bool) -> Client:
        return waiting_client(self._address, self._timeout, is_cluster=is_cluster)

    @contextmanager
    def _blocking(self, *, is_cluster: bool) -> Iterator[BlockingClient]:
        client = blocking_client(self._address, self._timeout, is_cluster=is_cluster)
        try:
            yield client
        finally:
            close_blocking(client)

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        if not self._open:
            raise StoreClosed
        try:
            yield
        except UnicodeError as error:
            raise StoreUnavailable(operation, "the key is not valid Unicode") from error
        except (RedisError, RedisClusterException, OSError) as error:
            if not self._open:
                raise StoreClosed from error
            raise StoreUnavailable(operation, self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        text = " ".join(str(error).split()) or type(error).__name__
        sentinels = self._address.sentinels
        for secret in (self._address.password, sentinels and sentinels.password):
            text = text.replace(secret, "…") if secret else text
        return text

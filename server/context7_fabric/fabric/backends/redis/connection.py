"""The way into a Redis server or cluster, and the one place where redis-py's errors become ours.

Calls that wait use a client of their own in each event loop, because a connection lives and dies
with its loop. A client is held by an async generator that was begun in the loop: `asyncio.run`
ends these before it closes the loop, so that connections are closed where they were opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster as BlockingCluster
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.retry import Retry as BlockingRetry
from redis.sentinel import Sentinel as BlockingSentinel
from redis.sentinel import SentinelConnectionPool as BlockingPool

from context7_fabric.errors import StoreClosed, StoreUnavailable
from context7_fabric.fabric.backends.redis.scripts import RedisScript
from context7_fabric.redis_url import RedisAddress, SentinelAddress


def waiting_master(
    sentinels: SentinelAddress, address: RedisAddress, arguments: dict[str, Any], timeout: float
) -> Redis:
    """Return a client for the running event loop; the master gets `arguments`."""
    asked = _arguments_redis_sentinels(sentinels, address, timeout)
    sentinel = Sentinel(sentinels.places, sentinel_kwargs=asked, **arguments)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(sentinels.service)
    return client


def blocking_master(
    sentinels: SentinelAddress, address: RedisAddress, arguments: dict[str, Any], timeout: float
) -> BlockingRedis:
    """Return a blocking client; the master gets `arguments`."""
    asked = _arguments_redis_sentinels(sentinels, address, timeout)
    sentinel = BlockingSentinel(sentinels.places, sentinel_kwargs=asked, **arguments)  # type: ignore[no-untyped-call]
    client: BlockingRedis = sentinel.master_for(sentinels.service)  # type: ignore[no-untyped-call]
    return client


async def close_sentinels(client: Redis) -> None:
    """Close the connections to the Sentinels that a client asks, if it does."""
    if isinstance(client.connection_pool, SentinelConnectionPool):
        with suppress(RedisError, OSError):
            await client.connection_pool.sentinel_manager.aclose()


def close_blocking_sentinels(client: BlockingRedis) -> None:
    """Close the connections to the Sentinels that a blocking client asks, if it does."""
    if isinstance(client.connection_pool, BlockingPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            sentinel.close()


def _arguments_redis_sentinels(
    sentinels: SentinelAddress, address: RedisAddress, timeout: float
) -> dict[str, Any]:
    """Return how Sentinels are reached: by the TLS of the servers, with a login of their own."""
    login = {"username": sentinels.username, "password": sentinels.password}
    tls = {"ssl": True, **address.files} if address.ssl else {}
    times = {"socket_connect_timeout": timeout, "socket_timeout": timeout, "protocol": 2}
    return login | tls | times


RedisClient = Redis | RedisCluster
BlockingClient = BlockingRedis | BlockingCluster
RedisArgument = str | bytes | int | float

SIGN_EVERY = 5.0
"""Seconds of silence after which whoever listens asks the server whether it is there."""

CONNECTIONS = 50
"""Connections of one event loop to one server."""


def waiting_client(address: RedisAddress, timeout: float, *, is_cluster: bool) -> RedisClient:
    """Return a client for the running event loop, which connects when it is used.

    It waits `timeout` seconds for a connection, and without end for an answer: the time-out of
    whoever uses it is for the whole call.
    """
    arguments = _arguments(address, timeout, is_cluster=is_cluster) | {
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 2 * CONNECTIONS,  # redis-py raises beyond them: never reached
    }
    if address.sentinels:
        return waiting_master(address.sentinels, address, arguments, timeout)
    if not is_cluster:
        return Redis(**arguments)
    # When slots move it is told so call by call; else it would close what others wait for.
    return RedisCluster(**arguments, reinitialize_steps=0)


async def close(client: RedisClient) -> None:
    """Close the connections of a client; a server that takes no leave is left without.

    A cluster's that lost a node means to begin anew, and would leave the others open.
    """
    with suppress(RedisError, OSError):
        if isinstance(client, RedisCluster):
            await client.nodes_manager.aclose()
            await client.nodes_manager.aclose("startup_nodes")
        else:
            await close_sentinels(client)
        await client.aclose()


def blocking_client(address: RedisAddress, timeout: float, *, is_cluster: bool) -> BlockingClient:
    """Return a blocking client, which waits `timeout` seconds for a connection or an answer."""
    arguments = _arguments(address, timeout, is_cluster=is_cluster) | {
        "socket_timeout": timeout,
        "retry": BlockingRetry(NoBackoff(), 0),
    }
    if address.sentinels:
        return blocking_master(address.sentinels, address, arguments, timeout)
    return BlockingCluster(**arguments) if is_cluster else BlockingRedis(**arguments)


def close_blocking(client: BlockingClient) -> None:
    """Close the connections of a blocking client."""
    if isinstance(client, BlockingRedis):
        close_blocking_sentinels(client)
    client.close()


def tells_of_cluster(info: Mapping[str, Any]) -> bool:
    """Tell from a server's INFO whether it is a node of a cluster."""
    return bool(info["redis_mode"] == "cluster")


def info_of_masters(client: BlockingClient) -> list[dict[str, object]]:
    """Return the fields of INFO, of each master where there are several."""
    if isinstance(client, BlockingCluster):
        return [client.info(target_nodes=node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]
    return [client.info()]


async def run_script(
    client: RedisClient,
    script: RedisScript,
    keys: Sequence[str],
    arguments: Sequence[RedisArgument],
) -> Any:  # noqa: ANN401  # whatever the script returns
    """Return what `script` returns; its text goes out only where the server does not know it."""
    rest = (len(keys), *keys, *arguments)
    try:
        return await client.execute_command("EVALSHA", script.digest, *rest)
    except NoScriptError:
        return await client.execute_command("EVAL", script.text, *rest)


async def heard(client: RedisClient, channel: str, patience: float) -> AsyncGenerator[bytes | None]:
    """Yield what is published on `channel`, after a None once it is heard.

    Raises what redis-py does, and `ConnectionError` where the server gives no sign of life within
    `patience` seconds after `SIGN_EVERY` seconds of silence.
    """
    async with asyncio.timeout(patience):
        if isinstance(client, RedisCluster):
            await client.initialize()  # type: ignore[unused-awaitable]  # it gives the client itself
    async with aclosing(client.pubsub()) as hearing:
        async with asyncio.timeout(patience):
            await _subscribe(hearing, channel)
        silent = False
        while True:
            message = await hearing.get_message(timeout=patience if silent else SIGN_EVERY)
            if message is None and silent:
                raise ConnectionLost("the server gives no sign of life")
            silent = message is None
            if message is None:
                await hearing.ping()
            elif message["type"] == "subscribe":
                yield None
            elif message["type"] == "message":
                yield message["data"]


async def _subscribe(hearing: PubSub, channel: str) -> None:
    try:
        await hearing.subscribe(channel)
    except KeyError as error:  # a cluster's client finds nobody in its table
        raise ConnectionLost("no node of the cluster serves the channel") from error


def _arguments(address: RedisAddress, timeout: float, *, is_cluster: bool) -> dict[str, Any]:
    common = {"socket_connect_timeout": timeout, "protocol": 2}
    return address.arguments(cluster=is_cluster) | common


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Held:
    """What one event loop has: a client, the generator that closes it, and room for its calls."""

    client: RedisClient
    holder: AsyncGenerator[None]
    room: asyncio.Semaphore


class RedisConnection:
    """Runs work against what is at an address: a server or a cluster, it finds out itself."""

    def __init__(self, address: RedisAddress, timeout: float, keys: Sequence[str]) -> None:
        """Give up after `timeout` seconds; connect when there is something to do.

        Every script is handed `keys`.
        """
        self._address = address
        self._timeout = timeout
        self._keys = keys
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._is_cluster: bool | None = None
        self._open = True

    async def command(self, operation: str, *words: RedisArgument) -> Any:  # noqa: ANN401  # the reply
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
        script: RedisScript,
        *arguments: RedisArgument,
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

    def script_blocking(
        self, operation: str, script: RedisScript, *arguments: RedisArgument
    ) -> Any:  # noqa: ANN401  # whatever the script returns
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
        work: Callable[[RedisClient], Awaitable[_T]],
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

    async def _hold(
        self, client: RedisClient, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None]:
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

    def _waiting(self, *, is_cluster: bool) -> RedisClient:
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

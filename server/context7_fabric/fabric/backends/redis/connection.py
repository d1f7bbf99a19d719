"""Connections to a Redis server or cluster; errors of redis-py become store errors here.

There is a client for each event loop, because a connection belongs to its loop. A client is held
by an async generator that was started in the loop: `asyncio.run` closes generators before it closes
the loop, so connections are closed where they were opened.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from context7_fabric.errors import StoreClosed, StoreUnavailable
from context7_fabric.redis_url import RedisAddress, SentinelAddress

RedisClient = Redis | RedisCluster
RedisArgument = str | bytes | int | float

CONNECTIONS = 50
"""Connections of one event loop to one server."""

_T = TypeVar("_T")


class RedisScript(NamedTuple):
    """A Lua script, and the digest by which Redis knows it once it has run."""

    text: str
    digest: str


def _script(*parts: str) -> RedisScript:
    folder = files(__package__) / "lua"
    text = "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    return RedisScript(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {
    **{name: _script("common", name) for name in ("keys", "count", "query")},
    **{name: _script("common", "read", name) for name in ("get", "items")},
    **{name: _script("common", "store", name) for name in ("put", "add", "swap", "delete")},
}
"""The scripts by the operation that they do; their comments list the arguments."""


def _new_client(address: RedisAddress, timeout: float, *, is_cluster: bool) -> RedisClient:
    """Return a client for the running event loop, which connects at its first use.

    It waits `timeout` seconds for a connection, and without limit for a reply: the caller limits
    the whole call.
    """
    arguments = address.arguments(cluster=is_cluster) | {
        "protocol": 2,
        "socket_connect_timeout": timeout,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 2 * CONNECTIONS,  # redis-py raises beyond them: never reached
    }
    if address.sentinels:
        own = _sentinel_arguments(address.sentinels, address, timeout)
        sentinel = Sentinel(address.sentinels.places, sentinel_kwargs=own, **arguments)  # type: ignore[no-untyped-call]
        client: Redis = sentinel.master_for(address.sentinels.service)
        return client
    if not is_cluster:
        return Redis(**arguments)
    # Moved slots are reported call by call; a reinitialisation would close connections in use.
    return RedisCluster(**arguments, reinitialize_steps=0)


def _sentinel_arguments(
    sentinels: SentinelAddress, address: RedisAddress, timeout: float
) -> dict[str, Any]:
    """Return the arguments for Sentinels: the TLS of the servers, a login of their own."""
    login = {"username": sentinels.username, "password": sentinels.password}
    tls = {"ssl": True, **address.files} if address.ssl else {}
    times = {"socket_connect_timeout": timeout, "socket_timeout": timeout, "protocol": 2}
    return login | tls | times


async def _close(client: RedisClient) -> None:
    """Close the connections of a client, and those to its Sentinels.

    A cluster's client that lost a node plans to reconnect, and would leave the others open.
    """
    with suppress(RedisError, OSError):
        if isinstance(client, RedisCluster):
            await client.nodes_manager.aclose()
            await client.nodes_manager.aclose("startup_nodes")
        elif isinstance(client.connection_pool, SentinelConnectionPool):
            with suppress(RedisError, OSError):
                await client.connection_pool.sentinel_manager.aclose()
        await client.aclose()


async def _is_cluster(client: RedisClient) -> bool:
    info = await client.info("server")
    return bool(info["redis_mode"] == "cluster")


async def _info_of_masters(client: RedisClient) -> list[dict[str, object]]:
    if isinstance(client, RedisCluster):
        await client.initialize()  # type: ignore[unused-awaitable]  # it gives the client itself
        return [await client.info(target_nodes=node) for node in client.get_primaries()]
    return [await client.info()]


async def _run_script(
    client: RedisClient,
    script: RedisScript,
    keys: Sequence[str],
    arguments: Sequence[RedisArgument],
) -> Any:  # noqa: ANN401  # whatever the script returns
    """Return what `script` returns; its text is sent only to a server that does not know it."""
    rest = (len(keys), *keys, *arguments)
    try:
        return await client.execute_command("EVALSHA", script.digest, *rest)
    except NoScriptError:
        return await client.execute_command("EVAL", script.text, *rest)


async def _published(
    client: RedisClient, channel: str, patience: float, ping_seconds: float
) -> AsyncGenerator[bytes | None]:
    """Yield None once `channel` is subscribed to, then what is published on it.

    Raises what redis-py raises, and `ConnectionError` where the server does not answer a ping,
    sent after `ping_seconds` of silence, within `patience` seconds.
    """
    async with asyncio.timeout(patience):
        if isinstance(client, RedisCluster):
            await client.initialize()  # type: ignore[unused-awaitable]  # it gives the client itself
    async with aclosing(client.pubsub()) as subscription:
        async with asyncio.timeout(patience):
            await _subscribe(subscription, channel)
        silent = False
        while True:
            message = await subscription.get_message(timeout=patience if silent else ping_seconds)
            if message is None and silent:
                raise ConnectionLost("the server does not answer a ping")
            silent = message is None
            if message is None:
                await subscription.ping()
            elif message["type"] == "subscribe":
                yield None
            elif message["type"] == "message":
                yield message["data"]


async def _subscribe(subscription: PubSub, channel: str) -> None:
    try:
        await subscription.subscribe(channel)
    except KeyError as error:  # a cluster's client has no node in its table
        raise ConnectionLost("no node of the cluster serves the channel") from error


@dataclass(frozen=True, slots=True)
class _LoopClient:
    """The client of one event loop, the generator that closes it, and a limit for its calls."""

    client: RedisClient
    closer: AsyncGenerator[None]
    limit: asyncio.Semaphore


class RedisConnection:
    """Runs commands and scripts at an address, which may be a server or a cluster."""

    def __init__(
        self, address: RedisAddress, timeout: float, keys: Sequence[str], ping_seconds: float
    ) -> None:
        """Connect at the first use; give a call up after `timeout` seconds.

        Every script gets `keys`. A silent server is pinged every `ping_seconds`.
        """
        self._ping_seconds = ping_seconds
        self._address = address
        self._timeout = timeout
        self._keys = keys
        self._clients: dict[asyncio.AbstractEventLoop, _LoopClient] = {}
        self._is_cluster: bool | None = None
        self._open = True

    async def command(self, operation: str, *words: RedisArgument) -> Any:  # noqa: ANN401  # the reply
        """Return the reply to a command.

        Raises:
            StoreUnavailable: There is none; the error names the `operation`.
            StoreClosed: The connection is closed.
        """
        return await self._run(
            operation, lambda client: client.execute_command(*words), self._timeout
        )

    async def script(
        self, operation: str, *arguments: RedisArgument, timeouts: int = 1, again: bool = True
    ) -> Any:  # noqa: ANN401  # whatever the script returns
        """Return what the script of `operation` returns, within `timeouts` times the time-out.

        A connection may have died since its last use, which shows only now. Then the script is run
        `again`, unless a second run does harm where only the reply to the first was lost.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        return await self._run(
            operation,
            lambda client: _run_script(client, SCRIPTS[operation], self._keys, arguments),
            timeouts * self._timeout,
            again=again,
        )

    async def info(self) -> list[dict[str, object]]:
        """Return the fields of INFO of each master.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        return await self._run("info", _info_of_masters, self._timeout)

    async def messages(self, operation: str, channel: str) -> AsyncGenerator[bytes | None]:
        """Yield None once `channel` is subscribed to, then what is published on it.

        The server is pinged in silence.

        Raises:
            StoreUnavailable, StoreClosed: As `command`.
        """
        with self._store_errors(operation):
            async with asyncio.timeout(self._timeout):
                ours = await self._loop_client()
            async with aclosing(
                _published(ours.client, channel, self._timeout, self._ping_seconds)
            ) as messages:
                async for message in messages:
                    yield message

    async def aclose(self) -> None:
        """Close this loop's connections; those of another loop close at its end.

        A second call does nothing.
        """
        self._open = False
        ours = self._clients.pop(asyncio.get_running_loop(), None)
        self._clients.clear()
        if ours:
            await ours.closer.aclose()

    async def _run(
        self,
        operation: str,
        work: Callable[[RedisClient], Awaitable[_T]],
        seconds: float,
        *,
        again: bool = True,
    ) -> _T:
        with self._store_errors(operation):
            async with asyncio.timeout(seconds):
                ours = await self._loop_client()
                async with ours.limit:
                    try:
                        return await work(ours.client)
                    except ConnectionLost:
                        if not (again and self._open):
                            raise
                    return await work(ours.client)

    async def _loop_client(self) -> _LoopClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            if self._is_cluster is None:
                self._is_cluster = await self._find_cluster()
            if not self._open:
                raise StoreClosed
            if loop not in self._clients:  # another task may have been first
                client = _new_client(self._address, self._timeout, is_cluster=self._is_cluster)
                closer = self._close_with_loop(client, loop)
                self._clients[loop] = _LoopClient(client, closer, asyncio.Semaphore(CONNECTIONS))
                await anext(closer)
        return self._clients[loop]

    async def _close_with_loop(
        self, client: RedisClient, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._clients.pop(loop, None)
            await _close(client)

    async def _find_cluster(self) -> bool:
        client = _new_client(self._address, self._timeout, is_cluster=False)
        try:
            return await _is_cluster(client)
        finally:
            await _close(client)

    @contextmanager
    def _store_errors(self, operation: str) -> Iterator[None]:
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
        cause = error.__cause__ or error.__context__
        # asyncio words them in its own way; an error of TLS has a number of OpenSSL's.
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
            text = _reworded(text, cause)
        sentinels = self._address.sentinels
        for secret in (self._address.password, sentinels and sentinels.password):
            text = text.replace(secret, "…") if secret else text
        return text


def _reworded(text: str, cause: OSError) -> str:
    """Return `text` with the system's words for the number of `cause`, if it has one."""
    if not (cause.errno and cause.strerror):
        return text
    return text.replace(cause.strerror, os.strerror(cause.errno))

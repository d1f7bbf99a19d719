"""redis-py's clients as the fabric needs them, and scripts run through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster as BlockingCluster
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry as BlockingRetry

from context7_fabric.fabric.backends.redis_address import Address
from context7_fabric.fabric.backends.redis_scripts import Script
from context7_fabric.fabric.backends.redis_sentinels import (
    blocking_master,
    close_blocking_sentinels,
    close_sentinels,
    waiting_master,
)

Client = Redis | RedisCluster
BlockingClient = BlockingRedis | BlockingCluster
Argument = str | bytes | int | float

SIGN_EVERY = 5.0
"""Seconds of silence after which whoever listens asks the server whether it is there."""

CONNECTIONS = 50
"""Connections of one event loop to one server."""


def waiting_client(address: Address, timeout: float, *, is_cluster: bool) -> Client:
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


async def close(client: Client) -> None:
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


def blocking_client(address: Address, timeout: float, *, is_cluster: bool) -> BlockingClient:
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
    client: Client, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
) -> Any:  # noqa: ANN401  # whatever the script returns
    """Return what `script` returns; its text goes out only where the server does not know it."""
    rest = (len(keys), *keys, *arguments)
    try:
        return await client.execute_command("EVALSHA", script.digest, *rest)
    except NoScriptError:
        return await client.execute_command("EVAL", script.text, *rest)


async def heard(client: Client, channel: str, patience: float) -> AsyncGenerator[bytes | None]:
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


def _arguments(address: Address, timeout: float, *, is_cluster: bool) -> dict[str, Any]:
    common = {"socket_connect_timeout": timeout, "protocol": 2}
    return address.arguments(cluster=is_cluster) | common

"""redis-py's clients for the master that Sentinels name, which may be another one after a while."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError
from redis.sentinel import Sentinel as BlockingSentinel
from redis.sentinel import SentinelConnectionPool as BlockingPool

from context7_fabric.fabric.backends.redis_address import Address, Sentinels


def waiting_master(
    sentinels: Sentinels, address: Address, arguments: dict[str, Any], timeout: float
) -> Redis:
    """Return a client for the running event loop; the master gets `arguments`."""
    asked = _arguments(sentinels, address, timeout)
    sentinel = Sentinel(sentinels.places, sentinel_kwargs=asked, **arguments)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(sentinels.service)
    return client


def blocking_master(
    sentinels: Sentinels, address: Address, arguments: dict[str, Any], timeout: float
) -> BlockingRedis:
    """Return a blocking client; the master gets `arguments`."""
    asked = _arguments(sentinels, address, timeout)
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


def _arguments(sentinels: Sentinels, address: Address, timeout: float) -> dict[str, Any]:
    """Return how Sentinels are reached: by the TLS of the servers, with a login of their own."""
    login = {"username": sentinels.username, "password": sentinels.password}
    tls = {"ssl": True, **address.files} if address.ssl else {}
    times = {"socket_connect_timeout": timeout, "socket_timeout": timeout, "protocol": 2}
    return login | tls | times

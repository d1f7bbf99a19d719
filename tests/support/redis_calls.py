"""Every way to use the backend in Redis, for tests that hold each to the same promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.redis.backend import RedisBackend

CALLS: dict[str, Callable[[RedisBackend], Awaitable[object]]] = {
    "get": lambda backend: backend.get("key"),
    "get_many": lambda backend: backend.get_many(["key"]),
    "write": lambda backend: backend.write([WriteRequest("key", b"value")]),
    "add": lambda backend: backend.add("key", b"value", expires_in=60),
    "swap": lambda backend: backend.swap("key", b"value", b"value", expires_in=60),
    "delete": lambda backend: backend.delete("key"),
    "keys": lambda backend: backend.keys(""),
    "items": lambda backend: backend.items("", None, 10),
    "newest": lambda backend: backend.newest("", None, 10),
    "info": lambda backend: anyio.to_thread.run_sync(backend.info),
    "dbsize": lambda backend: anyio.to_thread.run_sync(backend.dbsize),
}

"""Backend in Redis, one server or a cluster, for machines that share a cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import (
    BackendEntry,
    EntryPosition,
    WriteRequest,
    WrittenKeys,
    human_size,
)
from context7_fabric.redis_url import parse

if TYPE_CHECKING:
    from context7_fabric.fabric.backends.redis.connection import RedisArgument, RedisConnection

NAMESPACE = "context7-fabric"
TIMEOUT = 1.0
"""Longest wait for a reply in seconds, unless the URL names another."""

PING_SECONDS = 5.0
"""Seconds of silence after which a listener pings the server."""

AT_ONCE = 1000
"""Entries that one round trip reads."""

NAMES_AT_ONCE = 20_000
"""Names that one round trip reads."""

BYTES_AT_ONCE = 8 * 2**20
"""Bytes of values that end a page of `items`, so that Redis need not hold more of them."""

WRITES_A_TIMEOUT = 10_000
"""Writes at once that one time-out is enough for; more have more time."""

FEW = 500
"""Names below a prefix up to which sorting them beats walking all names in the order of time."""

LIFETIME_MS = 2 * 365 * 24 * 3600 * 1000
"""Lifetime of a disposable entry without an end of its own."""

_T = TypeVar("_T")
_LONGEST_MS = 2**50
"""Thirty thousand years; much longer lifetimes overflow in Redis."""


class RedisBackend:
    """Entries in Redis 6.2 or newer, shared by all clients with the same address and namespace.

    Disposable entries have an end, two years ahead where none was given; authored entries have
    none. A server with `maxmemory-policy volatile-lru` therefore evicts only disposable entries,
    and authored ones that were given an end. Its `maxmemory` bounds authored entries: they are not
    counted here. (With `noeviction` a full server refuses writes; with `allkeys-…` it evicts
    authored entries and indexes as well.)

    In a cluster a namespace lies in one slot, hence on one node, which makes a write of several
    entries atomic. Use several namespaces to spread over nodes.

    Entries that Redis evicted may be counted and listed for a while, but are never read.
    """

    def __init__(
        self,
        url: str,
        *,
        db: int | None = None,
        password: str | None = None,
        ssl: bool = False,
        namespace: str = NAMESPACE,
        timeout: float | None = None,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        """Use the server at `url`: redis://, rediss:// (TLS) or unix://; connect at the first use.

        `db` and `password` override the URL's; `ssl` makes redis:// rediss://. Certificates are
        checked against the system's authorities and those in the file `?ssl_ca_certs=` names.
        A call takes `timeout` seconds at most, by default the URL's `?timeout=`, else `TIMEOUT`;
        large writes have longer. A listener pings the server after `ping_seconds` of silence.

        Raises:
            ValueError: The URL or the namespace cannot be used. The text shows no password.
        """
        if not namespace or set("{}") & set(namespace):
            raise ValueError("a namespace has at least one character, and no brace")
        self._address = parse(url, db, password, ssl=ssl)
        self._timeout = timeout or self._address.timeout or TIMEOUT
        self._ping_seconds = ping_seconds
        self._connection: RedisConnection | None = None
        self._open = True
        # A cluster chooses the slot of a key by the text between braces.
        start = f"{{{namespace}}}:"
        self._entries = f"{start}entry:"
        self._keys = [
            *(f"{start}{name}" for name in ("by-time", "by-name", "by-end", "scratch")),
            self._entries,
            f"{start}news",
        ]

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None; one command."""
        try:
            fields = await self._connected().command("get", "HMGET", self._entries + key, "v", "n")
        except StoreUnavailable as error:
            if error.reason.startswith("WRONGTYPE"):
                raise CorruptEntry(key, "it is no hash") from error
            raise
        value, version = fields
        if value is None and version is None:
            return None
        if value is None or not _is_version(version):
            raise CorruptEntry(key, "a field is missing or none of ours")
        return BackendEntry(key, value, int(version))

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one round trip a thousand."""
        connection = self._connected()
        found: list[BackendEntry] = []
        for first in range(0, len(keys), AT_ONCE):
            found += _entries(await connection.script("get", *keys[first : first + AT_ONCE]))
        return found

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove in one script.

        Where the connection breaks it may run twice, which counts a version twice.
        """
        amount = len(puts) + len(deletes)
        arguments: list[RedisArgument] = [
            len(puts),
            *(each for put in puts for each in _put_arguments(put)),
            *deletes,
        ]
        connection = self._connected()
        if amount:
            timeouts = 1 + amount // WRITES_A_TIMEOUT
            await connection.script("put", *arguments, timeouts=timeouts)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key` for `expires_in` seconds; one script."""
        arguments = (key, value, _milliseconds(expires_in))
        # A second run would find the value of the first.
        return bool(await self._connected().script("add", *arguments, again=False))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace the value `old` by `new`, or remove it if `new` is None; one script."""
        put = () if new is None else _put_arguments(WriteRequest(key, new, expires_in=expires_in))
        # A second run would find another value, that of the first.
        again = new is None or new == old
        return bool(await self._connected().script("swap", key, old, *put, again=again))

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        return bool(await self._connected().script("delete", key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`; a round trip for every 20,000."""
        found: list[str] = []
        after: str | None = None
        while True:
            bounds = _range(prefix, after)
            names = await self._connected().script("keys", *bounds, NAMES_AT_ONCE)
            found += (_text(name) for name in names)
            if len(names) < NAMES_AT_ONCE:
                return found
            after = found[-1]

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries below `prefix`, by key; one script.

        A page ends early when its values have 8 MB.
        """
        last, rows = await self._connected().script(
            "items", *_range(prefix, after), limit, BYTES_AT_ONCE
        )
        return list(_entries(rows)), None if last is None else _text(last)

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first; one script."""
        place = (after.key, after.at) if after else ()
        rows = await self._connected().script("query", *_range(prefix), prefix, limit, FEW, *place)
        return [EntryPosition(float(at), _text(name)) for name, at in rows]

    async def announcements(self) -> AsyncGenerator[WrittenKeys]:
        """Yield the keys that any client writes in this namespace; first None, for all keys.

        Raises:
            StoreUnavailable: The connection broke, or there is none.
            StoreClosed: The backend is closed.
        """
        async with aclosing(self._connected().messages("listen", self._keys[-1])) as messages:
            async for message in messages:
                yield None if message is None else _written_keys(message)

    def info(self) -> dict[str, object]:
        """Return the INFO of one node, with the memory of all masters."""
        nodes = _in_own_loop(self._connected().info())
        memory = sum(size for node in nodes if isinstance(size := node.get("used_memory"), int))
        return nodes[0] | {
            "backend": "redis",
            "memory": memory,
            "memory_human": human_size(memory),
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries below `prefix`."""
        return int(_in_own_loop(self._connected().script("count", *_range(prefix))))

    async def aclose(self) -> None:
        """Close the connections."""
        self._open = False
        if self._connection:
            await self._connection.aclose()

    def _connected(self) -> RedisConnection:
        if not self._open:
            raise StoreClosed
        if self._connection is None:
            from context7_fabric.fabric.backends.redis.connection import RedisConnection  # noqa: PLC0415  # slow

            self._connection = RedisConnection(
                self._address, self._timeout, self._keys, self._ping_seconds
            )
        return self._connection


def _in_own_loop(call: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of `call`, which runs in an event loop and a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, call).result()


def _put_arguments(put: WriteRequest) -> tuple[RedisArgument, ...]:
    """Return name, value, time and lifetime of one entry, as `put.lua` takes them."""
    if put.expires_in is not None:
        lifetime: RedisArgument = _milliseconds(put.expires_in)
    else:
        lifetime = LIFETIME_MS if put.disposable else ""
    return put.key, put.value, put.at, lifetime


def _milliseconds(seconds: float) -> int:
    return int(max(-1, min(seconds * 1000, _LONGEST_MS)))


def _range(prefix: str, after: str | None = None) -> tuple[bytes, bytes]:
    """Return both ends of the names that begin with `prefix`, as ZRANGEBYLEX takes them.

    UTF-8 has no byte 255. Text that is not valid Unicode is encoded to what no name begins with.
    """
    start = prefix.encode(errors="surrogatepass")
    low = b"[" + start if after is None else b"(" + after.encode(errors="surrogatepass")
    return low, b"(" + start + b"\xff"


def _written_keys(message: bytes) -> WrittenKeys:
    """Return the keys in a message; one in another form may mean any key."""
    try:
        keys = json.loads(message)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(keys, list) and all(isinstance(each, str) for each in keys)
    return tuple(keys) if is_list and keys else None


def _entries(rows: Sequence[tuple[bytes, bytes, bytes]]) -> Iterator[BackendEntry]:
    for name, value, version in rows:
        if _is_version(version):
            yield BackendEntry(_text(name), value, int(version))


def _text(name: bytes) -> str:
    """Return a name as text; a foreign name that is not UTF-8 becomes one without an entry."""
    return name.decode(errors="replace")


def _is_version(version: bytes | None) -> bool:
    return version is not None and version.isdigit()

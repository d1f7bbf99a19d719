"""A backend in Redis, for machines that share a cache: one server or a cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, EntryPosition, WriteRequest, Written, human
from context7_fabric.fabric.backends.redis import scripts
from context7_fabric.redis_url import parse

if TYPE_CHECKING:
    from context7_fabric.fabric.backends.redis.connection import RedisArgument, RedisConnection

NAMESPACE = "context7-fabric"
TIMEOUT = 1.0

AT_ONCE = 1000
"""Entries that are read in one round trip."""

NAMES_AT_ONCE = 20_000
"""Names that are read in one round trip."""

BYTES_AT_ONCE = 8 * 2**20
"""Bytes of values after which a page of `items` ends, so that Redis need not hold more of them."""

WRITES_A_TIMEOUT = 10_000
"""Writes at once for which one time-out is enough; more have more time."""

LIFETIME_MS = 2 * 365 * 24 * 3600 * 1000
"""How long a disposable entry stays that has no end of its own."""

_LONGEST_MS = 2**50
"""Thirty thousand years; with much more Redis's times overflow."""


class RedisBackend:
    """Entries in Redis 6.2 or newer, shared by everybody with the same address and namespace.

    Each entry that is disposable has an end, two years ahead where none was given; those that are
    authored have none. So a server with `maxmemory-policy volatile-lru` makes room by dropping
    disposable entries only, and authored ones that were given an end. How many authored ones there
    may be, its `maxmemory` bounds: nothing here counts them. (Other policies: with `noeviction` a
    full server refuses what is stored, with `allkeys-…` it drops what stays as well, and indexes.)

    In a cluster all of a namespace lies in one slot, hence on one node: that is what makes a write
    of several entries atomic. To spread over nodes, use several namespaces.

    What Redis evicted by itself may be counted and named for a while, but is never read as if it
    were there.
    """

    def __init__(
        self,
        url: str,
        *,
        db: int | None = None,
        password: str | None = None,
        ssl: bool = False,
        namespace: str = NAMESPACE,
        timeout: float = TIMEOUT,
    ) -> None:
        """Use the server at `url`: redis://, rediss:// (TLS) or unix://; nothing is opened yet.

        `db` and `password` override the URL's; `ssl` makes redis:// rediss://. Certificates are
        checked against the system's authorities and those in the file `?ssl_ca_certs=` names.
        A call takes `timeout` seconds at most; large writes have longer.

        Raises:
            ValueError: The URL cannot be used, or the namespace. The text shows no password.
        """
        if not namespace or set("{}") & set(namespace):
            raise ValueError("a namespace has at least one character, and no brace")
        self._address = parse(url, db, password, ssl=ssl)
        self._timeout = timeout
        self._opened: RedisConnection | None = None
        self._open = True
        # Braces make a cluster place keys by what stands between them.
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
            fields = await self._link().command("get", "HMGET", self._entries + key, "v", "n")
        except StoreUnavailable as error:
            if error.reason.startswith("WRONGTYPE"):
                raise CorruptEntry(key, "it is no hash") from error
            raise
        value, version = fields
        if value is None and version is None:
            return None
        if value is None or not _counts(version):
            raise CorruptEntry(key, "a field is missing or none of ours")
        return BackendEntry(key, value, int(version))

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one round trip a thousand."""
        link = self._link()
        found: list[BackendEntry] = []
        for first in range(0, len(keys), AT_ONCE):
            part = keys[first : first + AT_ONCE]
            found += _entries(await link.script("get", scripts.READ, *part))
        return found

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove in one script.

        Where a connection breaks meanwhile it may run twice, which counts a version twice.
        """
        amount = len(puts) + len(deletes)
        arguments: list[RedisArgument] = [
            len(puts),
            *(each for put in puts for each in _stored(put)),
            *deletes,
        ]
        timeouts = 1 + amount // WRITES_A_TIMEOUT
        link = self._link()
        if amount:
            await link.script("put", scripts.WRITE, *arguments, timeouts=timeouts)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is, for `expires_in` seconds; one script."""
        arguments = (key, value, _milliseconds(expires_in))
        # Run twice, it would find what it stored itself.
        return bool(await self._link().script("add", scripts.ADD, *arguments, again=False))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that; one script."""
        put = () if new is None else _stored(WriteRequest(key, new, expires_in=expires_in))
        # Run twice, it would find what it stored itself, if that is another value.
        again = new is None or new == old
        arguments = (key, old, *put)
        return bool(await self._link().script("swap", scripts.SWAP, *arguments, again=again))

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return bool(await self._link().script("delete", scripts.DELETE, key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`; a round trip for every 20,000."""
        found: list[str] = []
        after: str | None = None
        while True:
            bounds = _range(prefix, after)
            names = await self._link().script("keys", scripts.NAMES, *bounds, NAMES_AT_ONCE)
            found += (_text(name) for name in names)
            if len(names) < NAMES_AT_ONCE:
                return found
            after = found[-1]

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries whose keys begin with `prefix`; one script.

        A page ends early when its values have 8 MB.
        """
        last, rows = await self._link().script(
            "items", scripts.ITEMS, *_range(prefix, after), limit, BYTES_AT_ONCE
        )
        return list(_entries(rows)), None if last is None else _text(last)

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first; one script."""
        place = (after.key, after.at) if after else ()
        rows = await self._link().script(
            "query", scripts.NEWEST, *_range(prefix), prefix, limit, scripts.FEW, *place
        )
        return [EntryPosition(float(at), _text(name)) for name, at in rows]

    async def announcements(self) -> AsyncGenerator[Written]:
        """Yield what is written in this namespace, by whomever; first that anything may have been.

        Raises:
            StoreUnavailable: The connection broke, or there is none.
            StoreClosed: The backend is closed.
        """
        async with aclosing(self._link().messages("listen", self._keys[-1])) as messages:
            async for message in messages:
                yield None if message is None else _names(message)

    def info(self) -> dict[str, object]:
        """Tell what Redis tells of itself; of a cluster one node, and the memory of all masters."""
        nodes = self._link().info()
        memory = sum(size for node in nodes if isinstance(size := node.get("used_memory"), int))
        return nodes[0] | {"backend": "redis", "memory": memory, "memory_human": human(memory)}

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        link = self._link()
        return int(link.script_blocking("count", scripts.COUNT, *_range(prefix)))

    async def aclose(self) -> None:
        """Close the connections."""
        self._open = False
        if self._opened:
            await self._opened.aclose()

    def _link(self) -> RedisConnection:
        if not self._open:
            raise StoreClosed
        if self._opened is None:
            from context7_fabric.fabric.backends.redis.connection import RedisConnection  # noqa: PLC0415  # slow

            self._opened = RedisConnection(self._address, self._timeout, self._keys)
        return self._opened


def _stored(put: WriteRequest) -> tuple[RedisArgument, ...]:
    """Return what `scripts.WRITE` takes for one entry."""
    if put.expires_in is not None:
        lifetime: RedisArgument = _milliseconds(put.expires_in)
    else:
        lifetime = LIFETIME_MS if put.disposable else ""
    return put.key, put.value, put.at, lifetime


def _milliseconds(seconds: float) -> int:
    return int(max(-1, min(seconds * 1000, _LONGEST_MS)))


def _range(prefix: str, after: str | None = None) -> tuple[bytes, bytes]:
    """Return both ends of the names that begin with `prefix`, as ZRANGEBYLEX takes them.

    UTF-8 has no byte 255. What is no Unicode is encoded somehow: no name is like it.
    """
    start = prefix.encode(errors="surrogatepass")
    low = b"[" + start if after is None else b"(" + after.encode(errors="surrogatepass")
    return low, b"(" + start + b"\xff"


def _names(message: bytes) -> Written:
    """Return the keys that a message tells; one in another form may mean anything."""
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(told, list) and all(isinstance(each, str) for each in told)
    return tuple(told) if is_list and told else None


def _entries(rows: Sequence[tuple[bytes, bytes, bytes]]) -> Iterator[BackendEntry]:
    for name, value, version in rows:
        if _counts(version):
            yield BackendEntry(_text(name), value, int(version))


def _text(name: bytes) -> str:
    """Return a name; of one that is none of ours, and no text, something that nothing is under."""
    return name.decode(errors="replace")


def _counts(version: bytes | None) -> bool:
    return version is not None and version.isdigit()

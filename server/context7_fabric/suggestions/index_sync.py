"""Synchronisation of one principal's vector index with its rows, in batches.

Only the keys of changed rows are remembered, and a batch has the rows as they are when it is sent,
so any number of changes to one row costs one write. Stored vectors are reused, and the vectors
that the worker computes are stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any, Protocol

import anyio

from context7_fabric.errors import FabricError
from context7_fabric.registry.rows import Row, row_value
from context7_fabric.suggestions.worker.wire import Message, vector_from_wire, vector_to_wire

log = logging.getLogger(__name__)

_BATCH = 16  # rows that the worker embeds in a tenth of a second or two: a question may wait
_BATCH_SECONDS = 60.0
_DIGEST = 16
_MOST_REFUSED = 3
"""Refused rows in a row after which the fault is the worker's, not theirs."""

_STALE = 4
"""Entries of the heap for each held row before the heap is rebuilt."""


class MostUsed:
    """Keys of the rows used most, at most `bound` of them."""

    def __init__(self, bound: int | None) -> None:
        """Hold `bound` keys; None for no bound."""
        self._bound = bound
        self._used: dict[str, int] = {}
        self._least: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._used)

    def __contains__(self, key: str) -> bool:
        return key in self._used

    def keys(self) -> list[str]:
        """Return the keys held."""
        return list(self._used)

    def offer(self, key: str, used: int) -> str | None:
        """Hold `key` if it is used enough; return the key that has to go, if any."""
        self._used[key] = used
        if self._bound is None:
            return None
        heappush(self._least, (used, key))
        if len(self._least) > _STALE * self._bound:
            self._least = [(used, key) for key, used in self._used.items()]
            heapify(self._least)
        return self._drop_least() if len(self._used) > self._bound else None

    def drop(self, key: str) -> bool:
        """Remove `key`; return whether it was held."""
        return self._used.pop(key, None) is not None

    def _drop_least(self) -> str:
        while True:
            used, key = heappop(self._least)
            if self._used.get(key) == used:
                del self._used[key]
                return key


class VectorStore(Protocol):
    """Store of vectors by row key; the bytes are opaque to it."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the stored values of these rows, without those that have none."""
        ...

    async def save(self, vectors: dict[str, bytes]) -> None:
        """Store a value for each of these rows."""
        ...


class WorkerRequests(Protocol):
    """Worker that answers requests, such as `WorkerProcess`."""

    async def request(self, do: str, seconds: float, **details: Any) -> Message | None:  # noqa: ANN401  # JSON
        """Return the reply to a request, which may be an `error`; None if none came."""
        ...

    def end(self) -> None:
        """Give up on it."""
        ...


class WorkerGone(Exception):
    """The worker ended, or fails its requests."""


class IndexSync:
    """Rows that the index of one principal should hold, and the changes still to be written."""

    def __init__(
        self,
        principal: str,
        row: Callable[[str], Row | None],
        vectors: VectorStore,
        most_rows: int | None,
    ) -> None:
        """Write the `most_rows` most used rows of `principal`; `row` returns a row by its key."""
        self.principal = principal
        self._row = row
        self._vectors = vectors
        self._most_used = MostUsed(most_rows)
        self._changed: dict[str, None] = {}
        self._more = anyio.Event()
        self._kept = False
        self._writing = False
        self._filled = False
        self._complete = False
        self._refused = 0
        self.released = False
        """True once the index is not used any more."""

    def __len__(self) -> int:
        """Return the number of rows that the index should hold."""
        return len(self._most_used)

    @property
    def complete(self) -> bool:
        """True if the index can be queried, as it has been filled once."""
        return self._kept and self._complete

    @property
    def settled(self) -> bool:
        """True if the index equals the rows."""
        return self._kept and self._filled and not self._writing and not self._changed

    def put(self, row: Row) -> None:
        """Note that `row` is new or changed."""
        out = self._most_used.offer(row.key, row.usage_count)
        self._note(row.key)
        if out is not None:
            self._note(out)

    def remove(self, key: str) -> None:
        """Note that the row `key` is gone."""
        if self._most_used.drop(key):
            self._note(key)

    def refill(self) -> None:
        """Have the index rebuilt; it can be queried meanwhile."""
        self._filled = False
        self._more.set()

    async def keep(
        self, worker: WorkerRequests, model: str, on_settled: Callable[[], None]
    ) -> None:
        """Fill the index in `worker`, then keep it in step, until cancelled.

        Calls `on_settled` each time it is settled. Ends a worker that fails its requests.
        """
        self._complete = self._filled = False
        self._kept, self._refused = True, 0
        try:
            while True:
                self._more = anyio.Event()
                self._writing = True
                await self._write_changes(worker, model)
                self._writing = False
                on_settled()
                await self._more.wait()
        except WorkerGone as error:
            log.info("the worker is given up: %s", error)
            worker.end()
        finally:
            self._kept = False

    def _note(self, key: str) -> None:
        if self._kept:  # the next worker gets all rows anyway
            self._changed[key] = None
            self._more.set()

    async def _write_changes(self, worker: WorkerRequests, model: str) -> None:
        while not self._filled:
            await self._fill(worker, model)
        while self._changed:
            await self._write_some(worker, model)

    async def _fill(self, worker: WorkerRequests, model: str) -> None:
        """Write all rows, then have the worker remove all others."""
        self._filled = True  # until the next `refill`
        before = await self._ask(worker, "rebuild")
        # An index on a server holds rows already, and can be queried meanwhile.
        self._complete = before["count"] > 0
        self._changed = dict.fromkeys(self._most_used.keys())
        while self._changed:
            await self._write_some(worker, model)
        await self._ask(worker, "settle")
        self._complete = True

    async def _write_some(self, worker: WorkerRequests, model: str) -> None:
        keys = list(islice(self._changed, _BATCH))
        for key in keys:
            del self._changed[key]
        held = {key: self._row(key) for key in keys if key in self._most_used}
        rows = [row for row in held.values() if row is not None]
        gone = set(keys) - {row.key for row in rows}
        if gone:
            await self._ask(worker, "delete", keys=sorted(gone))
        if rows:
            await self._write(worker, model, rows)

    async def _write(self, worker: WorkerRequests, model: str, rows: Sequence[Row]) -> None:
        """Write `rows`; those that the index refuses are found by bisection and left out."""
        known = await self._known(model, rows)
        reply = await worker.request(
            "upsert",
            _BATCH_SECONDS,
            principal=self.principal,
            rows=[row_value(row) for row in rows],
            vectors={key: vector_to_wire(vector) for key, vector in known.items()},
        )
        if reply is None:
            raise WorkerGone("no reply to a batch")
        if "error" not in reply:
            self._refused = 0
            await self._store(model, rows, reply["vectors"])
        elif len(rows) > 1:
            half = len(rows) // 2
            await self._write(worker, model, rows[:half])
            await self._write(worker, model, rows[half:])
        else:
            self._refuse(rows[0], reply["error"])

    def _refuse(self, row: Row, why: str) -> None:
        self._refused += 1
        if self._refused >= _MOST_REFUSED:
            raise WorkerGone(f"it refuses every row: {why}")
        log.warning("the index refuses %s: %s", row.key, why)

    async def _ask(self, worker: WorkerRequests, do: str, **details: Any) -> Message:  # noqa: ANN401  # JSON
        reply = await worker.request(do, _BATCH_SECONDS, principal=self.principal, **details)
        if reply is None or "error" in reply:
            raise WorkerGone(f"{do}: {reply['error'] if reply else 'no reply'}")
        return reply

    async def _known(self, model: str, rows: Sequence[Row]) -> dict[str, bytes]:
        """Return the stored vectors that `model` made of the current texts of `rows`."""
        try:
            stored = await self._vectors.load([row.key for row in rows])
        except FabricError as error:
            log.warning("stored vectors cannot be read: %s", error)
            return {}
        return {
            row.key: value[_DIGEST:]
            for row in rows
            if (value := stored.get(row.key)) and value[:_DIGEST] == _digest(model, row)
        }

    async def _store(self, model: str, rows: Sequence[Row], made: dict[str, str]) -> None:
        values = {
            row.key: _digest(model, row) + vector_from_wire(made[row.key])
            for row in rows
            if row.key in made
        }
        try:
            if values:
                await self._vectors.save(values)
        except FabricError as error:
            log.warning("vectors cannot be stored: %s", error)


def _digest(model: str, row: Row) -> bytes:
    text = f"{model}\0{row.text}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=_DIGEST).digest()

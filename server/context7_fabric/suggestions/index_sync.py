"""Keeps one principal's index equal to its rows: what changed is written, in batches.

Only the keys of changed rows are remembered; a batch is made of the rows as they are when it is
sent, so that any number of changes to one row cost one write. Vectors are taken from where they
are stored; those that the worker had to compute are stored.
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
from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.worker.wire import (
    Message,
    row_to_wire,
    vector_from_wire,
    vector_to_wire,
)

_STALE = 4
"""How many entries of the heap a held row may cause before it is made anew."""


class MostUsed:
    """The keys of the rows used most, at most `bound` of them."""

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
        """Hold `key` if it is used enough; return the key that has no place then, if any."""
        self._used[key] = used
        if self._bound is None:
            return None
        heappush(self._least, (used, key))
        self._tidy()
        return self._drop_least() if len(self._used) > self._bound else None

    def drop(self, key: str) -> bool:
        """Let go of `key`; tell whether it was held."""
        return self._used.pop(key, None) is not None

    def _drop_least(self) -> str:
        while True:
            used, key = heappop(self._least)
            if self._used.get(key) == used:
                del self._used[key]
                return key

    def _tidy(self) -> None:
        """Forget entries that later ones took the place of, once there are many."""
        if self._bound is not None and len(self._least) > _STALE * self._bound:
            self._least = [(used, key) for key, used in self._used.items()]
            heapify(self._least)


log = logging.getLogger(__name__)

_BATCH = 16  # what the worker embeds in a tenth of a second or two: a question may wait for it
_BATCH_SECONDS = 60.0
_DIGEST = 16
_MOST_REFUSED = 3
"""After so many rows refused one after the other it is not the rows' fault."""


class VectorStore(Protocol):
    """Where vectors are stored, beside the rows they belong to; what the bytes mean is ours."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is stored for these rows, leaving out those for which nothing is."""
        ...

    async def save(self, vectors: dict[str, bytes]) -> None:
        """Store a value for each of these rows."""
        ...


class WorkerRequests(Protocol):
    """A worker that can be asked, as `Link` is one."""

    async def request(self, do: str, seconds: float, **details: Any) -> Message | None:  # noqa: ANN401  # JSON
        """Return the reply to a request, which may be an `error`, or None when none came."""
        ...

    def end(self) -> None:
        """Give up on it."""
        ...


class WorkerGone(Exception):
    """The worker ended, or does not do its work."""


class IndexSync:
    """What the index of one principal should hold, and what of it has still to be written."""

    def __init__(
        self,
        principal: str,
        row: Callable[[str], Row | None],
        vectors: VectorStore,
        most_rows: int | None,
    ) -> None:
        """Write what `row` gives for a key, for the `most_rows` most used rows of `principal`."""
        self.principal = principal
        self._row = row
        self._vectors = vectors
        self._shortlist = MostUsed(most_rows)
        self._changed: dict[str, None] = {}
        self._more = anyio.Event()
        self._kept = False
        self._writing = False
        self._filled = False
        self._complete = False
        self._refused = 0
        self.left = False
        """Whether nobody asks the index any more."""

    def __len__(self) -> int:
        """Tell how many rows the index should hold."""
        return len(self._shortlist)

    @property
    def complete(self) -> bool:
        """Tell whether the index at hand can be asked: it has been filled once."""
        return self._kept and self._complete

    @property
    def settled(self) -> bool:
        """Tell whether the index at hand equals the rows."""
        return self._kept and self._filled and not self._writing and not self._changed

    def put(self, row: Row) -> None:
        """Note that `row` is new or changed."""
        out = self._shortlist.offer(row.key, row.usage_count)
        self._note(row.key)
        if out is not None:
            self._note(out)

    def remove(self, key: str) -> None:
        """Note that the row `key` is no more."""
        if self._shortlist.drop(key):
            self._note(key)

    def refill(self) -> None:
        """Have the index rebuilt; it can be asked meanwhile."""
        self._filled = False
        self._more.set()

    async def keep(self, link: WorkerRequests, model: str, told: Callable[[], None]) -> None:
        """Fill the index of the worker at `link`, then keep it in step, until cancelled.

        Calls `told` whenever it is settled. Ends the link of a worker that does not do its work.
        """
        self._complete = self._filled = False
        self._kept, self._refused = True, 0
        try:
            while True:
                self._more = anyio.Event()
                self._writing = True
                await self._write_changes(link, model)
                self._writing = False
                told()
                await self._more.wait()
        except WorkerGone as error:
            log.info("the worker is given up: %s", error)
            link.end()
        finally:
            self._kept = False

    def _note(self, key: str) -> None:
        if self._kept:  # the next worker is given everything anyway
            self._changed[key] = None
            self._more.set()

    async def _write_changes(self, link: WorkerRequests, model: str) -> None:
        while not self._filled:
            await self._fill(link, model)
        while self._changed:
            await self._write_some(link, model)

    async def _fill(self, link: WorkerRequests, model: str) -> None:
        """Write all rows, then have the worker remove what is not among them."""
        self._filled = True  # until somebody asks for another time
        before = await self._ask(link, "rebuild")
        # An index that is not the worker's own holds rows already, and can be asked meanwhile.
        self._complete = before["count"] > 0
        self._changed = dict.fromkeys(self._shortlist.keys())
        while self._changed:
            await self._write_some(link, model)
        await self._ask(link, "settle")
        self._complete = True

    async def _write_some(self, link: WorkerRequests, model: str) -> None:
        keys = list(islice(self._changed, _BATCH))
        for key in keys:
            del self._changed[key]
        held = {key: self._row(key) for key in keys if key in self._shortlist}
        rows = [row for row in held.values() if row is not None]
        gone = set(keys) - {row.key for row in rows}
        if gone:
            await self._ask(link, "delete", keys=sorted(gone))
        if rows:
            await self._write(link, model, rows)

    async def _write(self, link: WorkerRequests, model: str, rows: Sequence[Row]) -> None:
        """Write `rows`; those that the index refuses are found by halves, and left out."""
        known = await self._known(model, rows)
        reply = await link.request(
            "upsert",
            _BATCH_SECONDS,
            principal=self.principal,
            rows=[row_to_wire(row) for row in rows],
            vectors={key: vector_to_wire(vector) for key, vector in known.items()},
        )
        if reply is None:
            raise WorkerGone("no reply to a batch")
        if "error" not in reply:
            self._refused = 0
            await self._store(model, rows, reply["vectors"])
        elif len(rows) > 1:
            half = len(rows) // 2
            await self._write(link, model, rows[:half])
            await self._write(link, model, rows[half:])
        else:
            self._refuse(rows[0], reply["error"])

    def _refuse(self, row: Row, why: str) -> None:
        self._refused += 1
        if self._refused >= _MOST_REFUSED:
            raise WorkerGone(f"it refuses everything: {why}")
        log.warning("the index does not take %s: %s", row.key, why)

    async def _ask(self, link: WorkerRequests, do: str, **details: Any) -> Message:  # noqa: ANN401  # JSON
        reply = await link.request(do, _BATCH_SECONDS, principal=self.principal, **details)
        if reply is None or "error" in reply:
            raise WorkerGone(f"{do}: {reply['error'] if reply else 'no reply'}")
        return reply

    async def _known(self, model: str, rows: Sequence[Row]) -> dict[str, bytes]:
        """Return the stored vectors that were made of these very texts by this very model."""
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

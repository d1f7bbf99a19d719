"""Suggestions: libraries that a phrase without a name may mean, ranked, never decided.

Two rankings are combined: the share of the phrase's words in a row, and the similarity of their
embeddings. Each finds what the other misses: a misspelt name has no meaning, and a paraphrase
shares no word. Without the worker the words alone decide, and the result says so.
"""

from __future__ import annotations

import base64
from binascii import Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.bm25 import WordIndex, WordScores
from context7_fabric.suggestions.index_sync import IndexSync, VectorStore
from context7_fabric.suggestions.worker_client import WorkerClient, WorkerState

POOL = 50
"""Rows of each ranking that are considered."""

LONGEST_PHRASE = 500
"""Characters of a phrase that count; the model reads no more anyway."""

LEAST_BY_WORDS, LEAST_BY_VECTORS = 0.05, 0.15
"""Scores below which a row is unrelated to the phrase: no right one had less."""

_AT_ONCE = 16
"""Rows taken in before the event loop gets its turn: a millisecond or two of work."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Row that may be meant; `score` is between 0 and 1."""

    row: Row
    score: float


Method = Literal["vectors", "words"]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Candidates, the best first, and the method that ranked them; none if no row is alike."""

    candidates: tuple[Candidate, ...]
    method: Method


class Suggester:
    """Ranking of the registry's rows for phrases; starts at the first phrase."""

    def __init__(
        self,
        tasks: TaskGroup,
        rows: Callable[[], Iterable[Row]],
        vectors: VectorStore,
        worker: WorkerClient,
        principal: str,
    ) -> None:
        """Rank the result of `rows`, all rows that `principal` may see; work in `tasks`.

        `vectors` stores the vectors; `worker` has an index of the rows, beside those of other
        principals.
        """
        self._tasks = tasks
        self._source = rows
        self._settings = worker.settings
        self._words = WordIndex()
        self._index = IndexSync(principal, self._words.get, vectors, self._settings.most_rows)
        self._worker = worker
        self._pending: dict[str, Row | None] = {}
        self._begun = False
        self._loaded = anyio.Event()

    @property
    def trouble(self) -> str | None:
        """Reason why only words decide, if there is one."""
        return self._worker.trouble

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, None if none is ready."""
        return self._worker.pid

    @property
    def state(self) -> WorkerState:
        """State of the index of these rows."""
        return self._worker.state(self._index) if self._settings.enabled else "off"

    async def suggest(self, text: str, limit: int = 5) -> Suggestions:
        """Return up to `limit` candidates for `text`; never waits long, never fails."""
        text = text[:LONGEST_PHRASE].strip()
        if not text:
            return Suggestions((), "words")
        self._begin()
        with anyio.move_on_after(self._settings.patience):
            await self._loaded.wait()
        near = await self._worker.nearest(self._index, text, POOL)
        shares = self._words.match(text)
        if near is None:
            ranked = [Candidate(row, share) for row, share in shares.best(limit)]
            return _suggestions(ranked, LEAST_BY_WORDS, "words")
        return _suggestions(self._fused(shares, dict(near))[:limit], LEAST_BY_VECTORS, "vectors")

    async def learn(self, rows: Sequence[Row]) -> None:
        """Add rows that are new or changed; the constructor's `rows` returns them as well."""
        await self._change({row.key: row for row in rows})

    async def forget(self, keys: Iterable[str]) -> None:
        """Remove the rows `keys`; the constructor's `rows` does not return them any more."""
        await self._change(dict.fromkeys(keys))

    async def indexed(self) -> int | None:
        """Return the number of rows in the index, None if no worker has it ready."""
        return await self._worker.count(self._index)

    async def settle(self, seconds: float) -> bool:
        """Wait until the index equals the rows; False if it does not within `seconds`."""
        self._begin()
        deadline = anyio.current_time() + seconds
        with anyio.move_on_after(seconds):
            await self._loaded.wait()
        return await self._worker.settle(self._index, deadline - anyio.current_time())

    async def fetch_model(self) -> None:
        """Download the model if it is missing and the settings allow it; never fails."""
        await self._worker.fetch()

    def rebuild(self) -> None:
        """Have the index rebuilt from the rows and their stored vectors; queries go on."""
        self._index.refill()

    def close(self) -> None:
        """Release the index; from now on words alone rank."""
        self._worker.release(self._index)

    def _fused(self, shares: WordScores, near: Mapping[str, float]) -> list[Candidate]:
        """Rank by the mean of both; a row that is not near gets the lowest score of near ones."""
        found = {row.key: row for row, _ in shares.best(POOL)}
        found |= {key: row for key in near if (row := self._words.get(key)) is not None}
        farthest = min(near.values(), default=0.0)
        ranked = [
            Candidate(row, (max(near.get(key, farthest), 0.0) + shares.of(key)) / 2)
            for key, row in found.items()
        ]
        return sorted(ranked, key=lambda each: (-each.score, each.row.key))

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._tasks.start_soon(self._load)

    async def _load(self) -> None:
        """Add all rows; a row that changes meanwhile waits, and replaces the older one."""
        for at, row in enumerate(list(self._source())):
            if row.key not in self._pending:
                self._take(row.key, row)
            if at % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        await self._take_pending()
        self._loaded.set()

    async def _change(self, rows: Mapping[str, Row | None]) -> None:
        if self._settings.qdrant_url is not None:
            self._begin()  # other programs may read a server's index, so it is always kept in step
            self._worker.ensure(self._index)
        if self._begun:
            self._pending |= rows
        if self._loaded.is_set():
            await self._take_pending()

    async def _take_pending(self) -> None:
        while self._pending:
            for key in list(islice(self._pending, _AT_ONCE)):
                self._take(key, self._pending.pop(key))
            await anyio.lowlevel.checkpoint()

    def _take(self, key: str, row: Row | None) -> None:
        if row is None:
            self._words.remove(key)
            self._index.remove(key)
        else:
            self._words.put(row)
            self._index.put(row)


def _suggestions(ranked: Iterable[Candidate], least: float, method: Method) -> Suggestions:
    return Suggestions(tuple(each for each in ranked if each.score >= least), method)


class StoredRowVectors:
    """Stored vectors of one embedding model, by row key."""

    def __init__(self, fabric: Fabric, model: str) -> None:
        """Keep the vectors of `model` in `fabric`'s GLOBAL scope."""
        self._fabric = fabric
        self._prefix = f"vector:{sha256(model.encode()).hexdigest()[:12]}:"

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the stored vectors of the rows `keys`, without missing ones."""
        found = await self._fabric.get_many([self._prefix + key for key in keys])
        vectors = {each.key.removeprefix(self._prefix): _bytes(each.value) for each in found}
        return {key: vector for key, vector in vectors.items() if vector}

    async def save(self, vectors: Mapping[str, bytes]) -> None:
        """Store `vectors`, all or none."""
        values: dict[str, Json] = {
            self._prefix + key: base64.b64encode(vector).decode() for key, vector in vectors.items()
        }
        if values:
            await self._fabric.set_many(values)


def _bytes(value: Json) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except Error:
        return b""

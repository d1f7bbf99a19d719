"""Keeps a worker's index equal to the rows: what changed is written, in batches, when it can be.

Only the keys of changed rows are remembered; a batch is made of the rows as they are when it is
sent, so that any number of changes to one row cost one write. Vectors are taken from where they
are stored; those that the worker had to compute are stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Protocol

import anyio

from context7_fabric.registry.rows import Row
from context7_fabric.registry.worker.link import Link
from context7_fabric.registry.worker.shortlist import Shortlist
from context7_fabric.registry.worker.wire import row_to_wire, vector_from_wire, vector_to_wire

log = logging.getLogger(__name__)

_BATCH = 64
_BATCH_SECONDS = 60.0
_DIGEST = 16
_MOST_REFUSED = 3


class Vectors(Protocol):
    """Where vectors are stored, beside the rows they belong to; values mean nothing to it."""

    async def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is stored for rows, leaving out those for which nothing is."""
        ...

    async def save(self, vectors: dict[str, bytes]) -> None:
        """Store a value for each of some rows."""
        ...


class Gone(Exception):
    """The worker ended, or does not do its work."""


class Mirror:
    """What an index should hold, and what of it has still to be written."""

    def __init__(
        self, row: Callable[[str], Row | None], vectors: Vectors, most_rows: int | None
    ) -> None:
        """Write what `row` gives for a key, of the `most_rows` most used rows."""
        self._row = row
        self._vectors = vectors
        self._shortlist = Shortlist(most_rows)
        self._changed: dict[str, None] = {}
        self._more = anyio.Event()
        self._refused = 0
        self.complete = False
        """Whether the index of the worker at hand has been filled."""

    @property
    def settled(self) -> bool:
        """Tell whether that index equals the rows, as far as this process knows."""
        return self.complete and not self._changed

    def put(self, row: Row) -> None:
        """Note that `row` is new or changed."""
        out = self._shortlist.offer(row.key, row.usage_count)
        if out != row.key:
            self._note(row.key)
        if out is not None:
            self._note(out)

    def remove(self, key: str) -> None:
        """Note that the row `key` is no more."""
        if self._shortlist.drop(key):
            self._note(key)

    async def keep(self, link: Link, model: str) -> None:
        """Fill the index of the worker at `link`, then keep it in step; returns at its end.

        Raises:
            Gone: It does not do its work.
        """
        self.complete, self._refused = False, 0
        try:
            await self._fill(link, model)
            while not link.ended.is_set():
                await self._write_changes(link, model)
                await self._wait(link)
        finally:
            self.complete = False

    async def _fill(self, link: Link, model: str) -> None:
        """Write all rows, then have the worker remove what is not among them."""
        there = await _ask(link, "rebuild")
        # An index that is not the worker's own holds rows already, and can be asked meanwhile.
        self.complete = there["count"] > 0
        self._changed = dict.fromkeys(self._shortlist.keys())
        await self._write_changes(link, model)
        await _ask(link, "settle")
        self.complete = True

    async def _write_changes(self, link: Link, model: str) -> None:
        while self._changed:
            keys = list(islice(self._changed, _BATCH))
            gone = [key for key in keys if self._held(key) is None]
            if gone:
                await _ask(link, "delete", keys=gone)
            await self._write(link, model, [row for key in keys if (row := self._held(key))])
            ...

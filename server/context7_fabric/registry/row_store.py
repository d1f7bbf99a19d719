"""The registry's rows in the fabric: those that upstream taught, by the principal that was taught.

Seeds are not stored: their file is read again, and a row that was stored takes a seed's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from typing import NamedTuple
from urllib.parse import quote
from uuid import uuid4

import anyio
from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from context7_fabric.errors import StoreError
from context7_fabric.fabric.change_feed import ChangeListener
from context7_fabric.fabric.context import Context, Json, Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.keys import bounded
from context7_fabric.registry.rows import Row

ROWS = "row:"
REVISION = "rows:revision"
"""What is written with every row, and when rows are removed."""

WRITTEN = (address(Scope.GLOBAL, ROWS), address(Scope.GLOBAL, REVISION))
"""Where in a medium something is written whenever rows change."""

MOST_ROWS = 100_000
"""Rows that are held in memory; a library beyond them is looked up at Context7 again."""

MARGIN = 1.25
"""How many times as many may be there for a while, until the least used are let go."""


@cache
def _form() -> TypeAdapter[Row]:
    """Return what reads a row; to make it takes a while, which no start has to wait for."""
    return TypeAdapter(Row)


class RowsRevision(NamedTuple):
    """How the rows stand: how often they were written, as far as that is known, and a mark."""

    version: int
    mark: bytes


NEVER = RowsRevision(0, b"")
"""How they stand where none was ever written."""


class _Seen:
    """Rows as they are read: those that a principal sees, and of too many the most used."""

    def __init__(self, principal: str, most: int) -> None:
        self._principal = principal
        self._most = most
        self._public: dict[str, Row] = {}
        self._own: dict[str, Row] = {}

    def add(self, contexts: Sequence[Context]) -> None:
        for owner, row in _rows(contexts):
            if owner == self._principal:
                self._own[row.key] = row
            elif owner == PUBLIC:
                self._public[row.key] = row
        for each in (self._public, self._own):
            if len(each) > MARGIN * self._most:
                self._cut(each)

    def rows(self) -> dict[str, Row]:
        rows = self._public | self._own
        self._cut(rows)
        return rows

    def _cut(self, rows: dict[str, Row]) -> None:
        for row in sorted(rows.values(), key=_use)[: -self._most]:
            del rows[row.key]


def _use(row: Row) -> tuple[int, float]:
    return row.usage_count, row.last_verified or 0.0


class RowStore:
    """The rows that one principal may see: the public ones and its own."""

    def __init__(self, fabric: Fabric, principal: str, ear: ChangeListener | None = None) -> None:
        """Keep rows in `fabric`'s GLOBAL scope; an `ear` for `WRITTEN` tells what was written."""
        self._fabric = fabric
        self._ear = ear
        self._unread = frozenset[str]()  # keys that were heard, whose reading was cut short
        self._principal = principal

    @property
    def hears(self) -> bool:
        """Tell whether `changed` knows which rows are written, by whomever."""
        return self._ear is not None and self._ear.is_live

    async def load(self) -> dict[str, Row]:
        """Return the rows by their key, one's own before public ones; the `MOST_ROWS` most used.

        Raises:
            StoreError: Not all of them can be read.
        """
        seen = _Seen(self._principal, MOST_ROWS)
        async for contexts in self._fabric.scan(ROWS, whole=True):
            await to_thread.run_sync(seen.add, contexts)
        return await to_thread.run_sync(seen.rows)

    async def wait(self, seconds: float) -> None:
        """Return when rows were written, as far as it is heard; after `seconds` at most."""
        if self._ear is None:
            await anyio.sleep(seconds)
        else:
            await self._ear.wait(seconds, alone=seconds)

    async def changed(self) -> dict[str, Row] | None:
        """Return the rows, by key, that anybody wrote since the last call that was not cancelled.

        None where it may have been any of them, some were removed, or they cannot be read.
        """
        heard = self._take()
        try:
            return await self._read(heard)
        except BaseException:
            self._unread |= heard or frozenset()
            raise

    def _take(self) -> frozenset[str] | None:
        """Return the keys that were heard and are not read yet, None where it may be any."""
        heard = None if self._ear is None else self._ear.take()
        unread, self._unread = self._unread, frozenset()
        return None if heard is None else heard | unread

    async def _read(self, heard: frozenset[str] | None) -> dict[str, Row] | None:
        """Return the rows whose keys were `heard`, as `changed` does."""
        start = address(Scope.GLOBAL, "")
        if heard is None or heard == {start + REVISION}:
            return None
        written = {key.removeprefix(start) for key in heard} - {REVISION}
        names = {key.rpartition("#")[0] for key in written}
        wanted = {f"{name}#{owner}" for name in names for owner in (PUBLIC, self._principal)}
        contexts = await self._fabric.get_many(sorted(wanted))
        if (written & wanted) - {context.key for context in contexts}:
            return None
        seen = _Seen(self._principal, MOST_ROWS)
        await to_thread.run_sync(seen.add, contexts)
        return seen.rows()

    async def save(self, rows: Iterable[Row]) -> bool:
        """Store `rows`, all or none; tell whether they outlast this process."""
        values: dict[str, Json] = {self._address(row): row_value(row) for row in rows}
        if not values:
            return True
        stored = await self._fabric.set_many(values | {REVISION: uuid4().hex})
        return stored and self._fabric.trouble() is None

    async def revision(self) -> RowsRevision | None:
        """Return what changes whenever any process changes rows, None where nobody can tell."""
        fabric = self._fabric
        try:
            entry = await fabric.backend.get(address(Scope.GLOBAL, REVISION))
        except StoreError as error:
            fabric.faults.note(error)
            return None
        fabric.faults.note_success()
        return RowsRevision(entry.version, entry.value) if entry else NEVER

    def _address(self, row: Row) -> str:
        key = quote(row.key, safe="/@+.", errors="surrogatepass")
        return f"{bounded(ROWS + key)}#{self._principal}"


async def tell_of_changed_rows(fabric: Fabric) -> None:
    """Let every registry on the store read its rows again: some were removed."""
    await fabric.set_context(REVISION, uuid4().hex, disposable=True)


def row_value(row: Row) -> dict[str, Json]:
    """Return what is stored of `row`: what differs from a row of which nothing is known."""
    return {
        each.name: value
        for each in fields(row)
        if (value := getattr(row, each.name)) != each.default
    }


def row_in(context: Context) -> Row | None:
    """Return the row that is stored in `context`, None when it is no row."""
    with suppress(ValidationError):
        return _form().validate_python(context.value)
    return None


def _rows(contexts: Sequence[Context]) -> list[tuple[str, Row]]:
    """Return the rows in `contexts` with their owners, leaving out what is none."""
    found = [(context.key.rpartition("#")[2], row_in(context)) for context in contexts]
    return [(owner, row) for owner, row in found if row is not None]

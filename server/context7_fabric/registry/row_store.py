"""Repository of the registry's rows in the fabric, by the principal that upstream taught them to.

Seeds are not stored: their file is read at each start, and a stored row replaces a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote
from uuid import uuid4

import anyio
from anyio import to_thread

from context7_fabric.errors import StoreError
from context7_fabric.fabric.change_feed import ChangeListener
from context7_fabric.fabric.context import Context, Json, Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.keys import bounded
from context7_fabric.registry.rows import Row, row_of, row_value

ROWS = "row:"
REVISION = "rows:revision"
"""Key that is written with every row, and when rows are removed."""

WRITTEN = (address(Scope.GLOBAL, ROWS), address(Scope.GLOBAL, REVISION))
"""Addresses in a backend that are written whenever rows change."""

MOST_ROWS = 100_000
"""Rows in memory; a library beyond them is looked up at Context7 again."""

MARGIN = 1.25
"""Factor by which the rows may exceed their limit before the least used are dropped."""


class RowsRevision(NamedTuple):
    """Revision of the stored rows: the number of writes, if it is known, and a random mark."""

    version: int
    mark: bytes


NEVER = RowsRevision(0, b"")
"""Revision of a store without rows."""


class _VisibleRows:
    """Rows that a principal sees, collected page by page; of too many the most used."""

    def __init__(self, principal: str, most: int) -> None:
        self._most = most
        self._public: dict[str, Row] = {}
        self._own: dict[str, Row] = {}
        self._by_owner = {PUBLIC: self._public, principal: self._own}

    def add(self, contexts: Sequence[Context]) -> None:
        for context in contexts:
            rows = self._by_owner.get(context.key.rpartition("#")[2])
            if rows is not None and (row := row_of(context.value)) is not None:
                rows[row.key] = row
        for each in (self._public, self._own):
            if len(each) > MARGIN * self._most:
                self._cut(each)

    def rows(self) -> dict[str, Row]:
        rows = self._public | self._own
        self._cut(rows)
        return rows

    def _cut(self, rows: dict[str, Row]) -> None:
        def use(row: Row) -> tuple[int, float]:
            return row.usage_count, row.last_verified or 0.0

        for row in sorted(rows.values(), key=use)[: -self._most]:
            del rows[row.key]


class RowStore:
    """Stored rows that one principal may see: the public ones and its own."""

    def __init__(
        self, fabric: Fabric, principal: str, listener: ChangeListener | None = None
    ) -> None:
        """Keep rows in `fabric`'s GLOBAL scope; `listener` receives the changes of `WRITTEN`."""
        self._fabric = fabric
        self._listener = listener
        self._unread = frozenset[str]()  # announced keys whose reading was cut short
        self._principal = principal

    @property
    def is_notified(self) -> bool:
        """True if `changed` learns of every write, of any process."""
        return self._listener is not None and self._listener.is_live

    async def load(self) -> dict[str, Row]:
        """Return the `MOST_ROWS` most used rows by their key, own ones before public ones.

        Raises:
            StoreError: Not all of them can be read.
        """
        visible = _VisibleRows(self._principal, MOST_ROWS)
        async for contexts in self._fabric.scan(ROWS, whole=True):
            await to_thread.run_sync(visible.add, contexts)
        return await to_thread.run_sync(visible.rows)

    async def wait(self, seconds: float) -> None:
        """Wait until a write of rows is announced, for `seconds` at most."""
        if self._listener is None:
            await anyio.sleep(seconds)
        else:
            await self._listener.wait(seconds, alone=seconds)

    async def changed(self) -> dict[str, Row] | None:
        """Return the rows, by key, that were written since the last call that was not cancelled.

        None if any row may have changed, some were removed, or they cannot be read.
        """
        announced = None if self._listener is None else self._listener.take()
        unread, self._unread = self._unread, frozenset()
        keys = None if announced is None else announced | unread
        try:
            return await self._read(keys)
        except BaseException:
            self._unread |= keys or frozenset()
            raise

    async def _read(self, addresses: frozenset[str] | None) -> dict[str, Row] | None:
        """Return the rows at the announced `addresses`, as `changed` does."""
        start = address(Scope.GLOBAL, "")
        if addresses is None or addresses == {start + REVISION}:
            return None
        written = {each.removeprefix(start) for each in addresses} - {REVISION}
        names = {key.rpartition("#")[0] for key in written}
        wanted = {f"{name}#{owner}" for name in names for owner in (PUBLIC, self._principal)}
        contexts = await self._fabric.get_many(sorted(wanted))
        if (written & wanted) - {context.key for context in contexts}:
            return None
        visible = _VisibleRows(self._principal, MOST_ROWS)
        await to_thread.run_sync(visible.add, contexts)
        return visible.rows()

    async def save(self, rows: Iterable[Row]) -> bool:
        """Store `rows`, all or none; return whether they outlast this process."""
        values: dict[str, Json] = {self._key(row): row_value(row) for row in rows}
        if not values:
            return True
        stored = await self._fabric.set_many(values | {REVISION: uuid4().hex})
        return stored and self._fabric.trouble() is None

    async def revision(self) -> RowsRevision | None:
        """Return the revision, which changes with every write of rows; None if it is not known."""
        fabric = self._fabric
        try:
            entry = await fabric.backend.get(address(Scope.GLOBAL, REVISION))
        except StoreError as error:
            fabric.faults.note(error)
            return None
        fabric.faults.note_success()
        return RowsRevision(entry.version, entry.value) if entry else NEVER

    def _key(self, row: Row) -> str:
        key = quote(row.key, safe="/@+.", errors="surrogatepass")
        return f"{bounded(ROWS + key)}#{self._principal}"


async def announce_changed_rows(fabric: Fabric) -> None:
    """Have every registry on the store read its rows again, as some were removed."""
    await fabric.set_context(REVISION, uuid4().hex, disposable=True)

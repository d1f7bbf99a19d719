"""The registry's rows in the fabric: those that upstream taught, by the principal that was taught.

Seeds are not stored: their file is read again, and a row that was stored takes a seed's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from urllib.parse import quote
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from context7_fabric.fabric.context import Context, Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row

ROWS = "row:"
_REVISION = "rows:revision"
_ROW = TypeAdapter(Row)


class RowStore:
    """The rows that one principal may see: the public ones and its own."""

    def __init__(self, fabric: Fabric, principal: str) -> None:
        """Keep rows in `fabric`'s GLOBAL scope."""
        self._fabric = fabric
        self._principal = principal

    async def load(self) -> dict[str, Row]:
        """Return all rows by their key; one's own go before the public ones."""
        public, own = {}, {}
        for context in await self._fabric.scan(ROWS):
            _address, _, owner = context.key.rpartition("#")
            row = _row(context)
            if row is not None and owner == PUBLIC:
                public[row.key] = row
            elif row is not None and owner == self._principal:
                own[row.key] = row
        return public | own

    async def save(self, rows: Iterable[Row]) -> None:
        """Store `rows`, all or none."""
        values: dict[str, Json] = {self._address(row): asdict(row) for row in rows}
        if values:
            await self._fabric.set_many(values | {_REVISION: uuid4().hex})

    async def revision(self) -> str | None:
        """Return what changes whenever any process changes rows."""
        context = await self._fabric.get_context(_REVISION)
        return context.value if context and isinstance(context.value, str) else None

    def _address(self, row: Row) -> str:
        key = quote(row.key, safe="/@+.", errors="surrogatepass")
        return f"{ROWS}{key}#{self._principal}"


async def tell_of_changed_rows(fabric: Fabric) -> None:
    """Let every registry on the store read its rows again: some were removed."""
    await fabric.set_context(_REVISION, uuid4().hex)


def _row(context: Context) -> Row | None:
    try:
        return _ROW.validate_python(context.value)
    except ValidationError:
        return None

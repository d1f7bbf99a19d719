"""The registry's rows in the fabric: those that upstream taught, by the principal that was taught.

Seeds are not stored: their file is read again, and a row that was stored takes a seed's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from functools import cache
from urllib.parse import quote
from uuid import uuid4

from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from context7_fabric.documents.keys import bounded
from context7_fabric.fabric.context import Context, Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.registry.rows import Row

ROWS = "row:"
_REVISION = "rows:revision"


@cache
def _form() -> TypeAdapter[Row]:
    """Return what reads a row; to make it takes a while, which no start has to wait for."""
    return TypeAdapter(Row)


class RowStore:
    """The rows that one principal may see: the public ones and its own."""

    def __init__(self, fabric: Fabric, principal: str) -> None:
        """Keep rows in `fabric`'s GLOBAL scope."""
        self._fabric = fabric
        self._principal = principal

    async def load(self) -> dict[str, Row]:
        """Return all rows by their key; one's own go before the public ones."""
        public: dict[str, Row] = {}
        own: dict[str, Row] = {}
        async for contexts in self._fabric.scan(ROWS):
            for owner, row in await to_thread.run_sync(_rows, contexts):
                if owner == PUBLIC:
                    public[row.key] = row
                elif owner == self._principal:
                    own[row.key] = row
        return public | own

    async def save(self, rows: Iterable[Row]) -> None:
        """Store `rows`, all or none."""
        values: dict[str, Json] = {self._address(row): _told(row) for row in rows}
        if values:
            await self._fabric.set_many(values | {_REVISION: uuid4().hex})

    async def revision(self) -> str | None:
        """Return what changes whenever any process changes rows."""
        context = await self._fabric.get_context(_REVISION)
        return context.value if context and isinstance(context.value, str) else None

    def _address(self, row: Row) -> str:
        key = quote(row.key, safe="/@+.", errors="surrogatepass")
        return f"{bounded(ROWS + key)}#{self._principal}"


async def tell_of_changed_rows(fabric: Fabric) -> None:
    """Let every registry on the store read its rows again: some were removed."""
    await fabric.set_context(_REVISION, uuid4().hex, disposable=True)


def _told(row: Row) -> dict[str, Json]:
    """Return what of `row` differs from a row of which nothing is known."""
    return {
        each.name: value
        for each in fields(row)
        if (value := getattr(row, each.name)) != each.default
    }


def _rows(contexts: list[Context]) -> list[tuple[str, Row]]:
    """Return the rows in `contexts` with their owners, leaving out what is none."""
    found = []
    for context in contexts:
        with suppress(ValidationError):
            row = _form().validate_python(context.value)
            found.append((context.key.rpartition("#")[2], row))
    return found

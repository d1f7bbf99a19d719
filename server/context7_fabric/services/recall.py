"""Forgetting on demand: everything about a library, every text with certain words, or all of it."""

from __future__ import annotations

from collections.abc import Callable

from context7_fabric.documents.ids import LibraryId, parse_id
from context7_fabric.documents.libraries import parse_list
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.services.records import DOCS, LISTS, QUARANTINE, record_of

FETCHED = (DOCS, LISTS, QUARANTINE, "move:", "choice:", "upstream:tools:")
"""What the keys begin with of everything that came from upstream or was learned by it."""


class Recall:
    """Removes stored entries of every principal. Each method returns how many went.

    All raise `StoreError` when the store cannot delete: whoever recalls must know.
    """

    def __init__(self, fabric: Fabric) -> None:
        """Remove from `fabric`'s GLOBAL scope."""
        self._fabric = fabric

    async def library(self, library: LibraryId) -> int:
        """Forget answers about a library, lists that name it, and what was learned of it.

        With a version, only answers about that version.
        """
        return await self._remove(lambda context: _is_about(context, library))

    async def matching(self, text: str) -> int:
        """Forget answers and lists that hold `text`, in whatever case."""
        wanted = text.casefold()
        return await self._remove(lambda context: wanted in _prose(context).casefold())

    async def everything(self) -> int:
        """Forget all that was fetched or learned."""
        return await self._remove(lambda _context: True)

    async def _remove(self, doomed: Callable[[Context], bool]) -> int:
        removed = 0
        for prefix in FETCHED:
            for key in await self._fabric.keys(Scope.GLOBAL, prefix):
                context = await self._fabric.get_context(key)
                if context is None or doomed(context):
                    removed += await self._fabric.delete_context(key)
        return removed


def _prose(context: Context) -> str:
    record = record_of(context)
    return "" if record is None else f"{record.text}\n{record.question}\n{record.subject}"


def _is_about(context: Context, library: LibraryId) -> bool:
    record = record_of(context)
    if record is None:
        told = (context.key.partition(":")[2].partition("#")[0], context.value)
        return library.version is None and library.base in told
    if record.kind == "docs":
        return _same(record.subject, library)
    listed = parse_list(record.text)
    ids = (entry.id for entry in listed.libraries) if listed else ()
    return library.version is None and any(_same(entry_id, library) for entry_id in ids)


def _same(text: str, library: LibraryId) -> bool:
    other = parse_id(text)
    if other is None or other.base != library.base:
        return False
    return library.version in (None, other.version)

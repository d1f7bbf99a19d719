"""Which row of the registry a name belongs in whose id somebody else has found. Pure."""

from __future__ import annotations

from dataclasses import replace

from context7_fabric.documents.ids import LibraryId
from context7_fabric.documents.keys import name_key
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

LIVE = "context7-live-resolve"
"""The source of rows that came about in this way."""


def learned_row(name: str, library_id: LibraryId, registry: Registry, now: float) -> Row | None:
    """Return the row that says `name` means `library_id` (no version), verified `now`.

    It is the row that the name means, unless upstream knows that one by another id; where nothing
    has the name, the library's own row with the name as an alias, or a new one. Where the name is
    taken, it is the library's own row as it was; None when there is none.
    """
    match, known = registry.find(name), registry.row(library_id.base)
    row: Row | None
    if match is not None and (match.row.broken or match.row.id in ("", library_id.base)):
        row = match.row
    elif match is not None or registry.namesakes(name):
        row = known
    elif known is not None and known.ecosystem:
        row = replace(known, aliases=(*known.aliases, name))
    else:
        row = Row(name_key(name), "other", title=name.strip(), usage_count=1, source=LIVE)
    return row and replace(row, id=library_id.base, last_verified=now, broken=False)

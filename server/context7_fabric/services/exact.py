"""Exact match of a look-up: the one library that it names, by the registry's rule, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from context7_fabric.answers.library_choice import usable
from context7_fabric.answers.lookup import LookUp
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.libraries import Library, parse_list
from context7_fabric.registry.matching.index import NameIndex
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

UNLISTED = "Context7 does not list this id for the name; it comes from the local registry."

_DECIDED = frozenset({Tier.LEARNED, Tier.SEED, Tier.LOCAL})
"""Tiers of answers that say themselves which library is meant, if one is."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})

# Projects of many libraries are called so: as a name it would mean whichever is listed.
_GENERIC = re.compile(
    "api|app|book|cli|client|code|core|docs?|documentation|examples?|frontend|guides?|handbook|home"
    "|lib|library|main|manual|monorepo|package|python|repo|sdk|server|site|source|src|web|website"
    "|wiki|www"
)


@dataclass(frozen=True, slots=True)
class Resolution:
    """An answer to a look-up, the id that it names exactly, and the ids that it lists."""

    answer: Answer
    library_id: str | None
    candidates: tuple[str, ...] = ()
    note: str | None = None


def resolution(look_up: LookUp, answer: Answer, registry: Registry) -> Resolution:
    """Return what `answer` says of `look_up`, with the exact match if there is just one."""
    listed = parse_list(answer.text)
    entries = listed.libraries if listed else ()
    candidates = tuple(entry.id for entry in entries)
    library_id = answer.library_id
    if answer.tier not in _DECIDED and answer.outcome not in _FAILED and entries:
        library_id = library_id or _meant(look_up, entries, registry)
    unlisted = library_id is not None and library_id not in candidates
    notes = (answer.note, UNLISTED if unlisted else None)
    return Resolution(answer, library_id, candidates, " ".join(filter(None, notes)) or None)


def _meant(look_up: LookUp, entries: Sequence[Library], registry: Registry) -> str | None:
    """Return the id of the registry's row if it is listed or alone; else of the entry that fits."""
    match = registry.find(look_up.name, look_up.question)
    row = usable(match.row) if match else None
    if row is not None and any(entry.id == row.id for entry in entries):
        return row.id
    rivals = [] if match else registry.namesakes(look_up.name, look_up.question)
    index = NameIndex([*rivals, *(_row(entry, registry.row(entry.id)) for entry in entries)])
    fitting = index.find(look_up.name, look_up.question)
    if fitting is not None:
        return fitting.row.id or None
    several = index.namesakes(look_up.name, look_up.question)
    return row.id if row is not None and not several else None


def _row(entry: Library, known: Row | None) -> Row:
    """Return an entry as a row that goes by its title, and by its project unless it is known."""
    if known is not None and known.ecosystem:
        return replace(known, aliases=(*known.aliases, entry.title))
    library = parse_id(entry.id)
    project = library.project if library and library.version is None else ""
    named = "" if "/" in project or _GENERIC.fullmatch(project.casefold()) else project
    return Row(entry.id, "", entry.id, (entry.title, named))

"""Collection of libraries for one viewer: queries, indexing, counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import nsmallest
from statistics import fmean

from anyio import to_thread

from context7_fabric.answers.library_choice import UNKNOWN, metadata_of, usable
from context7_fabric.answers.prefetch import LOOK_UPS_A_DAY
from context7_fabric.call_log.records import record_in
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.http_server.rest.schemas import Entry, IndexForm, QueryForm
from context7_fabric.models import RESOLVE, Viewer
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.choices import TaughtName
from context7_fabric.registry.readings import read_name
from context7_fabric.registry.rows import COLLECTION, Row, load_collection
from context7_fabric.services import Services
from context7_fabric.suggestions.worker_client import NO_MODEL
from context7_fabric.version import __version__
from context7_fabric.views.libraries import LibraryViews, RankedBy, RankedLibrary
from context7_fabric.views.stats import LOOKED_AT
from context7_fabric.views.visibility import as_data

LIKENESS = 0.8
"""Greatest score of a suggestion: clients that ask by similarity count 0.85 or more as a hit."""

TOKENS_A_HIT = 279
"""Tokens that a hit saved on average of 50 libraries with lists of five entries (`make bench`)."""

INDEX_COMMAND = "context7-fabric index"


class InvalidEntry(Exception):
    """An entry of a form names no library; nothing was stored."""


@dataclass(frozen=True, slots=True)
class LibraryCollection:
    """The rows that `viewer` sees: those of the registry and what it taught itself."""

    services: Services
    viewer: Viewer

    async def query(self, form: QueryForm) -> dict[str, Json]:
        """Return libraries with known ids that the phrase may mean, the best first.

        An exact match scores 1, all else at most `LIKENESS`. A filter keeps the libraries whose
        metadata equal it: those that match the phrase first, then the most used.
        """
        most, wanted = form.n_results, form.metadata_filter.model_dump(exclude_unset=True)
        await self.services.registry.loaded.wait()
        found = await self._ranked(self.services.redacted(form.query))
        if wanted:
            found = [each for each in found if _has(each.row, wanted)]
            rows = await self.services.choices.rows()
            rows = await to_thread.run_sync(_others, rows, wanted, found, most)
            found += [RankedLibrary(row, "usage", 0.0) for row in rows]
        return as_data({"results": [_as_json(each) for each in found[:most]]}, "results")

    async def index(self, form: IndexForm) -> dict[str, Json]:
        """Store what a form teaches the viewer; return the rows that its names mean now.

        There are fewer rows than names when the store fails.

        Raises:
            InvalidEntry: One entry is invalid; none is stored.
            ContextError: The store refuses one of them.
            StoreError: The store fails, or would not keep them.
        """
        taught = [self._taught(at, entry) for at, entry in enumerate(form.metadatas)]
        await self.services.registry.loaded.wait()
        await self.services.choices.learn(taught, self.services.views.clock())
        meant = [await self.services.choices.meant(each.name) for each in taught]
        rows = [row for row in meant if row is not None]
        ids: list[Json] = [row.key for row in rows]
        library_ids: list[Json] = [row.id for row in rows]
        return {"indexed": len(rows), "ids": ids, "library_ids": library_ids}

    async def collections(self) -> list[Json]:
        """Return the one collection there is, with its numbers of rows and of vectors."""
        count = len(await self._rows())
        indexed = await self.services.suggester.indexed() or 0
        described: dict[str, Json] = {
            "name": COLLECTION,
            "description": await to_thread.run_sync(_description),
            "points_count": count,
            "vectors_count": min(indexed, count),  # a Qdrant server holds others' rows as well
        }
        return [described]

    async def stats(self) -> dict[str, Json]:
        """Return the number of libraries and what they save; without any, the next step."""
        count = len(await self._rows())
        if not count:
            return {
                "collection": COLLECTION,
                "status": "not_initialized",
                "error": "no library has an id yet",
                "action": f"Run: {INDEX_COMMAND}",
            }
        a_hit, measured = await self._saved()
        return {
            "collection": COLLECTION,
            "total_libraries": count,
            "status": "active",
            "description": await to_thread.run_sync(_description),
            "estimated_savings": {
                "tokens_per_hit": a_hit,
                "potential_daily_savings": count * LOOK_UPS_A_DAY * a_hit,
                "measured_on": measured,
            },
        }

    async def health(self) -> dict[str, Json]:
        """Return the state that is known without waiting."""
        suggester = self.services.suggester
        index = index_status(suggester.worker_pid, suggester.trouble)
        well = self.services.registry.loaded.is_set() and index != "unreachable"
        status = "healthy" if well else "degraded"
        return {"status": status, "qdrant_status": index, "version": __version__}

    async def _ranked(self, phrase: str) -> list[RankedLibrary]:
        services = self.services
        meant = await services.choices.meant(phrase) if phrase.strip() else None
        found = [RankedLibrary(meant, "exact", 1.0)] if meant else []
        views = LibraryViews(
            services.views,
            services.registry,
            services.suggester,
            services.choices,
            services.docsets,
        )
        suggested = [_suggested(each) for each in await views.ranked(phrase) if usable(each.row)]
        seen = {each.row.key for each in found}
        return found + [each for each in suggested if each.row.key not in seen]

    def _taught(self, at: int, entry: Entry) -> TaughtName:
        """Return what an entry teaches, without secrets and without a version."""
        redacted = self.services.redacted
        name, library_id = redacted(entry.library_name), parse_id(redacted(entry.library_id))
        if not read_name(name).name:
            raise InvalidEntry(f"metadatas[{at}].library_name: it names no library")
        if library_id is None:
            expected = "a library id (/org/project, with or without a version)"
            raise InvalidEntry(f"metadatas[{at}].library_id: it is not {expected}")
        category = "" if entry.category == UNKNOWN else redacted(entry.category)
        aliases = tuple(map(redacted, entry.aliases))
        return TaughtName(name, replace(library_id, version=None), aliases, category)

    async def _rows(self) -> list[Row]:
        await self.services.registry.loaded.wait()
        rows = await self.services.choices.rows()
        return await to_thread.run_sync(lambda: [row for row in rows if usable(row)])

    async def _saved(self) -> tuple[int, str]:
        """Return the tokens that a hit saves, and the measurement that says so."""
        page = await self.services.views.among_newest(Scope.EXECUTION, LOOKED_AT, self.viewer)
        records = filter(None, map(record_in, page.entries))
        saved = [
            each.tokens_saved for each in records if each.tool == RESOLVE and each.automated.hit
        ]
        if saved:
            return round(fmean(saved)), f"{len(saved)} of the newest look-ups"
        return TOKENS_A_HIT, "the look-ups of 50 libraries in the project's benchmark"


def index_status(worker_pid: int | None, trouble: str | None) -> str:
    """Return the state of the vector index, by its worker and why there is none. Pure."""
    if worker_pid is not None:
        return "connected"
    if trouble is None:
        return "idle"
    return "off" if trouble == NO_MODEL else "unreachable"


def _suggested(ranked: RankedLibrary) -> RankedLibrary:
    # The exact meaning of a name in the registry may not be the viewer's choice.
    by: RankedBy = "namesake" if ranked.by == "exact" else ranked.by
    return RankedLibrary(ranked.row, by, (ranked.score or 0.0) * LIKENESS)


@cache
def _description() -> str:
    return load_collection().description


def _as_json(result: RankedLibrary) -> dict[str, Json]:
    row = result.row
    return {
        "id": row.key,
        "document": replace(row, title=row.title or row.name).text,
        "metadata": metadata_of(row),
        "relevance_score": round(result.score or 0.0, 4),
        "ranked_by": result.by,
    }


def _has(row: Row, wanted: Mapping[str, Json]) -> bool:
    """Return whether the metadata of `row` equal `wanted`; of its aliases, one."""
    metadata = metadata_of(row)
    for field, value in wanted.items():
        if field == "library_name":
            equal = name_key(str(value)) == name_key(row.name)
        else:
            equal = value in row.aliases if field == "aliases" else value == metadata[field]
        if not equal:
            return False
    return True


def _others(
    rows: Collection[Row], wanted: Mapping[str, Json], found: Sequence[RankedLibrary], most: int
) -> list[Row]:
    """Return the most used rows that have what is `wanted` and are not in `found`."""
    seen = {each.row.key for each in found}
    having = (row for row in rows if usable(row) and row.key not in seen and _has(row, wanted))
    return nsmallest(most, having, key=lambda row: (-row.usage_count, row.key))

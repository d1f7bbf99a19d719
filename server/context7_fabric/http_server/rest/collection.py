"""The collection of libraries as one visitor sees it: found by name, taught, counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import nsmallest
from statistics import fmean

from anyio import to_thread

from context7_fabric.answers.library_choice import metadata_of, usable
from context7_fabric.answers.prefetch import LOOK_UPS_A_DAY
from context7_fabric.call_log.records import execution_of
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.models import RESOLVE, Viewer
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.choices import TaughtName
from context7_fabric.registry.rows import COLLECTION, Row, load_collection
from context7_fabric.services import Services
from context7_fabric.suggestions.worker_client import NO_MODEL
from context7_fabric.views.libraries import LibraryViews, RankedBy, RankedLibrary
from context7_fabric.views.stats import LOOKED_AT
from context7_fabric.views.visibility import as_data

LIKENESS = 0.8
"""The most that a mere suggestion scores: who asks by similarity takes 0.85 or more for a hit."""

TOKENS_A_HIT = 279
"""What a hit saved on average of 50 libraries with lists of five entries (`make bench`)."""

INDEX_COMMAND = "context7-fabric index"


@dataclass(frozen=True, slots=True)
class _Result:
    row: Row
    by: RankedBy
    score: float


@dataclass(frozen=True, slots=True)
class LibraryCollection:
    """The rows that `viewer`, whose `desk` it is, sees: the registry's and its own lessons."""

    desk: Services
    viewer: Viewer

    async def query(self, phrase: str, most: int, wanted: Mapping[str, Json]) -> dict[str, Json]:
        """Return up to `most` libraries with known ids that `phrase` may mean, the best first.

        What it means for certain scores 1, all else at most `LIKENESS`. With `wanted`, only those
        whose metadata equal it: those alike first, then the most used.
        """
        await self.desk.registry.loaded.wait()
        found = await self._ranked(self.desk.redacted(phrase))
        if wanted:
            found = [each for each in found if _has(each.row, wanted)]
            rows = await self.desk.meanings.rows()
            rows = await to_thread.run_sync(_others, rows, wanted, found, most)
            found += [_Result(row, "usage", 0.0) for row in rows]
        return as_data({"results": [_told(each) for each in found[:most]]}, "results")

    async def index(self, lessons: Sequence[TaughtName]) -> list[Row]:
        """Store what `lessons` say for the visitor; return what each name means now.

        A store that fails shows in that there are fewer of them.

        Raises:
            ContextError: The store does not take one of them.
            StoreError: It fails, or would not keep them.
        """
        await self.desk.registry.loaded.wait()
        await self.desk.meanings.learn(lessons, self.desk.views.clock())
        meant = [await self.desk.meanings.meant(each.name) for each in lessons]
        return [row for row in meant if row is not None]

    async def collections(self) -> list[Json]:
        """Return the one collection there is, with its numbers of rows and of vectors."""
        count = len(await self._rows())
        indexed = await self.desk.suggester.indexed() or 0
        described: dict[str, Json] = {
            "name": COLLECTION,
            "description": await to_thread.run_sync(_description),
            "points_count": count,
            "vectors_count": min(indexed, count),  # a Qdrant server holds others' rows as well
        }
        return [described]

    async def stats(self) -> dict[str, Json]:
        """Return how many libraries can be found, and what that saves; or what is to be done."""
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

    def health(self) -> dict[str, Json]:
        """Return what is known without waiting: whether all is well, and how the index is."""
        suggester = self.desk.suggester
        index = index_status(suggester.worker_pid, suggester.trouble)
        well = self.desk.registry.loaded.is_set() and index != "unreachable"
        return {"status": "healthy" if well else "degraded", "qdrant_status": index}

    async def _ranked(self, phrase: str) -> list[_Result]:
        desk = self.desk
        meant = await desk.meanings.meant(phrase) if phrase.strip() else None
        found = [_Result(meant, "exact", 1.0)] if meant else []
        views = LibraryViews(desk.views, desk.registry, desk.suggester, desk.meanings)
        suggested = [_suggested(each) for each in await views.ranked(phrase) if usable(each.row)]
        seen = {each.row.key for each in found}
        return found + [each for each in suggested if each.row.key not in seen]

    async def _rows(self) -> list[Row]:
        await self.desk.registry.loaded.wait()
        rows = await self.desk.meanings.rows()
        return await to_thread.run_sync(lambda: [row for row in rows if usable(row)])

    async def _saved(self) -> tuple[int, str]:
        """Return how many tokens a hit saves, and on what that was measured."""
        page = await self.desk.views.among_newest(Scope.EXECUTION, LOOKED_AT, self.viewer)
        records = filter(None, map(execution_of, page.entries))
        saved = [
            each.tokens_saved for each in records if each.tool == RESOLVE and each.automated.hit
        ]
        if saved:
            return round(fmean(saved)), f"{len(saved)} of the newest look-ups"
        return TOKENS_A_HIT, "the look-ups of 50 libraries in the project's benchmark"


def index_status(worker_pid: int | None, trouble: str | None) -> str:
    """Return how the vector index is, by whether a worker is ready and why none is. Pure."""
    if worker_pid is not None:
        return "connected"
    if trouble is None:
        return "idle"
    return "off" if trouble == NO_MODEL else "unreachable"


def _suggested(ranked: RankedLibrary) -> _Result:
    # What the name means by the rule is not what it means to this visitor.
    by: RankedBy = "namesake" if ranked.by == "exact" else ranked.by
    return _Result(ranked.row, by, (ranked.score or 0.0) * LIKENESS)


@cache
def _description() -> str:
    return load_collection().description


def _told(result: _Result) -> dict[str, Json]:
    row = result.row
    return {
        "id": row.key,
        "document": replace(row, title=row.title or row.name).text,
        "metadata": metadata_of(row),
        "relevance_score": round(result.score, 4),
        "ranked_by": result.by,
    }


def _has(row: Row, wanted: Mapping[str, Json]) -> bool:
    """Tell whether the metadata of `row` equal `wanted`; of its aliases, one."""
    told = metadata_of(row)
    for field, value in wanted.items():
        if field == "library_name":
            equal = name_key(str(value)) == name_key(row.name)
        else:
            equal = value in row.aliases if field == "aliases" else value == told[field]
        if not equal:
            return False
    return True


def _others(
    rows: Collection[Row], wanted: Mapping[str, Json], found: Sequence[_Result], most: int
) -> list[Row]:
    """Return the most used rows that have what is `wanted` and are not found yet."""
    seen = {each.row.key for each in found}
    having = (row for row in rows if usable(row) and row.key not in seen and _has(row, wanted))
    return nsmallest(most, having, key=lambda row: (-row.usage_count, row.key))

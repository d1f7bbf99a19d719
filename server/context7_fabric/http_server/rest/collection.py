"""Collection of libraries for one viewer: queries, indexing, counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import nsmallest
from statistics import fmean

from anyio import to_thread

from context7_fabric.answers.docset_names import HeldLibrary
from context7_fabric.answers.library_choice import UNKNOWN, candidates, metadata_of, usable
from context7_fabric.answers.prefetch import LOOK_UPS_A_DAY
from context7_fabric.call_log.records import record_in
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.http_server.rest.schemas import DocsForm, Entry, IndexForm, QueryForm
from context7_fabric.models import (
    QUERY_DOCS,
    RESOLVE,
    Answer,
    Caller,
    DocsetUse,
    Outcome,
    Question,
    Viewer,
)
from context7_fabric.parsing.ids import folded_id, parse_id
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


class NoDocumentation(Exception):
    """Neither the documentation held here nor Context7 answers; the text is the reason."""


@dataclass(frozen=True, slots=True)
class LibraryCollection:
    """The rows that `viewer` sees: those of the registry and what it taught itself.

    `docset_use` is the server's use of docsets, `address` that of the client.
    """

    services: Services
    viewer: Viewer
    docset_use: DocsetUse = "first"
    address: str = ""

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

    async def docs(self, form: DocsForm) -> dict[str, Json]:
        """Return documentation that answers a question, as over MCP.

        Raises:
            NoDocumentation: There is none.
        """
        library = form.library.strip()
        if not library.startswith("/"):
            library = await self._exactly(library, form.query)
        question = Question(library, form.query, form.mode, form.page, form.tokens)
        caller = self._caller()
        ask = self.services.query if form.upstream else self.services.held
        answer = await ask(question, caller)
        if answer is None:
            raise NoDocumentation(f"no docset that is held here answers this about {library}")
        arguments = form.model_dump(exclude_unset=True)
        numbered = replace(answer, execution_id=self.services.call_log.new_id())
        self.services.note(QUERY_DOCS, arguments, caller, numbered)
        if answer.is_error or answer.outcome in (Outcome.ERROR, Outcome.NEGATIVE):
            raise NoDocumentation(" ".join(answer.text.split()))
        return _docs_json(numbered)

    async def _exactly(self, name: str, query: str) -> str:
        """Return the id of the library that a name means exactly.

        Raises:
            NoDocumentation: There is none.
        """
        found = await self.services.find(Question(name, query), self._caller())
        if found.library_id is None:
            ids = ", ".join(candidates(found)) or "none"
            raise NoDocumentation(f"{name!r} is no exact match for one library; listed: {ids}")
        return found.library_id

    def _caller(self) -> Caller:
        return Caller(
            self.viewer.principal,
            self.viewer.owner,
            connection=None,
            docsets=self.docset_use,
            address=self.address,
        )

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
        found = _with_held(found, await services.docset_names.named(Question(phrase), self.viewer))
        views = LibraryViews(
            services.views,
            services.registry,
            services.suggester,
            services.choices,
            services.docsets,
        )
        suggested = [_suggested(each) for each in await views.ranked(phrase) if usable(each.row)]
        seen = {key for each in found for key in (each.row.key, each.row.id)}
        return found + [each for each in suggested if seen.isdisjoint((each.row.key, each.row.id))]

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


def _with_held(found: list[RankedLibrary], held: Sequence[HeldLibrary]) -> list[RankedLibrary]:
    """Add the libraries that docsets document to what a name means exactly; private ones alone.

    One is an exact match only if no other library has the name.
    """
    if held and held[0].is_private:
        found = []
    known = {folded_id(each.row.id) for each in found}
    new = [each.row for each in held if known.isdisjoint(each.ids)]
    if not found and len(new) == 1:
        return [RankedLibrary(new[0], "exact", 1.0)]
    return found + [RankedLibrary(row, "namesake", LIKENESS) for row in new]


def _docs_json(answer: Answer) -> dict[str, Json]:
    return {
        "text": answer.text,
        "note": answer.note,
        "outcome": answer.outcome.value,
        "tier": answer.tier.value,
        "library_id": answer.library_id,
        "fetched_at": answer.fetched_at,
        "age_seconds": answer.age_seconds,
        "execution_id": answer.execution_id,
        "screening": list(answer.screening),
    }


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

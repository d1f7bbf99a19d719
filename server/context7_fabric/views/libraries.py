"""Views of libraries: ranked rows of the registry; a library's docsets and stored questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import nsmallest
from typing import Literal, cast

from anyio import to_thread

from context7_fabric.answers.library_choice import LibraryChoices
from context7_fabric.answers.pinned import PinInForce
from context7_fabric.answers.stored import docs_key, record_of
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.models import PUBLIC, QUERY_DOCS, Question, Viewer
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.parsing.keys import question_key
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.bm25 import terms_in
from context7_fabric.suggestions.suggester import LONGEST_PHRASE, Suggester
from context7_fabric.views.visibility import PAGE, VisibleEntries, as_data

RankedBy = Literal["usage", "exact", "namesake", "words", "vectors"]


@dataclass(frozen=True, slots=True)
class RankedLibrary:
    """A row, the reason of its rank, and its score for a phrase (0 to 1), if there is one."""

    row: Row
    by: RankedBy
    score: float | None = None


class LibraryViews:
    """The registry for one principal and owner, with the libraries that they taught."""

    def __init__(
        self,
        views: VisibleEntries,
        registry: Registry,
        suggester: Suggester,
        choices: LibraryChoices,
        docsets: DocsetLibrary,
    ) -> None:
        """Show the rows of `choices`, ranked by `suggester`, and stored answers by `views`.

        Libraries have the docsets of `docsets`.
        """
        self._views = views
        self._registry = registry
        self._suggester = suggester
        self._choices = choices
        self._docsets = docsets

    async def registry(self, phrase: str) -> dict[str, Json]:
        """Return the rows that `phrase` may mean, the best first; without one, the most used.

        `ranked_by` is the reason of each rank: `exact` is the exact match of the phrase,
        `namesake` one of several of that name, `words` and `vectors` are suggestions.
        """
        ranked = await self.ranked(phrase)
        rows: list[Json] = [_line(rank, each) for rank, each in enumerate(ranked, start=1)]
        return as_data({"q": phrase, "count": len(rows), "rows": rows}, "rows")

    async def ranked(self, phrase: str) -> list[RankedLibrary]:
        """Return the rows that `registry` shows, before they are JSON."""
        await self._registry.loaded.wait()
        return (await (self._matching(phrase) if phrase.strip() else self._most_used()))[:PAGE]

    async def library(self, library: LibraryId, viewer: Viewer) -> dict[str, Json] | None:
        """Return a library's row, versions, docsets, and the newest stored questions about it.

        None when nothing is known of it.
        """
        await self._registry.loaded.wait()
        row = await self._choices.row(library.base)
        questions = await self._questions(library, viewer)
        docsets = await docsets_of(self._docsets, library.base, viewer)
        if row is None and not questions and not docsets:
            return None
        versions: list[Json] = list(row.versions) if row else []
        view: dict[str, Json] = {
            "library_id": library.base,
            "row": _row_json(row) if row else None,
            "versions": versions,
            "docsets": [_docset_json(each) for each in docsets],
            "questions": questions,
        }
        return as_data(view, "row", "versions", "docsets", "questions")

    async def orgs(self, prefix: str, viewer: Viewer) -> list[str]:
        """Return the organisations of known libraries that begin with `prefix`, in any case."""
        return await self._complete_ids(prefix, viewer, lambda each: each.org)

    async def projects(self, org: str, prefix: str, viewer: Viewer) -> list[str]:
        """Return the projects of `org` that begin with `prefix`, in any case."""
        return await self._complete_ids(
            prefix, viewer, lambda each: each.project if each.org == org else ""
        )

    async def names(self, prefix: str) -> list[str]:
        """Return the names of known libraries that begin with `prefix`, in any case."""
        return await self._complete(prefix, lambda row: iter((row.name,)))

    async def _matching(self, phrase: str) -> list[RankedLibrary]:
        own = await self._choices.lessons()
        lesson = await self._choices.lesson(Question(phrase))
        named = [RankedLibrary(lesson, "exact", 1.0)] if lesson else []
        match = self._registry.find(phrase)
        if match:
            named.append(RankedLibrary(match.row, "namesake" if lesson else "exact", 1.0))
        else:
            namesakes = self._registry.namesakes(phrase)
            named += (RankedLibrary(row, "namesake", 1.0) for row in namesakes)
        suggested = await self._suggester.suggest(phrase, PAGE)
        alike = [
            RankedLibrary(each.row, suggested.method, each.score) for each in suggested.candidates
        ]
        alike += _sharing_words(phrase, own)
        return _each_once([*named, *sorted(alike, key=lambda each: -(each.score or 0.0))], own)

    async def _most_used(self) -> list[RankedLibrary]:
        rows = await to_thread.run_sync(_most_used, await self._choices.rows())
        return [RankedLibrary(row, "usage") for row in rows]

    async def _questions(self, library: LibraryId, viewer: Viewer) -> list[Json]:
        stem = docs_key(question_key(library, "", mode="", page=1)).partition("?")[0]
        found = [
            context
            for sign in "?@"  # follows the id in keys of all versions together, and of one version
            for context in await self._views.newest(Scope.GLOBAL, stem + sign, PAGE, viewer)
        ]
        found.sort(key=lambda context: context.created_at, reverse=True)
        return list(_questions_json(found[:PAGE]))

    async def _complete_ids(
        self, prefix: str, viewer: Viewer, part: Callable[[LibraryId], str]
    ) -> list[str]:
        """Return the parts of known libraries' ids, docsets' included, that begin with `prefix`."""
        found = set(await self._complete(prefix, lambda row: map(part, _ids(row))))
        docsets = await to_thread.run_sync(self._docsets.all, viewer)
        ids = (parse_id(each) for docset in docsets for each in docset.ids)
        parts = {part(each) for each in ids if each is not None}
        start = prefix.casefold()
        found |= {each for each in parts if each.casefold().startswith(start)}
        return sorted(found - {""}, key=lambda name: (name.casefold(), name))

    async def _complete(self, prefix: str, names: Callable[[Row], Iterator[str]]) -> list[str]:
        await self._registry.loaded.wait()
        return await to_thread.run_sync(_completions, await self._choices.rows(), prefix, names)


def _sharing_words(phrase: str, own: Sequence[Row]) -> Iterator[RankedLibrary]:
    """Yield the rows of `own`, which no index has, by the share of the phrase's words in them."""
    asked = terms_in(phrase[:LONGEST_PHRASE])
    for row in own:
        if shared := asked & terms_in(row.text):
            yield RankedLibrary(row, "words", len(shared) / len(asked))


def _each_once(ranked: Iterable[RankedLibrary], own: Sequence[Row]) -> list[RankedLibrary]:
    """Return the first of each row; a row of `own` replaces that of the registry."""
    mine = {row.key: row for row in own}
    first: dict[str, RankedLibrary] = {}
    for each in ranked:
        first.setdefault(each.row.key, replace(each, row=mine.get(each.row.key, each.row)))
    return list(first.values())


def _most_used(rows: Iterable[Row]) -> list[Row]:
    return nsmallest(PAGE, rows, key=lambda row: (-row.usage_count, row.name, row.ecosystem))


def _completions(
    rows: Iterable[Row], prefix: str, names: Callable[[Row], Iterator[str]]
) -> list[str]:
    start = prefix.casefold()
    found = {name for row in rows for name in names(row) if name.casefold().startswith(start)}
    return sorted(found, key=lambda name: (name.casefold(), name))


def _ids(row: Row) -> Iterator[LibraryId]:
    library = parse_id(row.id)
    if library is not None:
        yield library


def _line(rank: int, ranked: RankedLibrary) -> dict[str, Json]:
    row = ranked.row
    return {
        "rank": rank,
        "ranked_by": ranked.by,
        "score": None if ranked.score is None else round(ranked.score, 4),
        "name": row.name,
        "id": row.id,
        "title": row.title,
        "ecosystem": row.ecosystem,
        "usage": row.usage_count,
    }


async def docsets_of(docsets: DocsetLibrary, library_id: str, viewer: Viewer) -> list[Docset]:
    """Return the docsets that answer for an id (no version) and that `viewer` may read."""
    found = await to_thread.run_sync(docsets.all, viewer)
    wanted = library_id.casefold()
    return [docset for docset in found if wanted in map(str.casefold, docset.ids)]


def _docset_json(docset: Docset) -> Json:
    """Return the facts of a docset, and the arguments that ask it; times are in epoch seconds."""
    library = parse_id(docset.id)
    asked = docset.id if library is None else str(replace(library, version=docset.version))
    also: list[Json] = list(docset.also)
    return {
        "id": docset.id,
        "version": docset.version,
        "also": also,
        "files": docset.files,
        "snippets": docset.snippets,
        "revision": docset.revision,
        "licence": docset.licence,
        "added_at": docset.added_at,
        "checked_at": docset.checked_at,
        "private": docset.owner != PUBLIC,
        "ask": {"tool": QUERY_DOCS, "libraryId": asked},
    }


def _row_json(row: Row) -> dict[str, Json]:
    fields = asdict(row)
    del fields["versions"]
    return cast("dict[str, Json]", fields | {"aliases": list(row.aliases)})


def _questions_json(contexts: Iterable[Context]) -> Iterator[Json]:
    """Yield each stored question and its time; `size` is that of its answer, in bytes."""
    for context in contexts:
        record = record_of(context)
        if record is not None:
            yield {
                "question": record.question,
                "library_id": record.subject,
                "fetched_at": record.fetched_at,
                "size": len(record.text.encode("utf-8", "surrogatepass")),
                "key": context.key,
            }


def pin_json(pin: PinInForce) -> dict[str, Json]:
    """Return a pin as JSON: the id that counts, the version that is wanted, and the file."""
    return {
        "library_id": str(pin.library),
        "wanted": pin.wanted.version,
        "is_exact": pin.is_exact,
        "file": pin.wanted.origin,
    }

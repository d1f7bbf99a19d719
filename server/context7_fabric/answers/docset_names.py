"""Ids and names of the libraries that docsets document; their entries in answers to look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import anyio
from anyio import to_thread

from context7_fabric.answers.library_choice import row_of_entry
from context7_fabric.answers.lookup import agrees
from context7_fabric.answers.response import entries, in_front, noted
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.models import PUBLIC, Answer, Outcome, Question, Tier, Viewer
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.parsing.libraries import Library, format_entry, parse_list
from context7_fabric.registry.matching import NameIndex
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

LOCAL = "/local/"
"""Beginning of ids that exist on this machine only."""

LEAST_OWNER = 3
"""Characters of an owner's name from which it counts as a part of a project's, or the reverse."""

WORKERS = 2
"""Threads that search the names of docsets at once."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE, Outcome.SUGGESTION})
"""Outcomes of look-ups that an exact name of ours replaces."""


def is_local(library_id: str) -> bool:
    """Tell whether an id, complete or not, is one that Context7 never gets to see."""
    text = library_id.strip().casefold()
    return "/" in text and f"/{text.lstrip('/')}/".startswith(LOCAL)


def no_such_local(library_id: str, why: str = "no documentation of it is held here") -> Answer:
    """Return the error for an id of this machine without documentation."""
    text = (
        f"{library_id!r} is private to this machine and never sent to Context7, and {why}."
        " `context7-fabric docsets` lists what is held, `context7-fabric add` adds more."
    )
    return Answer(text, Outcome.ERROR, Tier.DOCSET, is_error=True)


@dataclass(frozen=True, slots=True)
class HeldLibrary:
    """A library that docsets document, by all its ids; `entry` is that of a list."""

    entry: Library
    ids: frozenset[str]
    is_private: bool

    @property
    def row(self) -> Row:
        """The library as a row of the registry."""
        library = parse_id(self.entry.id)
        return Row(
            name=library.project if library is not None else self.entry.id,
            ecosystem="",
            id=self.entry.id,
            title=self.entry.title,
            description=self.entry.description,
            versions=self.entry.versions,
            snippets=self.entry.snippets,
            source="docset",
        )


class DocsetNames:
    """Names of the libraries that docsets document."""

    def __init__(self, library: DocsetLibrary, registry: Registry) -> None:
        """Read the docsets of `library`; titles and aliases come from `registry`."""
        self._library = library
        self._registry = registry
        self._limiter = anyio.CapacityLimiter(WORKERS)

    async def named(self, look_up: Question, viewer: Viewer) -> Sequence[HeldLibrary]:
        """Return the held libraries that a look-up means by id, or by the exact name rule.

        Their names are project, title and the names in the registry. Private ones go alone.
        """
        return await to_thread.run_sync(self._named, look_up, viewer, limiter=self._limiter)

    def _named(self, look_up: Question, viewer: Viewer) -> Sequence[HeldLibrary]:
        held = _libraries(self._library.all(viewer), self._registry)
        asked = parse_id(look_up.library) or parse_id(f"/{look_up.library.strip()}")
        found = [each for each in held if asked is not None and asked.base in each.ids]
        found = found or self._fitting(look_up, held)
        return [each for each in found if each.is_private] or found

    def _fitting(self, look_up: Question, held: Sequence[HeldLibrary]) -> list[HeldLibrary]:
        rows = {each.entry.id: self._registry.row(each.entry.id) for each in held}
        index = NameIndex[Row](row_of_entry(each.entry, rows[each.entry.id]) for each in held)
        meant = {row.id for row in index.namesakes(look_up.library)}
        return [
            each
            for each in held
            if each.entry.id in meant
            and (each.is_private or agrees(look_up, each.entry.id, self._registry))
        ]


def _libraries(docsets: Iterable[Docset], registry: Registry) -> list[HeldLibrary]:
    """Return the libraries that `docsets` document, each once with its versions."""
    by_id: dict[str, list[Docset]] = {}
    for docset in docsets:
        by_id.setdefault(docset.id, []).append(docset)
    return [_held(each, registry.row(each[0].id)) for each in by_id.values()]


def _held(docsets: Sequence[Docset], row: Row | None) -> HeldLibrary:
    library_id, parsed = docsets[0].id, parse_id(docsets[0].id)
    project = parsed.project if parsed is not None else library_id
    snippets = sum(each.snippets for each in docsets)
    bare = Library(
        id=library_id,
        title=row.title if row is not None and row.title else project,
        description=f"Documentation that is held here, in {snippets:,} snippets.",
        snippets=snippets,
        reputation="Unknown",
        trust_score=None,
        benchmark=None,
        versions=tuple(each.version for each in docsets if each.version is not None),
        source=None,
        text="",
    )
    return HeldLibrary(
        replace(bare, text=format_entry(bare)),
        frozenset(each for docset in docsets for each in docset.ids),
        is_local(library_id) or any(each.owner != PUBLIC for each in docsets),
    )


def private_list(held: Sequence[HeldLibrary]) -> Answer:
    """Return the answer to a look-up that never goes upstream."""
    ids = _joined(held)
    return _alone(held, f"{ids}: private documentation held here; Context7 is not asked.")


def with_held(answer: Answer, held: Sequence[HeldLibrary]) -> Answer:
    """Return `answer` with the entries of `held` in front that it does not list; pure.

    Its other text stays as it is. Where it lists nothing that the name means, ours stand alone; a
    text in a form that is not known gets a note only.
    """
    if answer.outcome in _FAILED:
        return _in_place(answer, held)
    listed = parse_list(answer.text)
    if listed is None:
        return noted(answer, f"{_joined(held)}: its documentation is held here.")
    ids = {each.id for each in listed.libraries}
    missing = [each for each in held if ids.isdisjoint(each.ids)]
    if not missing:
        return answer
    other = listed.libraries[0]
    ours = [replace(each.entry, text=_as_others(each.entry, other)) for each in missing]
    why = "listed first, as its documentation is held here; the list lacks it."
    return noted(replace(answer, text=in_front(answer.text, ours)), f"{_joined(missing)}: {why}")


def _in_place(answer: Answer, held: Sequence[HeldLibrary]) -> Answer:
    """Return the entries of `held` in place of a failure, of suggestions or of no result."""
    cause = answer.note or " ".join(answer.text.split())
    lone = _alone(held, f"{_joined(held)}: known by documentation held here. {cause}")
    is_answered = answer.outcome is Outcome.NEGATIVE
    return lone if is_answered else replace(lone, outcome=Outcome.OFFLINE)


def _alone(held: Sequence[HeldLibrary], note: str) -> Answer:
    return Answer(
        text=entries([each.entry for each in held]),
        outcome=Outcome.HIT,
        tier=Tier.DOCSET,
        library_id=held[0].entry.id if len(held) == 1 else None,
        note=note,
    )


def _joined(held: Sequence[HeldLibrary]) -> str:
    return ", ".join(each.entry.id for each in held)


def _as_others(entry: Library, other: Library) -> str:
    """Return the text of `entry` with the constant lines that another entry of its list has."""
    lines = entry.text.split("\n")
    if "\n- Description:" not in other.text:
        lines = [line for line in lines if not line.startswith("- Description:")]
    if not other.reputation:
        lines = [line for line in lines if not line.startswith("- Source Reputation:")]
    return "\n".join(lines)


def joined_ids(library_id: str, held: Iterable[str], registry: Registry) -> set[str]:
    """Return those of the ids `held` that are the library `library_id` by another id.

    Context7 lists one product by several ids. Two are joined if one is the id of a package in the
    registry, and the package's name means exactly these two. An id that Context7 never listed, and
    whose title is therefore unknown, has to be the owner's own: `/fastapi/fastapi` is, and the fork
    `/someone/fastapi` is not.
    """
    return {each for each in held if _are_one(library_id, each, registry)}


def _are_one(library_id: str, other_id: str, registry: Registry) -> bool:
    rows = {each: registry.row(each) for each in (library_id, other_id)}
    names = [_names(*each) for each in rows.items()]
    packages = [row for row in rows.values() if row is not None and row.ecosystem]
    if len(rows) == 1 or not packages or names[0].isdisjoint(names[1]):
        return False
    if not all(_is_credible(*each) for each in rows.items()):
        return False
    titles = {each: row.title if row else "" for each, row in rows.items()}
    return any(registry.named(package.name, titles) == titles.keys() for package in packages)


def _is_credible(library_id: str, row: Row | None) -> bool:
    """Tell whether Context7 or a seed names the library, or its owner has the project's name."""
    library = parse_id(library_id)
    if row is not None or library is None:
        return row is not None
    shorter, longer = sorted((library.org.casefold(), library.project.casefold()), key=len)
    return shorter == longer or (len(shorter) >= LEAST_OWNER and shorter in longer)


def _names(library_id: str, row: Row | None) -> set[str]:
    """Return the names that two ids of a product share; the exact rule decides later."""
    library = parse_id(library_id)
    names = [library.project] if library is not None else []
    if row is not None:
        names += [row.title, row.name, *row.aliases]
    return {name_key(name) for name in names if name}

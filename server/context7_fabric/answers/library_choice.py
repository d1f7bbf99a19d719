"""Exact choice of the library that a name or a project's dependency means, and stored lessons."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from context7_fabric.answers.lookup import names_of
from context7_fabric.answers.response import read_list
from context7_fabric.errors import StoreError
from context7_fabric.fabric.context import Json
from context7_fabric.models import Answer, Outcome, Question, Tier, Viewer
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.libraries import Library
from context7_fabric.registry.choices import LearnedChoices, TaughtName, found_row, learned_rows
from context7_fabric.registry.matching import NameIndex
from context7_fabric.registry.readings import Ecosystems, languages_in
from context7_fabric.registry.registry import Registry, RowTable
from context7_fabric.registry.rows import Row

if TYPE_CHECKING:
    from context7_fabric.project.dependencies import Dependency

IN_PYTHON = "in Python"
"""Purpose of a look-up by the client library, whose callers are Python programs."""

UNKNOWN = "unknown"
"""The category of a library without one."""


class LibraryChoices:
    """Libraries meant by names for one holder: by its lessons, its choices, then the registry.

    A holder's lessons and choices are no part of the registry and answer no other holder.
    """

    def __init__(self, registry: Registry, learned: LearnedChoices, viewer: Viewer) -> None:
        """Search `registry`, which has to be loaded; store in `learned` for `viewer`."""
        self._registry = registry
        self._learned = learned
        self._principal = viewer.principal
        self._holder = viewer.holder

    async def meant(self, name: str) -> Row | None:
        """Return the row that `name` means, with an id that upstream is believed to know.

        A name that is used in several languages means the library that Python programs install.
        """
        row = await self.lesson(Question(name)) or await self._chosen(name)
        if row is not None:
            return row
        registry = self._registry
        row = found_row(name, registry) or found_row(name, registry, IN_PYTHON)
        return usable(row) if row else None

    async def lesson(self, look_up: Question) -> Row | None:
        """Return the row that the holder stored for a name, None when it stored none."""
        return await self._learned.lesson(names_of(look_up, self._registry), self._holder)

    async def lessons(self) -> list[Row]:
        """Return the rows that the holder stored."""
        return await self._learned.lessons(self._holder)

    async def rows(self) -> list[Row]:
        """Return the rows that the holder sees: the registry's, some replaced by its own."""
        own = {row.key: row for row in await self.lessons()}
        return [*own.values(), *(row for row in self._registry.rows() if row.key not in own)]

    async def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id`, the holder's own first."""
        own = (row for row in await self.lessons() if row.id == library_id)
        return next(own, None) or self._registry.row(library_id)

    async def learn(self, lessons: Sequence[TaughtName], now: float) -> None:
        """Store `lessons`.

        Raises:
            ContextError: The store does not take one of them.
            StoreError: It fails, or takes no writes.
        """
        rows = learned_rows(lessons, self._registry, RowTable(await self.lessons()), now)
        named = {
            each: row
            for name, row in rows.items()
            for each in names_of(Question(name), self._registry)
        }
        if not await self._learned.teach(named, self._holder):
            raise StoreError("the libraries could not be stored: see the log for the reason")
        for name, row in named.items():
            await self._learned.choose(name, row.id, self._holder)

    async def _chosen(self, name: str) -> Row | None:
        """Return the row that was chosen for `name`, if it goes by that name."""
        names = names_of(Question(name), self._registry)
        chosen = await self._learned.choice(names, self._holder)
        if chosen is None:
            return None
        row = self._registry.row(await self._learned.moved(chosen, self._principal))
        if row is None or row.id not in self._registry.named(name, {row.id: row.title}):
            return None
        return usable(row)


def usable(row: Row) -> Row | None:
    """Return `row`; None when its id is not known, or not upstream's any more."""
    return row if row.id and not row.broken else None


def metadata_of(row: Row) -> dict[str, Json]:
    """Return the public fields of a row; `last_verified` is empty where it never was."""
    verified = row.last_verified
    return {
        "library_name": row.name,
        "library_id": row.id,
        "aliases": list(row.aliases),
        "category": row.category or UNKNOWN,
        "ecosystem": row.ecosystem,
        "description": row.description,
        "last_verified": "" if verified is None else shown_moment(verified),
        "usage_count": row.usage_count,
        "source": row.source,
    }


def shown_moment(moment: float) -> str:
    """Return a time in epoch seconds in ISO 8601."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


UNLISTED = "Context7 does not list this id for the name; it comes from the local registry."

_DECIDED = frozenset({Tier.LEARNED, Tier.PIN, Tier.SEED, Tier.LOCAL})
"""Tiers of answers that name the library meant themselves, if there is one."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})

# Names of many libraries' projects: as a name each would mean any that is listed.
_GENERIC = re.compile(
    "api|app|book|cli|client|code|core|docs?|documentation|examples?|frontend|guides?|handbook|home"
    "|lib|library|main|manual|monorepo|package|python|repo|sdk|server|site|source|src|web|website"
    "|wiki|www"
)


def candidates(answer: Answer) -> tuple[str, ...]:
    """Return the ids that the answer to a look-up lists."""
    return tuple(entry.id for entry in _entries(answer))


def with_exact_match(look_up: Question, answer: Answer, registry: Registry) -> Answer:
    """Return `answer` with the id of the one library that the name means exactly, if there is one.

    A note says so where that library is not listed.
    """
    entries, library_id = _entries(answer), answer.library_id
    if answer.tier not in _DECIDED and answer.outcome not in _FAILED and entries:
        library_id = library_id or _meant(look_up, entries, registry)
    unlisted = library_id is not None and all(entry.id != library_id for entry in entries)
    note = " ".join(filter(None, (answer.note, UNLISTED if unlisted else None))) or None
    return replace(answer, library_id=library_id, note=note)


def _entries(answer: Answer) -> tuple[Library, ...]:
    listed = read_list(answer.text)
    return listed.libraries if listed else ()


def _meant(look_up: Question, entries: Sequence[Library], registry: Registry) -> str | None:
    """Return the id of the registry's row if it is listed or alone; else of the entry that fits."""
    match = registry.find(look_up.library, look_up.text)
    row = usable(match.row) if match else None
    if row is not None and any(entry.id == row.id for entry in entries):
        return row.id
    rivals = [] if match else registry.namesakes(look_up.library, look_up.text)
    index = NameIndex(
        [*rivals, *(row_of_entry(entry, registry.row(entry.id)) for entry in entries)]
    )
    fitting = index.find(look_up.library, look_up.text)
    if fitting is not None:
        return fitting.row.id or None
    several = index.namesakes(look_up.library, look_up.text)
    return row.id if row is not None and not several else None


def row_of_entry(entry: Library, known: Row | None) -> Row:
    """Return an entry as a row that goes by its title, and by its project unless it is known."""
    if known is not None and known.ecosystem:
        return replace(known, aliases=(*known.aliases, entry.title))
    library = parse_id(entry.id)
    project = library.project if library and library.version is None else ""
    named = "" if "/" in project or _GENERIC.fullmatch(project.casefold()) else project
    return Row(entry.id, "", entry.id, (entry.title, named))


@dataclass(frozen=True, slots=True)
class _PackageIndex:
    """Ecosystem of dependencies: the purpose of their look-ups, and its name in the registry.

    The purpose names the language so that the exact rule admits no library of another one.
    """

    purpose: str
    ecosystem: str
    language: re.Pattern[str]


def _index(purpose: str, ecosystem: str, language: str) -> _PackageIndex:
    return _PackageIndex(purpose, ecosystem, re.compile(rf"\b(?:{language})\b", re.IGNORECASE))


_PACKAGES = {
    "python": _index("Python package from PyPI", "pypi", "python"),
    "javascript": _index("JavaScript package from npm", "npm", "javascript|typescript|node"),
    "rust": _index("Rust crate from crates.io", "crates", "rust"),
    "go": _index("Golang module", "go", "go|golang"),
    "php": _index("PHP package from Packagist", "other", "php"),
    "ruby": _index("Ruby gem from RubyGems", "other", "ruby|rails"),
}
_MAJOR_SUFFIX = re.compile(r"(?:/|\.)v\d+$")
_NAMES_REPOSITORY = re.compile(r"(?:github\.com/)?(?P<id>[\w.-]+/[\w.-]+)", re.ASCII)


def look_up_of(dependency: Dependency, registry: Registry) -> Question:
    """Return the look-up for a project's dependency: its name, and its language as the purpose.

    A Go module is called as the registry knows it, else by its repository.
    """
    purpose = _PACKAGES[dependency.ecosystem].purpose
    names = list(_names_of_package(dependency))
    known = (name for name in names if registry.find(name, purpose) is not None)
    return Question(next(known, names[-1]), purpose)


def _names_of_package(dependency: Dependency) -> Iterator[str]:
    yield dependency.name
    if dependency.ecosystem == "go":
        bare = _MAJOR_SUFFIX.sub("", dependency.name)
        yield bare
        if match := _NAMES_REPOSITORY.fullmatch(bare):
            yield match["id"]


def library_of(
    dependency: Dependency, found: Answer, registry: Registry, repositories: Collection[str] = ()
) -> str | None:
    """Return the id of the library that a dependency means; None if that is not certain.

    `found` is the answer to its look-up. The exact rule decides, with the dependency's language as
    a part of the name. A listed library whose language the registry does not know counts only with
    proof: it is the repository that the name itself or an installed package names (`repositories`:
    ids in lower case), or it has the name and is described as one of that language.
    """
    look_up, entries = look_up_of(dependency, registry), _entries(found)
    package = _PACKAGES[dependency.ecosystem]
    exact = with_exact_match(look_up, found, registry).library_id
    if exact is not None and (
        found.tier is Tier.DOCSET or _ecosystem(exact, registry) == package.ecosystem
    ):
        return exact
    own = {*repositories, *(f"/{each}".lower() for each in _repositories_of(dependency))}
    listed = [entry.id for entry in entries if entry.id.lower() in own]
    if len(listed) == 1 and _ecosystem(listed[0], registry) in ("", package.ecosystem):
        return listed[0]
    plain = replace(found, library_id=None)
    named = with_exact_match(Question(look_up.library), plain, registry).library_id
    entry = next((each for each in entries if each.id == named), None)
    return entry.id if entry and _is_written_in(package, entry, registry) else None


def _repositories_of(dependency: Dependency) -> Iterator[str]:
    """Yield the repository that the dependency's name itself is."""
    name = _MAJOR_SUFFIX.sub("", dependency.name)
    match = _NAMES_REPOSITORY.fullmatch(name)
    if match and (dependency.ecosystem == "php" or name.startswith("github.com/")):
        yield match["id"]


def _ecosystem(library_id: str, registry: Registry) -> str:
    parsed = parse_id(library_id)
    row = registry.row(parsed.base if parsed else library_id)
    return row.ecosystem if row else ""


def _is_written_in(package: _PackageIndex, entry: Library, registry: Registry) -> bool:
    """Tell whether an entry is of a package's ecosystem, by its row or its description."""
    ecosystem = _ecosystem(entry.id, registry)
    if ecosystem and ecosystem != package.ecosystem:
        return False
    if ecosystem and ecosystem != "other":
        return True
    languages = languages_in(entry.description)
    permitted: Ecosystems = frozenset({package.ecosystem} - {"other"})
    return package.language.search(entry.description) is not None and languages == permitted

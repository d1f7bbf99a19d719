"""Pins in answers: the version that a look-up lists first, and the one that a question is about.

A version is chosen among those that Context7 lists or docsets hold: the one wanted, else the
nearest lower one. A project's file may name only a library that a look-up or a docset knows by that
name; a lock file never changes the library, only its version.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
from anyio import to_thread

from context7_fabric.answers.docset_names import HeldLibrary, joined_ids
from context7_fabric.answers.library_choice import library_of, with_exact_match
from context7_fabric.answers.response import entries
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.versions import not_above, same_version
from context7_fabric.fabric.read_cache import RevisionCache
from context7_fabric.models import Answer, Caller, CallTrace, Outcome, Question, Tier, Viewer
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.parsing.libraries import Library, LibraryList, format_entry, with_id
from context7_fabric.project.dependencies import Dependency
from context7_fabric.project.pins import Pin, ProjectPins, row_of_package
from context7_fabric.project.projects import Projects
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.readings import both, languages_in, readings
from context7_fabric.registry.registry import Registry

LOAD_SECONDS: Final = 15.0
"""Seconds that a call in a project waits for the registry to be loaded, after the start."""

MOST_DECIDED: Final = 256
"""Libraries of which it is kept whether they are a dependency."""

WORKERS: Final = 2
"""Threads that read the versions of docsets at once."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})
_SHOWN = re.compile(r"[\w./@+-]{1,120}", re.ASCII)

Versions = Mapping[str, Sequence[str]]
"""Versions that docsets hold, by the ids of their libraries in lower case."""


@dataclass(frozen=True, slots=True)
class WantedLibrary:
    """Library and version that a pin or a lock file asks for.

    `base` is the id that a pin names; without one it is the library of a `dependency`. `version` is
    None for a pin without one; `origin` is the file.
    """

    base: str | None
    version: str | None
    origin: str
    trusted: bool = False
    dependency: Dependency | None = None

    @property
    def reason(self) -> str:
        """The words after "which": who wants it."""
        if self.trusted:
            return "the user has pinned"
        origin = self.origin if _SHOWN.fullmatch(self.origin) else "one of its files"
        if self.base is not None:
            return f"{origin} of this project pins"
        return f"this project uses ({origin})"


@dataclass(frozen=True, slots=True)
class PinInForce:
    """Library that a pin or a lock file chose, with its version if there is one."""

    library: LibraryId
    wanted: WantedLibrary

    @property
    def is_exact(self) -> bool:
        """Tell whether the version is the one wanted, and not a lower one."""
        version, wanted = self.library.version, self.wanted.version
        return version is None or wanted is None or same_version(version, wanted)

    @property
    def as_listed(self) -> str:
        """The remark on a list that the library leads."""
        reason = self.wanted.reason
        if self.is_exact:
            kind = "version" if self.library.version is not None else "library"
            return f"{self.library} is listed first: the {kind} that {reason}."
        return (
            f"{self.library} is listed first: the nearest lower version to"
            f" {self.wanted.version}, which {reason} and which is not listed."
        )

    @property
    def as_asked(self) -> str:
        """The remark on the answer to a question."""
        version, reason = self.library.version, self.wanted.reason
        if self.is_exact:
            return f"For version {version}, which {reason}."
        wanted = self.wanted.version
        return f"For version {version}, the nearest lower one to {wanted}, which {reason}."

    @property
    def as_missed(self) -> str:
        """The remark on the answer without a version, where the version gave none."""
        return (
            f"There is no answer for version {self.wanted.version}, which {self.wanted.reason}:"
            " this one is for no fixed version."
        )


@dataclass(frozen=True, slots=True)
class LookUpPins:
    """Libraries that pins and lock files want for one look-up, by authority.

    `held` are the versions of docsets; `registry` knows the rows of pins that no list has.
    """

    wanted: Sequence[WantedLibrary]
    held: Versions
    registry: Registry

    def first(
        self, answer: Answer, listed: LibraryList, named: Collection[str]
    ) -> tuple[PinInForce, Library] | None:
        """Return the pin that counts for a list, and the entry that goes first; None without one.

        `answer` is that with the list; `named` are the ids that the name means by the exact rule.
        """
        by_id = {entry.id: entry for entry in listed.libraries}
        for wanted in self.wanted:
            entries = self._candidates(wanted, answer, by_id, named)
            found = [each for each in (self._pinned(wanted, one) for one in entries) if each]
            if found:
                return next((each for each in found if each[0].is_exact), found[0])
        return None

    def alone(self, answer: Answer, trace: CallTrace) -> Answer:
        """Return the library that the user pins in place of a failure or of no result."""
        own = next((each for each in self.wanted if each.trusted), None)
        if own is None or own.base is None or answer.outcome not in _FAILED:
            return answer
        found = self._pinned(own, made_entry(own.base, self.registry))
        if found is None:
            return answer
        pin, entry = found
        trace.pin = pin.as_listed
        cause = answer.note or " ".join(answer.text.split())
        outcome = Outcome.HIT if answer.outcome is Outcome.NEGATIVE else Outcome.OFFLINE
        note = f"{pin.as_listed} {cause}"
        return Answer(entries([entry]), outcome, Tier.PIN, library_id=entry.id, note=note)

    def on_held(
        self, held: Sequence[HeldLibrary]
    ) -> tuple[Sequence[HeldLibrary], PinInForce | None]:
        """Return held libraries, that of the version wanted first and with its entry; its pin."""
        for wanted in self.wanted:
            meant = wanted.base
            if wanted.dependency is not None:
                listed = _listing([each.entry for each in held], Tier.DOCSET)
                meant = own_library(wanted.dependency, listed, self.registry) if held else None
            for at, each in enumerate(held):
                found = self._pinned(wanted, each.entry) if meant in each.ids else None
                if found is not None:
                    first = replace(each, entry=found[1])
                    return [first, *held[:at], *held[at + 1 :]], found[0]
        return held, None

    @property
    def ignored(self) -> str | None:
        """The remark that pins of files name no library of the list; None without such pins."""
        origins = {each.origin for each in self.wanted if each.base and not each.trusted}
        if not origins:
            return None
        files = ", ".join(sorted(origins))
        return f"A pin in {files} of this project is ignored: no list has its library by this name."

    def _candidates(
        self,
        wanted: WantedLibrary,
        answer: Answer,
        by_id: Mapping[str, Library],
        named: Collection[str],
    ) -> Sequence[Library]:
        """Return the entries that are the library wanted, the likeliest first.

        They are that of the pin's id; for a dependency that of its library, and those of the other
        ids of the same product.
        """
        if wanted.dependency is None:
            base = wanted.base or ""
            made = [made_entry(base, self.registry)] if wanted.trusted else []
            return [by_id[base]] if base in by_id else made
        own = own_library(wanted.dependency, answer, self.registry)
        joined = {own, *joined_ids(own, named, self.registry)} if own else set()
        return sorted((by_id[each] for each in by_id if each in joined), key=lambda e: e.id != own)

    def _pinned(self, wanted: WantedLibrary, entry: Library) -> tuple[PinInForce, Library] | None:
        library = parse_id(entry.id)
        if library is None or library.version is not None:
            return None
        if wanted.version is not None:
            known = [*entry.versions, *self.held.get(entry.id.casefold(), ())]
            version = chosen_version(wanted, known)
            if version is not None:
                library = replace(library, version=version)
        if library.version is None and wanted.base is None:
            return None
        return PinInForce(library, wanted), with_id(entry, str(library))


def own_library(each: Dependency, found: Answer, registry: Registry) -> str | None:
    """Return the id of the library that a dependency is, of those that `found` lists, else None.

    The exact rule decides. The documentation that a docset holds counts by its name alone, if the
    registry does not know its library: the user has added it.
    """
    own = library_of(each, found, registry)
    if own is not None or found.tier is not Tier.DOCSET:
        return own
    named = with_exact_match(Question(each.name), found, registry).library_id
    return named if named is not None and registry.row(named) is None else None


def made_entry(base: str, registry: Registry) -> Library:
    """Return an entry of ours for an id, with what `registry` knows of it."""
    row, library = registry.row(base), parse_id(base)
    project = library.project if library is not None else base
    bare = Library(
        id=base,
        title=(row.title if row else "") or project,
        description=row.description if row else "",
        snippets=row.snippets if row else None,
        reputation=(row.reputation if row else None) or "Unknown",
        trust_score=None,
        benchmark=row.score if row else None,
        versions=row.versions if row else (),
        source=None,
        text="",
    )
    return replace(bare, text=format_entry(bare))


def _listing(listed: Sequence[Library], tier: Tier) -> Answer:
    return Answer(entries(listed), Outcome.HIT, tier)


def chosen_version(wanted: WantedLibrary, known: Sequence[str]) -> str | None:
    """Return the version among those `known` that counts for the one wanted, None for none.

    The user's own counts as it is where no version is known at all.
    """
    if wanted.version is None or (wanted.trusted and not known):
        return wanted.version
    return not_above(wanted.version, known)


@dataclass(frozen=True, slots=True)
class PinnedQuestion:
    """Question to the version that a pin or a lock file chose."""

    question: Question
    pin: PinInForce


class PinnedLibraries:
    """Pins in force for callers; the registry and docsets say which versions there are."""

    def __init__(
        self,
        projects: Projects,
        registry: Registry,
        learned: LearnedChoices,
        docsets: DocsetLibrary,
    ) -> None:
        """Read the pins of `projects`; ids are joined by `registry` and `learned`."""
        self.projects = projects
        self._registry = registry
        self._learned = learned
        self._docsets = docsets
        self._decided = RevisionCache[tuple[Dependency, ...]](_minute, MOST_DECIDED)
        self._versions: tuple[tuple[int, Viewer], Versions] | None = None
        self._revision = 0  # of the docsets, when they were last read for a question
        self._limiter = anyio.CapacityLimiter(WORKERS)

    def digest(self, caller: Caller) -> str | None:
        """Return the digest of the pins in force, None where they have to be looked at first."""
        digest = self.projects.digest(caller.project)
        return f"{digest} {self._revision}" if digest else digest

    async def of_look_up(self, look_up: Question, caller: Caller) -> LookUpPins | None:
        """Return what pins and lock files want for a look-up, None if that is nothing."""
        pins = await self._in_force(caller)
        wanted = list(self._wanted(pins, look_up)) if pins else []
        if not wanted:
            return None
        return LookUpPins(wanted, await self._held(caller), self._registry)

    async def of_question(self, question: Question, caller: Caller) -> PinnedQuestion | None:
        """Return a question to the pinned version of its library, None if none is pinned.

        A question whose id has a version keeps it.
        """
        asked = parse_id(question.library)
        pins = await self._in_force(caller) if asked and asked.version is None else None
        if asked is None or not pins:
            return None
        pin = await self.of_library(asked, pins, caller)
        if pin is None:
            return None
        return PinnedQuestion(replace(question, library=str(pin.library)), pin)

    async def of_library(
        self, asked: LibraryId, pins: ProjectPins, caller: Caller
    ) -> PinInForce | None:
        """Return the version of a library that `pins` choose, None for none."""
        moved = parse_id(await self._learned.moved(str(asked), caller.principal)) or asked
        if moved.version is not None:
            return None
        bases = dict.fromkeys((moved.base, asked.base))
        held = await self._held(caller)
        wanted = self._wanted_of(pins, bases, held)
        if wanted is None:
            return None
        of_docsets = held.get(moved.base.casefold(), ())
        version = chosen_version(wanted, [*self._listed(bases), *of_docsets])
        if version is None:
            # Another process, such as `warm` in a shell, may have looked the library up since.
            await self._registry.load_if_changed()
            version = chosen_version(wanted, [*self._listed(bases), *of_docsets])
        return None if version is None else PinInForce(replace(moved, version=version), wanted)

    async def in_force(self, library: LibraryId, caller: Caller) -> PinInForce | None:
        """Return the pinned version of a library, None for none."""
        pins = await self._in_force(caller)
        return await self.of_library(library, pins, caller) if pins else None

    async def _in_force(self, caller: Caller) -> ProjectPins:
        pins = await self.projects.of(caller.project)
        if pins and not self._registry.loaded.is_set():
            with anyio.move_on_after(LOAD_SECONDS):
                await self._registry.loaded.wait()
        return pins

    def _listed(self, bases: Iterable[str]) -> list[str]:
        rows = map(self._registry.row, bases)
        return [version for row in rows if row is not None for version in row.versions]

    async def _held(self, caller: Caller) -> Versions:
        """Return the versions of the docsets that the caller may read and uses."""
        if caller.docsets == "off":
            return {}
        read = partial(self._read_versions, caller.viewer)
        self._revision, versions = await to_thread.run_sync(read, limiter=self._limiter)
        return versions

    def _read_versions(self, viewer: Viewer) -> tuple[int, Versions]:
        revision, known = self._docsets.revision(), self._versions
        if known is not None and known[0] == (revision, viewer):
            return revision, known[1]
        found: dict[str, list[str]] = {}
        for docset in self._docsets.all(viewer):
            for each in docset.ids if docset.version is not None else ():
                found.setdefault(each.casefold(), []).append(docset.version or "")
        self._versions = (revision, viewer), found
        return revision, found

    def _wanted(self, pins: ProjectPins, look_up: Question) -> Iterator[WantedLibrary]:
        """Yield what pins, and then lock files, want for a look-up."""
        for pin in self._named(pins.pins, look_up):
            yield _of_pin(pin, pins)
        found = pins.index.meant(look_up.library, look_up.text, self._registry)
        if found is not None:
            yield _of_dependency(found)

    def _named(self, pins: Sequence[Pin], look_up: Question) -> Iterator[Pin]:
        """Yield the pins whose name a look-up means; one that names a version means none."""
        match = self._registry.find(look_up.library, look_up.text)
        read = list(readings(look_up.library))
        if (match.version if match else read[-1].version) is not None:
            return
        names = {reading.name for reading in read} - {""}
        for pin in pins:
            languages = languages_in(look_up.text, besides=pin.called)
            admits = pin.admits(both(read[-1].ecosystems, languages))
            own = self._registry.find(pin.called) if match and admits else None
            is_one = own is not None and match is not None and own.row.key == match.row.key
            if admits and (pin.called in names or is_one):
                yield pin

    def _wanted_of(
        self, pins: ProjectPins, bases: Collection[str], held: Versions
    ) -> WantedLibrary | None:
        """Return what pins, and then lock files, want for a library with one of the ids."""
        for pin in pins.pins:
            wanted = _of_pin(pin, pins) if pin.library.base in bases else None
            if wanted is not None and wanted.version is not None:
                return wanted
        for base in bases:
            named = self._dependencies(pins, base)
            found = named and self._dependency(base, named, is_held=base.casefold() in held)
            if found:
                return _of_dependency(found)
        return None

    def _dependency(
        self, base: str, named: Sequence[Dependency], *, is_held: bool
    ) -> Dependency | None:
        """Return the one dependency that is a library, of those with a name of it.

        What was decided is kept for a minute, as long as the rows concerned stay the same.
        """
        rows = (self._registry.row(base), *(row_of_package(each, self._registry) for each in named))
        facts = tuple(row and (row.key, row.id, row.title, row.broken) for row in rows)
        key, as_of = (base, tuple(named), facts, is_held), self._decided.revision()
        decided = self._decided.get(key)
        if decided is None:
            tier = Tier.DOCSET if is_held else Tier.UPSTREAM
            own = _listing([made_entry(base, self._registry)], tier)
            found = [each for each in named if self._is(base, own, each)]
            decided = tuple(found[:1]) if len(found) == 1 else ()
            self._decided.keep(key, decided, as_of)
        return decided[0] if decided else None

    def _dependencies(self, pins: ProjectPins, base: str) -> Sequence[Dependency]:
        """Return the dependencies with a name of the library; they need not be the library."""
        library, row = parse_id(base), self._registry.row(base)
        names = [library.project] if library is not None else []
        if row is not None:
            names += [row.title, row.name, *row.aliases]
        found = (each for name in names if name for each in pins.index.called(name))
        return list(dict.fromkeys(found))

    def _is(self, base: str, listed: Answer, each: Dependency) -> bool:
        """Tell whether a dependency is the library `base`, which alone is `listed`."""
        own = own_library(each, listed, self._registry)
        return own is not None and (own == base or base in joined_ids(own, [base], self._registry))


def _minute() -> int:
    return int(time.monotonic() // 60)


def _of_pin(pin: Pin, pins: ProjectPins) -> WantedLibrary:
    """Return what a pin wants; one without a version takes that of the dependency of its name."""
    version = pin.library.version
    if version is None:
        named = pins.index.called(pin.called, pin.ecosystems)
        version = named[0].version if len(named) == 1 else None
    return WantedLibrary(pin.library.base, version, pin.origin, pin.trusted)


def _of_dependency(each: Dependency) -> WantedLibrary:
    return WantedLibrary(None, each.version, each.file, dependency=each)

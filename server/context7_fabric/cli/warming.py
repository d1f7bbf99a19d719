"""Filling of the store for one project: look-ups, docsets and first questions, within a budget."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from context7_fabric.cli.add import QUESTION, SOURCE_LINE
from context7_fabric.cli.session import CommandSession
from context7_fabric.docsets.ingestion import DocsetRequest, IngestionReport
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.sources.discovery import Discovered, candidates, repository_file
from context7_fabric.docsets.sources.packages import installed_packages, project_environment
from context7_fabric.docsets.versions import not_above
from context7_fabric.errors import DocsetError, DocsetSourceError, SourceNotFound, SourceUnavailable
from context7_fabric.models import Viewer
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.project.dependencies import Dependency
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.settings import Settings
from context7_fabric.settings.values import OffTarget

FAILURES = 2
"""Failed calls in a row after which Context7 is not asked any more; the same for sources."""


@dataclass
class WarmedLibrary:
    """One dependency: the library that it means, and what is held to answer for it.

    `id` is the library at the version that questions are asked of, `docset` the name of the one
    held, `asked` the questions with a stored answer, `places` where its documentation may lie
    (None: not known yet), `candidates` what the look-up listed. `is_open`: one may show more.
    `refused` are the ids that Context7 does not know, though they were listed.
    """

    dependency: Dependency
    urls: Sequence[str] = ()
    id: LibraryId | None = None
    is_open: bool = True
    docset: str | None = None
    asked: set[str] = field(default_factory=set)
    places: Sequence[Discovered] | None = None
    candidates: Sequence[str] = ()
    refused: set[LibraryId] = field(default_factory=set)
    note: str = ""

    @property
    def needs_answers(self) -> bool:
        """Tell whether to ask questions about it: Context7 may know it, and it has no docset."""
        return self.id is not None and self.id not in self.refused and not self.docset

    @property
    def repositories(self) -> list[str]:
        """The ids of the repositories that the installed package names."""
        files = (repository_file(url.removeprefix("git+")) for url in self.urls)
        return sorted({file.repository.id for file in files if file})


@dataclass(frozen=True)
class WarmOptions:
    """Bounds of a run: calls upstream at most, first questions, and whether docsets are made."""

    max_calls: int
    questions: Sequence[str]
    with_docsets: bool


@dataclass(frozen=True)
class WarmPlan:
    """Announcement of a run: numbers of libraries by what they need, and calls at most."""

    libraries: int = 0
    held: int = 0
    look_ups: int = 0
    docsets: int = 0
    calls: int = 0


class Warming:
    """One run of `warm` in a project; what it has done so far can be read at any time."""

    def __init__(
        self,
        session: CommandSession,
        docsets: DocsetLibrary,
        settings: Settings,
        options: WarmOptions,
        folder: Path,
    ) -> None:
        """Ask through `session`, and add to `docsets`, for the project in `folder`."""
        self.options = options
        self.plan = WarmPlan()
        self.libraries: list[WarmedLibrary] = []
        self.calls = 0
        self._agreed = options.max_calls
        self.stopped = ""
        """Reason why Context7 is not asked any more; empty while it is."""
        self._session = session
        self._docsets = docsets
        self._settings = settings
        self._folder = folder
        self._failures = 0
        self._visited = self._unreached = 0
        self._seed_ids = {row.id.lower() for row in load_seeds(settings.seed_file).rows if row.id}
        self._makes_docsets = options.with_docsets
        if isinstance(settings.upstream.target, OffTarget):
            self.stopped = "CONTEXT7_FABRIC_UPSTREAM=off"
            self._makes_docsets = False

    @property
    def left(self) -> int:
        """Number of calls that may still be made, of those that the plan announced."""
        return 0 if self.stopped else max(self._agreed - self.calls, 0)

    @property
    def is_short(self) -> bool:
        """Tell whether more calls would add something."""
        return any(each.is_open or self._has_open_question(each) for each in self.libraries)

    @property
    def to_do(self) -> int:
        """Number of steps to go, by what is known now; it shows how long a run will take."""
        unknown = len(self.libraries) - self._visited
        questions = sum(len(self._lacking(each)) for each in self.libraries if each.needs_answers)
        return unknown + min(questions, self.left)

    def look(self, dependencies: Sequence[Dependency]) -> WarmPlan:
        """Read what is held for `dependencies`, without a call; return what a run would do."""
        environment = project_environment(os.environ, self._folder)
        for each in dependencies:
            library = WarmedLibrary(each, _urls(each, self._folder, environment))
            self.libraries.append(library)
            self._identify(library, 0)
        self.plan = self._plan()
        self._agreed = self.plan.calls
        return self.plan

    def _plan(self) -> WarmPlan:
        return WarmPlan(
            libraries=len(self.libraries),
            held=sum(1 for each in self.libraries if each.docset or each.asked),
            look_ups=sum(each.is_open for each in self.libraries),
            docsets=sum(map(self._may_get_docset, self.libraries)),
            calls=min(sum(map(self._most_calls, self.libraries)), self.left),
        )

    def _may_get_docset(self, library: WarmedLibrary) -> bool:
        is_known = library.id is not None or (library.is_open and self.left > 0)
        places = library.places
        is_placed = places is None or any(each.certain for each in places)
        return self._makes_docsets and is_known and is_placed and not library.docset

    def _most_calls(self, library: WarmedLibrary) -> int:
        if library.docset or (library.id is None and not library.is_open):
            return 0
        return library.is_open + len(self._lacking(library))

    def _lacking(self, library: WarmedLibrary) -> list[str]:
        """Return the questions without a stored answer; the one for the source is the first."""
        first = [QUESTION] if self._makes_docsets else []
        wanted = dict.fromkeys((*first, *self.options.questions))
        return [each for each in wanted if each not in library.asked]

    def _has_open_question(self, library: WarmedLibrary) -> bool:
        is_asked = library.asked.issuperset(self.options.questions)
        return library.needs_answers and not is_asked

    def run(self, report: Callable[[WarmedLibrary], IngestionReport]) -> Iterator[WarmedLibrary]:
        """Look up each library and hold its documentation; then ask about those without a docset.

        A library is yielded when a step about it has ended; `report` takes the progress of its
        docset.
        """
        self._session.shows_waits = False
        for each in self.libraries:
            if each.is_open and each.id is None and self.left > 0:
                self._identify(each, self.left)
            if self._may_get_docset(each):
                self._document(each, report(each))
            self._visited += 1
            yield each
        for question in self.options.questions:
            for each in self.libraries:
                if each.needs_answers and question not in each.asked:
                    self._ask(each, question, self.left)
                    yield each

    def _identify(self, library: WarmedLibrary, calls: int) -> None:
        """Find the library that a dependency means, with what is stored of it."""
        found = self._session.ask(
            "dependency",
            dependency=asdict(library.dependency),
            repositories=library.repositories,
            calls=calls,
        )
        self._count(found)
        library.is_open = found["is_open"]
        library.candidates = found.get("candidates", ())
        library.id, library.note = None, found.get("failure") or ""
        base = parse_id(found["library_id"] or "")
        if base is None:
            return
        library.id = _at_version(base, library.dependency.version, found["versions"])
        library.is_open = False
        library.asked = {text for subject, text in found["answers"] if subject == str(library.id)}
        self._find_docset(library, base)
        if self._makes_docsets and not library.docset and QUESTION in library.asked:
            self._locate(library, 0)

    def _find_docset(self, library: WarmedLibrary, base: LibraryId) -> None:
        """Find the docset at the version of a library, else the one whose source says none."""
        version, whole = library.dependency.version, LibraryId(base.org, base.project)
        wanted = LibraryId(base.org, base.project, version or base.version)
        exact, index = self._docsets.find(wanted, Viewer()), self._docsets.find(whole, Viewer())
        if exact is None and index is not None and index.docset.version is None:
            library.docset, library.note = index.docset.name, f"which may not be of {version}"
        else:
            library.docset = exact.docset.name if exact else None

    def _ask(self, library: WarmedLibrary, question: str, calls: int) -> Sequence[str]:
        """Ask a question so that its answer is stored; return the addresses of its snippets."""
        if not library.needs_answers or (not calls and question not in library.asked):
            return ()
        answer = self._session.ask("warm", library=str(library.id), question=question, calls=calls)
        self._count(answer)
        if answer["is_stored"]:
            library.asked.add(question)
        elif answer["refusal"]:
            self._look_again(library, answer["refusal"])
            return self._ask(library, question, self.left)
        else:
            library.note = answer["failure"] or library.note
        return SOURCE_LINE.findall(answer["text"])

    def _look_again(self, library: WarmedLibrary, refusal: str) -> None:
        """Look up a library once more whose id Context7 does not know, though it was listed."""
        is_first = not library.refused
        if library.id is not None:
            library.refused.add(library.id)
        if is_first and self.left > 0:
            self._identify(library, self.left)
        if library.id in library.refused:
            library.note = refusal

    def _count(self, reply: Mapping[str, Any]) -> None:
        """Count the calls of a reply; stop asking where Context7 does not answer any more."""
        self.calls += reply["calls"]
        if reply["calls"]:
            self._failures = self._failures + 1 if reply.get("failure") else 0
        if not self.stopped and (reply.get("paused") or self._failures >= FAILURES):
            self.stopped = reply.get("paused") or reply["failure"]

    def _locate(self, library: WarmedLibrary, calls: int) -> None:
        """Find where the documentation of a library may lie, with at most `calls` calls."""
        sources = self._ask(library, QUESTION, calls)
        if library.id is None or library.docset:
            return
        base = library.id.base
        library.places = candidates(
            base,
            sources,
            version=library.dependency.version,
            known_ids={base} if base.lower() in self._seed_ids else (),
            project_urls=library.urls,
            hosts=self._settings.docsets.hosts,
        )

    def _document(self, library: WarmedLibrary, report: IngestionReport) -> None:
        """Hold the documentation of a library, where its source is certain."""
        if library.id is None or self._unreached >= FAILURES:
            return
        self._find_docset(library, library.id)  # another dependency may be of the same library
        if library.docset:
            return
        if library.places is None:
            self._locate(library, self.left)
        self._add_certain(library, report)

    def _add_certain(self, library: WarmedLibrary, report: IngestionReport) -> None:
        """Add the documentation of a library that is still known, where its source is certain."""
        if library.id is None or library.docset:
            return
        certain = [each for each in library.places or () if each.certain]
        if not certain and library.places:
            line = f"`context7-fabric add {library.id.base}` asks"
            library.note = f"the source of its documentation is not certain: {line}"
        self._add(library, library.id, certain, report)

    def _add(
        self,
        library: WarmedLibrary,
        library_id: LibraryId,
        places: Sequence[Discovered],
        report: IngestionReport,
    ) -> None:
        """Add the first of `places` that has documentation."""
        for each in places:
            request = DocsetRequest(each.source, library_id.base, library.dependency.version)
            try:
                change = self._docsets.add(request, report)
            except SourceNotFound as error:
                library.note = str(error)
            except (DocsetSourceError, DocsetError) as error:
                library.note = str(error)
                self._unreached += isinstance(error, SourceUnavailable)
                return
            else:
                self._unreached = 0
                library.docset, library.note = change.docset.name, change.note
                return


def _urls(dependency: Dependency, folder: Path, environment: Path | None) -> Sequence[str]:
    """Return the addresses in the metadata of a dependency's installed package."""
    from_npm = folder if dependency.ecosystem == "javascript" else None
    from_python = environment if dependency.ecosystem == "python" else None
    found = installed_packages(dependency.name, from_npm, from_python)
    return [url for each in found for url in each.urls]


def _at_version(base: LibraryId, version: str | None, listed: Sequence[str]) -> LibraryId:
    """Return a library at the version that a project's questions are asked of.

    That is its own, else the nearest lower one that Context7 lists, else none.
    """
    found = not_above(version, listed) if version else None
    return LibraryId(base.org, base.project, found) if found else base

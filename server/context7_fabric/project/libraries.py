"""Libraries of dependencies: the row that a package's name means by the exact rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from context7_fabric.project.dependencies import Dependency
from context7_fabric.registry.readings import both, languages_in, readings, spelling
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "python": ("pypi", "in Python"),
    "javascript": ("npm", "in JavaScript"),
    "rust": ("crates", "in Rust"),
    "go": ("go", "in Go"),
}
"""Ecosystem of the registry's rows for that of a dependency, and the purpose that names it."""


def library_of(ecosystem: str, name: str, registry: Registry) -> Row | None:
    """Return the row of the library that a package is, None if the registry has no such row.

    The whole name has to be a name of the row, in the package's own ecosystem: a word of it that
    names a language is part of it. The row's id is empty until upstream has listed it.
    """
    published, purpose = PUBLISHED.get(ecosystem, ("", ""))
    match = registry.find(name, purpose) if published else None
    if match is None or match.row.ecosystem != published or match.called != spelling(name):
        return None
    return match.row


class DependencyIndex:
    """Dependencies of one project by their names."""

    def __init__(self, dependencies: Iterable[Dependency]) -> None:
        """Hold `dependencies`; the first of each package counts first."""
        self._named: dict[str, list[Dependency]] = {}
        for each in dependencies:
            self._named.setdefault(spelling(each.name), []).append(each)

    def __bool__(self) -> bool:
        return bool(self._named)

    def called(self, name: str) -> Sequence[Dependency]:
        """Return the dependencies whose whole name is `name`, in any ecosystem."""
        return self._named.get(spelling(name), ())

    def of_row(self, row: Row, registry: Registry) -> Sequence[Dependency]:
        """Return the dependencies that are the library of `row`."""
        names = dict.fromkeys((row.name, *row.aliases))
        return [
            each
            for name in names
            for each in self.called(name)
            if (own := library_of(each.ecosystem, each.name, registry)) and own.key == row.key
        ]

    def meant(self, name: str, question: str, registry: Registry) -> Sequence[Dependency]:
        """Return the one dependency that a look-up means, at each of its versions; else none.

        It is the library that the name means by the exact rule. Where several libraries have the
        name, it is the one that the project uses, if that is one only. Where the registry knows no
        library of that name, it is the dependency that has it. A look-up that names a version means
        none: it has decided already.
        """
        match = registry.find(name, question)
        rows = [match.row] if match is not None else registry.namesakes(name, question)
        versions = [match.version] if match else [each.version for each in readings(name)]
        if any(version is not None for version in versions):
            return ()
        if rows:
            return _one([each for row in rows for each in self.of_row(row, registry)])
        return _one(list(self._read(name, question)))

    def _read(self, name: str, question: str) -> Iterator[Dependency]:
        for reading in readings(name):
            admitted = both(reading.ecosystems, languages_in(question, besides=reading.name))
            found = [
                each
                for each in self._named.get(reading.name, ())
                if admitted is None or PUBLISHED.get(each.ecosystem, ("", ""))[0] in admitted
            ]
            if found:
                yield from found
                return


def _one(found: Sequence[Dependency]) -> Sequence[Dependency]:
    """Return the dependencies if they are of one package, else none."""
    packages = {(each.ecosystem, each.name) for each in found}
    return found if len(packages) == 1 else ()

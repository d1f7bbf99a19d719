"""Dependencies of one project by the names of their libraries. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from context7_fabric.project.dependencies import Dependency
from context7_fabric.registry.readings import Ecosystems, both, languages_in, readings, spelling
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "python": ("pypi", "in Python"),
    "javascript": ("npm", "in JavaScript"),
    "rust": ("crates", "in Rust"),
    "go": ("go", "in Go"),
}
"""Ecosystem of the registry's rows for that of a dependency, and the purpose that names it."""

_MAJOR = re.compile(r"(?:/|\.)v\d+$")


def row_of_package(each: Dependency, registry: Registry) -> Row | None:
    """Return the row that a dependency has by the exact rule, None without one.

    The whole name has to be a name of the row, in the package's own ecosystem: a word of it that
    names a language is part of it. The row's id is empty until upstream has listed it.
    """
    published, purpose = PUBLISHED.get(each.ecosystem, ("", ""))
    for name in dict.fromkeys((each.name, _bare(each))) if published else ():
        match = registry.find(name, purpose)
        is_whole = match is not None and match.called == spelling(name)
        if match is not None and is_whole and match.row.ecosystem == published:
            return match.row
    return None


def _bare(each: Dependency) -> str:
    """Return the name of a Go module without its major version, any other name as it is."""
    return _MAJOR.sub("", each.name) if each.ecosystem == "go" else each.name


class DependencyIndex:
    """Dependencies of one project by their names."""

    def __init__(self, dependencies: Iterable[Dependency]) -> None:
        """Hold `dependencies`, of which each package is one."""
        self._named: dict[str, list[Dependency]] = {}
        for each in dependencies:
            for name in dict.fromkeys((spelling(each.name), spelling(_bare(each)))):
                self._named.setdefault(name, []).append(each)

    def called(self, name: str, ecosystems: Ecosystems | None = None) -> Sequence[Dependency]:
        """Return the dependencies whose whole name is `name`, in some of `ecosystems` or in any."""
        found = self._named.get(spelling(name), ())
        return [each for each in found if _is_in(each, ecosystems)]

    def meant(self, name: str, question: str, registry: Registry) -> Dependency | None:
        """Return the one dependency that a look-up means, None if that is none or not certain.

        It is the library that the name means by the exact rule. Where several libraries have the
        name, it is the one that the project uses, if that is one only. Where the registry knows no
        library of that name, it is the dependency that has it. A look-up that names a version means
        none: it has decided already.
        """
        match = registry.find(name, question)
        versions = [match.version] if match else [each.version for each in readings(name)]
        if any(version is not None for version in versions):
            return None
        rows = [match.row] if match is not None else registry.namesakes(name, question)
        found = self._of(rows, registry) if rows else self._read(name, question)
        one = list(dict.fromkeys(found))
        return one[0] if len(one) == 1 else None

    def _of(self, rows: Iterable[Row], registry: Registry) -> Iterator[Dependency]:
        for row in rows:
            for name in dict.fromkeys((row.name, *row.aliases)):
                for each in self.called(name):
                    own = row_of_package(each, registry)
                    if own is not None and own.key == row.key:
                        yield each

    def _read(self, name: str, question: str) -> Iterator[Dependency]:
        """Yield the dependencies that the first reading of a name names, which names any."""
        for reading in readings(name):
            hints = languages_in(question, besides=reading.name)
            found = self.called(reading.name, both(reading.ecosystems, hints))
            if found:
                yield from found
                return


def _is_in(each: Dependency, ecosystems: Ecosystems | None) -> bool:
    return ecosystems is None or PUBLISHED.get(each.ecosystem, ("", ""))[0] in ecosystems

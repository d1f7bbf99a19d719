"""Pins: the library, and its version, that the user or a project's files choose for a name.

Authority falls in this order: pins of the user in the home, those of `.context7-fabric.toml`, those
in the table `[tool.context7-fabric.pins]` of pyproject.toml, then the versions of lock files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from context7_fabric.docsets.versions import version_key
from context7_fabric.errors import UnreadableProjectFile, UnusablePin
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.project.dependencies import Dependencies, Dependency, read_dependencies
from context7_fabric.project.files import ProjectFolder
from context7_fabric.registry.readings import (
    LANGUAGES,
    Ecosystems,
    both,
    languages_in,
    read_name,
    readings,
    spelling,
)
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

PROJECT_FILE = ".context7-fabric.toml"
"""File of a project's folder whose table `pins` has its pins."""

PYPROJECT = "pyproject.toml"
USER_FILE = "pins.toml"
"""File of the home whose table `pins` has those of the user."""

LARGEST_FILE = 100_000
"""Bytes of a file of pins that are read."""

MOST_PINS = 1_000
"""Pins of one file that count."""

LONGEST_VALUE = 200
"""Characters of a name and of an id."""

MOST_PROBLEMS = 20
"""Problems of one project that are named."""

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "python": ("pypi", "in Python"),
    "javascript": ("npm", "in JavaScript"),
    "rust": ("crates", "in Rust"),
    "go": ("go", "in Go"),
}
"""Ecosystem of the registry's rows for that of a dependency, and the purpose that names it."""

# An id from a file is shown to a model: it can hold no sentence.
_ID = re.compile(r"/[\w.~@+-]+(?:/[\w.~@+-]+)+", re.ASCII)
_VERSION = re.compile(r"[\w.+!~-]{1,64}", re.ASCII)
_MAJOR = re.compile(r"(?:/|\.)v\d+$")
_PREFIX = re.compile(r"(?P<language>[\w.+#-]+):(?P<name>[^:].*)")


@dataclass(frozen=True, slots=True)
class Pin:
    """Library, with or without a version, for a name.

    `name` is as it was written, `called` the bare name as look-ups read it, `ecosystems` those that
    it is limited to (None: any). `origin` is the name of the file, `path` all of it. A pin of the
    user's own is `trusted`.
    """

    name: str
    called: str
    ecosystems: Ecosystems | None
    library: LibraryId
    origin: str
    trusted: bool = False
    path: str = ""

    def admits(self, ecosystems: Ecosystems | None) -> bool:
        """Tell whether a look-up that is limited to some `ecosystems` may mean it."""
        if self.ecosystems is None or ecosystems is None:
            return True
        return bool(self.ecosystems & ecosystems) or self.ecosystems == ecosystems


def read_pin(name: object, value: object, path: str, *, trusted: bool = False) -> Pin:
    """Return the pin of a `name` to the id `value` in the file `path`.

    The name may have its ecosystem in front, as in `python:redis`, or in words, as in a look-up.

    Raises:
        UnusablePin: The name or the id cannot be one.
    """
    shown = str(name)[:LONGEST_VALUE]
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_VALUE:
        raise UnusablePin(shown, f"a name has 1 to {LONGEST_VALUE} characters")
    if not name.isprintable():
        raise UnusablePin(shown, "a name has no control characters")
    called, ecosystems = _read_name(name)
    library = _read_id(value)
    if library is None:
        raise UnusablePin(shown, "its library has to be an id such as /org/project/1.2.3")
    return Pin(name, called, ecosystems, library, Path(path).name, trusted, path)


def _read_name(name: str) -> tuple[str, Ecosystems | None]:
    prefixed = _PREFIX.fullmatch(name.strip())
    language = prefixed["language"].casefold() if prefixed else ""
    is_prefixed = prefixed is not None and language in LANGUAGES
    reading = read_name(prefixed["name"] if prefixed and is_prefixed else name)
    ecosystems = LANGUAGES[language] if is_prefixed else reading.ecosystems
    if not reading.name:
        raise UnusablePin(name, "it is no name of a library")
    if reading.version is not None:
        raise UnusablePin(name, "a version belongs to the id: /org/project/1.2.3")
    return reading.name, ecosystems


def _read_id(value: object) -> LibraryId | None:
    if not isinstance(value, str) or len(value) > LONGEST_VALUE or not _ID.fullmatch(value.strip()):
        return None
    return None if {".", ".."} & set(value.strip().split("/")) else parse_id(value)


@dataclass(frozen=True, slots=True)
class PinFile:
    """Pins of one file, and its problems, each in one line."""

    pins: tuple[Pin, ...] = ()
    problems: tuple[str, ...] = ()


def read_pins(table: object, path: str, *, trusted: bool = False) -> PinFile:
    """Return the pins in the table `pins` of a file; what cannot be one is named."""
    if table is None:
        return PinFile()
    if not isinstance(table, dict):
        return PinFile(problems=("`pins` has to be a table of names and ids",))
    pins, problems = list[Pin](), list[str]()
    for name, value in list(table.items())[:MOST_PINS]:
        try:
            pins.append(read_pin(name, value, path, trusted=trusted))
        except UnusablePin as error:
            problems.append(str(error))
    if len(table) > MOST_PINS:
        problems.append(f"only the first {MOST_PINS} of its {len(table)} pins count")
    return PinFile(tuple(pins), tuple(problems))


def user_pins(home: Path) -> PinFile:
    """Return the pins of the user, and why the file cannot be read; this blocks."""
    if not (home / USER_FILE).exists():
        return PinFile()
    try:
        text = ProjectFolder(home).text(USER_FILE, LARGEST_FILE)
        return read_pins(tomllib.loads(text).get("pins"), str(home / USER_FILE), trusted=True)
    except (UnreadableProjectFile, tomllib.TOMLDecodeError, RecursionError) as error:
        return PinFile(problems=(_reason(error),))


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


@dataclass(frozen=True, slots=True)
class ProjectPins:
    """Pins in force for one project, by authority, and what its lock files say.

    `folders` are those that it was read from, the nearest first; `problems` are pairs of a file and
    a reason. `digest` names the pins in force: it differs where any answer may.
    """

    folders: tuple[Path, ...] = ()
    pins: tuple[Pin, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    digest: str = ""
    index: DependencyIndex = field(default_factory=lambda: DependencyIndex(()), compare=False)

    def __bool__(self) -> bool:
        return bool(self.pins or self.dependencies)


NO_PINS = ProjectPins()


def read_project(folders: tuple[Path, ...], home: Path) -> ProjectPins:
    """Return the pins of the user and of the project in `folders`, the nearest first; this blocks.

    A file that cannot be read is named, and the others count.
    """
    user = user_pins(home)
    pins, problems = list(user.pins), [(USER_FILE, each) for each in user.problems]
    for folder in folders:
        for file, found in _files_of(folder):
            pins += found.pins
            problems += [(file, each) for each in found.problems]
    read = [read_dependencies(folder) for folder in folders]
    problems += [each for one in read for each in one.unreadable]
    dependencies = tuple(_usable(folders, read))
    return ProjectPins(
        folders,
        tuple(pins),
        dependencies,
        tuple(dict.fromkeys(problems))[:MOST_PROBLEMS],
        _digest(pins, dependencies),
        DependencyIndex(dependencies),
    )


def _files_of(folder: Path) -> Iterator[tuple[str, PinFile]]:
    """Yield the pins of each file in a project's folder, the first with the most authority."""
    files = ProjectFolder(folder)
    for file, keys in ((PROJECT_FILE, ()), (PYPROJECT, ("tool", "context7-fabric"))):
        if not files.has(file):
            continue
        try:
            text = files.text(file, LARGEST_FILE) if not keys else files.text(file)
            table: object = tomllib.loads(text)
        except (UnreadableProjectFile, tomllib.TOMLDecodeError, RecursionError) as error:
            yield file, PinFile(problems=(_reason(error),))
            continue
        for key in (*keys, "pins"):
            table = table.get(key) if isinstance(table, Mapping) else None
        yield file, read_pins(table, str(folder / file))


def _reason(error: Exception) -> str:
    if isinstance(error, UnreadableProjectFile):
        return error.reason
    return "it is nested too deeply" if isinstance(error, RecursionError) else f"not TOML: {error}"


def _usable(folders: Sequence[Path], read: Sequence[Dependencies]) -> Iterator[Dependency]:
    """Yield each dependency that has a version, once.

    The nearest folder that has it counts, in it the manifest of the first folder of all, and of
    several other manifests the one with the lowest version.
    """
    found: dict[tuple[str, str], tuple[Any, Dependency]] = {}
    for number, (folder, one) in enumerate(zip(folders, read, strict=True)):
        for each in one.found:
            if each.version is None or not _VERSION.fullmatch(each.version):
                continue
            order = version_key(each.version)
            is_other = (folder / each.file).parent != folders[0]
            rank = number, is_other, order is None, order or each.version
            known = found.get((each.ecosystem, each.name))
            if known is None or rank < known[0]:
                found[each.ecosystem, each.name] = rank, each
    yield from (each for _, each in found.values())


def _digest(pins: list[Pin], dependencies: tuple[Dependency, ...]) -> str:
    if not pins and not dependencies:
        return ""
    return sha256(repr((pins, dependencies)).encode("utf-8", "backslashreplace")).hexdigest()[:16]

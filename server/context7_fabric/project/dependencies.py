"""Direct dependencies of the project in a folder, with the versions that its lock files name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join
from typing import Any, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from context7_fabric.errors import UnreadableProjectFile
from context7_fabric.project.files import ProjectFolder
from context7_fabric.project.lockfiles import LOCK_FILES, Locked, read_lock
from context7_fabric.project.manifests import (
    Declared,
    Ecosystem,
    RequirementsFiles,
    cargo,
    composer_json,
    gemfile,
    go_mod,
    package_json,
    pyproject,
    read_requirements,
    usable,
)
from context7_fabric.project.yaml_tree import read_yaml

MOST_DEPENDENCIES = 5_000
"""Direct dependencies of one project that are taken."""

LARGEST_MANIFEST = 1_000_000
"""Bytes of a manifest that people write."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Dependency:
    """Library that a project asks for itself.

    `version` is the one that it uses, None if neither a lock file nor the manifest says one;
    `file` is the manifest, relative to the project's folder.
    """

    ecosystem: Ecosystem
    name: str
    version: str | None
    file: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Dependencies of a project, and the files that could not be read with the reason."""

    found: tuple[Dependency, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


def read_dependencies(folder: Path) -> Dependencies:
    """Return the direct dependencies of the project in `folder` and of its workspace's members.

    Manifests name them, lock files give their versions. What lies on this machine or in the
    workspace itself is not among them. A file that cannot be read is named, and the others count.
    This blocks, and reads at most `files.LARGEST_FILE` of each file, in `folder` alone.
    """
    reader = _Reader(ProjectFolder(folder))
    reader.read()
    return Dependencies(reader.joined(), tuple(dict.fromkeys(reader.unreadable)))


@dataclass
class _Reader:
    """Reading of one project: what its manifests declare by file, and what its locks name."""

    folder: ProjectFolder
    declared: list[tuple[str, Declared]] = field(default_factory=list)
    locked: dict[tuple[Ecosystem, str], list[Locked]] = field(default_factory=dict)
    own: set[tuple[Ecosystem, str]] = field(default_factory=set)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def read(self) -> None:
        for path, (ecosystem, _) in LOCK_FILES.items():
            if self.folder.has(path):
                self._lock(ecosystem, self._tried(read_lock, self.folder, path) or ())
        self._pyproject("pyproject.toml", with_members=True)
        self._requirements()
        self._package_json("package.json", with_members=True)
        self._cargo()
        self._texts()

    def joined(self) -> tuple[Dependency, ...]:
        """Return the dependencies, each name once for each of its versions."""
        found: dict[tuple[Ecosystem, str, str | None], Dependency] = {}
        for file, each in self.declared:
            if (each.ecosystem, each.installed or each.name) not in self.own:
                version = self._version(file, each)
                one = Dependency(each.ecosystem, each.name, version, file)
                found.setdefault((each.ecosystem, each.name, version), one)
        versioned = {(system, name) for system, name, version in found if version is not None}
        kept = (
            one for (*key, version), one in found.items() if version or tuple(key) not in versioned
        )
        return tuple(kept)[:MOST_DEPENDENCIES]

    def _version(self, file: str, each: Declared) -> str | None:
        candidates = self.locked.get((each.ecosystem, each.installed or each.name), [])
        member = dirname(file)
        nearest = [one for one in candidates if one.member == member]
        usual = nearest or [one for one in candidates if not one.member]
        return chosen(each, usual) or each.exact

    def _lock(self, ecosystem: Ecosystem, found: Iterable[Locked]) -> None:
        """Keep the versions of one lock file; a package that an earlier one names keeps those."""
        packages: dict[tuple[Ecosystem, str], list[Locked]] = {}
        for each in found:
            packages.setdefault((ecosystem, each.name), []).append(each)
        self.locked = packages | self.locked

    def _tried(self, read: Callable[..., _T], *args: Any) -> _T | None:  # noqa: ANN401  # read's
        try:
            return read(*args)
        except UnreadableProjectFile as error:
            self.unreadable.append((error.path, error.reason))
            return None

    def _add(self, file: str, found: Iterable[Declared]) -> None:
        self.declared += [(file, each) for each in usable(found)]

    def _members(self, folder: str, patterns: object, manifest: str) -> Iterator[str]:
        """Yield the manifests of a workspace's members, as patterns such as `packages/*` list."""
        listed = patterns if isinstance(patterns, list) else []
        for pattern in (each for each in listed if isinstance(each, str)):
            for path in self.folder.matching(join(folder, pattern)):
                if self.folder.has(f"{path}/{manifest}"):
                    yield f"{path}/{manifest}"

    def _pyproject(self, path: str, *, with_members: bool = False) -> None:
        table = self._tried(self.folder.toml, path) if self.folder.has(path) else None
        if table is None:
            return
        name = _at(table, "project", "name") or _at(table, "tool", "poetry", "name")
        self.own.add(("python", canonicalize_name(str(name or ""))))
        self._add(path, pyproject(table))
        patterns = _at(table, "tool", "uv", "workspace", "members")
        for each in self._members("", patterns, path) if with_members else ():
            self._pyproject(each)

    def _requirements(self) -> None:
        """Read requirements files; compiled ones name what is asked for where no source does."""
        for path in self.folder.matching("requirements*.in"):
            self._add(path, self._required(path).found)
        has_source = any(each.ecosystem == "python" for _, each in self.declared)
        for pattern in ("requirements*.txt", "requirements/*.txt"):
            for path in self.folder.matching(pattern):
                result = self._required(path)
                if result.is_compiled:
                    pins = (Locked(each.name, each.exact or "") for each in result.found)
                    self._lock("python", (each for each in pins if each.version))
                if not (result.is_compiled and has_source):
                    self._add(path, result.direct)

    def _required(self, path: str) -> RequirementsFiles:
        result = read_requirements(self.folder, path)
        self.unreadable += [(each.path, each.reason) for each in result.unreadable]
        return result

    def _package_json(self, path: str, *, with_members: bool = False) -> None:
        value = self._tried(self.folder.json, path) if self.folder.has(path) else None
        if value is None:
            return
        self.own.add(("javascript", str(value.get("name"))))
        self._add(path, package_json(value))
        if not with_members:
            return
        patterns = value.get("workspaces")
        patterns = patterns.get("packages") if isinstance(patterns, dict) else patterns
        for each in self._members("", patterns or self._pnpm_members(), path):
            self._package_json(each)

    def _pnpm_members(self) -> object:
        path = "pnpm-workspace.yaml"
        text = self._tried(self.folder.text, path) if self.folder.has(path) else None
        value = self._tried(read_yaml, path, text) if text else None
        return value.get("packages") if isinstance(value, dict) else None

    def _cargo(self) -> None:
        path = "Cargo.toml"
        table = self._tried(self.folder.toml, path) if self.folder.has(path) else None
        if table is None:
            return
        inherited = _at(table, "workspace", "dependencies")
        shared = inherited if isinstance(inherited, dict) else {}
        for each in (path, *self._members("", _at(table, "workspace", "members"), path)):
            member = table if each == path else self._tried(self.folder.toml, each)
            if member is not None:
                self.own.add(("rust", str(_at(member, "package", "name"))))
                self._add(each, cargo(member, shared))

    def _texts(self) -> None:
        for path, read in (("go.mod", go_mod), ("Gemfile", gemfile)):
            has = self.folder.has(path)
            text = self._tried(self.folder.text, path, LARGEST_MANIFEST) if has else None
            self._add(path, read(text) if text else ())
        path = "composer.json"
        value = self._tried(self.folder.json, path) if self.folder.has(path) else None
        self._add(path, composer_json(value) if value else ())


def chosen(declared: Declared, candidates: Sequence[Locked]) -> str | None:
    """Return the version of the candidates that a declaration means, None without any."""
    for each in candidates:
        if declared.spec in each.specs:
            return each.version
    if declared.ecosystem == "python" and len(candidates) > 1:
        return _newest_permitted(declared.spec, [each.version for each in candidates])
    bare = declared.spec.lstrip("^~=v ")
    close = [each for each in candidates if bare and f"{each.version}.".startswith(f"{bare}.")]
    return next((each.version for each in (*close, *candidates)), None)


def _newest_permitted(spec: str, versions: Sequence[str]) -> str:
    """Return the highest version of a lock file with forks that the range permits."""

    def order(version: str) -> tuple[bool, Version]:
        try:
            read = Version(version)
        except InvalidVersion:
            return False, Version("0")
        return permitted.contains(read, prereleases=True), read

    try:
        permitted = SpecifierSet(spec)
    except InvalidSpecifier:
        permitted = SpecifierSet()
    return max(versions, key=order)


def _at(table: object, *keys: str) -> Any:  # noqa: ANN401  # as TOML says it
    """Return what stands at nested keys, None if a level is missing."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table

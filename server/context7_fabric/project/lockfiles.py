"""Lock files: the exact versions that a project uses, in the format of each package manager.

The formats are those that uv 0.9, Poetry 2, pip, npm 11, pnpm 6 to 12, Yarn 1 to 4, Cargo,
Composer and Bundler write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from packaging.utils import canonicalize_name

from context7_fabric.project.files import ProjectFolder
from context7_fabric.project.manifests import Ecosystem
from context7_fabric.project.yaml_tree import read_yaml

MOST_LOCKED = 200_000
"""Packages of one lock file that are read."""

_NPM_PLACE = re.compile(
    r"(?:(?P<member>(?!node_modules/)[^@]+)/)?node_modules/(?P<name>(?:@[^/]+/)?[^/]+)"
)
_PNPM_KINDS = ("dependencies", "devDependencies", "optionalDependencies")
_PNPM_SECTION = re.compile(
    r"^(?:importers|dependencies|devDependencies|optionalDependencies):[^\n]*\n"
    r"(?:(?:[ \t][^\n]*)?\n)*",
    re.MULTILINE,
)
_YARN_HEAD = re.compile(r"(?P<keys>[^\s#].*):")
_YARN_VERSION = re.compile(r"""  version:? "?(?P<version>[^"\s]+)"?""")
_YARN_KEY = re.compile(r"(?P<name>@?[^@]+)@(?P<spec>.*)")
_YARN_LOCAL = "0.0.0-use.local"
_GEM_LINE = re.compile(r"^    (?P<name>[\w.-]+) \((?P<version>[^)\s]+)\)$", re.MULTILINE)
_GEM_PLATFORM = re.compile(r"-(?:x86|arm|aarch|java|mingw|mswin|universal|x64).*$")
_PNPM_VERSION = re.compile(r"(?:^|[@/])(?P<version>\d+\.\d+[^(_/@]*)")
_VERSION = re.compile(r"[\w.+!-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock file: its name, its version, and the ranges that it was chosen for.

    `member` is the folder of the workspace's member that uses it, empty for the project itself.
    """

    name: str
    version: str
    specs: frozenset[str] = frozenset()
    member: str = ""


def _entries(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _lines(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _packages(value: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    listed = value.get(key)
    yield from (each for each in (listed if isinstance(listed, list) else ()) if _is_named(each))


def _is_named(package: object) -> bool:
    return isinstance(package, dict) and all(
        isinstance(package.get(field), str) for field in ("name", "version")
    )


def _python(folder: ProjectFolder, path: str, key: str = "package") -> Iterator[Locked]:
    for each in _packages(folder.toml(path), key):
        yield Locked(canonicalize_name(each["name"]), each["version"])


def _pylock(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    yield from _python(folder, path, "packages")


def _cargo(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    """Yield crates; where there are several versions, the members' own say which they use."""
    packages = list(_packages(folder.toml(path), "package"))
    own = [each for each in packages if "source" not in each]
    used = {
        tuple(line.split(" ")[:2])
        for each in own
        for line in _lines(each.get("dependencies"))
        if " " in line
    }
    packages.sort(key=lambda each: (each["name"], each["version"]) not in used)
    yield from (Locked(each["name"], each["version"]) for each in packages)


def _npm(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    value = folder.json(path)
    packages, first = _entries(value, "packages"), _entries(value, "dependencies")
    for key, each in packages.items() if "packages" in value else first.items():
        match = _NPM_PLACE.fullmatch(key) if "packages" in value else None
        version = each.get("version") if isinstance(each, dict) else None
        if not isinstance(version, str) or ("packages" in value and match is None):
            continue
        name, member = (match["name"], match["member"] or "") if match else (key, "")
        yield Locked(name, version.rpartition("@")[2], member=member)


def _pnpm(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    sections = "".join(match[0] for match in _PNPM_SECTION.finditer(folder.text(path) + "\n"))
    value = read_yaml(path, sections)
    value = value if isinstance(value, dict) else {}
    importers = _entries(value, "importers") or {".": value}
    for member, lists in importers.items():
        for kind in _PNPM_KINDS:
            entries = _entries(lists, kind) if isinstance(lists, dict) else {}
            for name, entry in entries.items():
                version = entry.get("version") if isinstance(entry, dict) else entry
                match = _PNPM_VERSION.search(version) if isinstance(version, str) else None
                if match is not None:
                    yield Locked(name, match["version"], member=member.removeprefix("."))


def _yarn(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    keys: list[tuple[str, str]] = []
    for line in folder.text(path).splitlines():
        if head := _YARN_HEAD.fullmatch(line):
            words = (word.strip().strip('"') for word in head["keys"].split(","))
            matches = (_YARN_KEY.fullmatch(word) for word in words)
            keys = [(match["name"], match["spec"]) for match in matches if match]
        elif keys and (found := _YARN_VERSION.fullmatch(line)):
            specs = frozenset(spec.removeprefix("npm:") for _, spec in keys)
            if found["version"] != _YARN_LOCAL:
                yield Locked(keys[0][0], found["version"], specs)
            keys = []


def _composer(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    value = folder.json(path)
    for key in ("packages", "packages-dev"):
        for each in _packages(value, key):
            yield Locked(each["name"].lower(), each["version"].removeprefix("v"))


def _bundler(folder: ProjectFolder, path: str) -> Iterator[Locked]:
    for match in _GEM_LINE.finditer(folder.text(path)):
        yield Locked(match["name"], _GEM_PLATFORM.sub("", match["version"]))


def read_lock(folder: ProjectFolder, path: str) -> list[Locked]:
    """Return the packages of the lock file at `path`, at most `MOST_LOCKED`.

    What has an address in place of a version is left out.

    Raises:
        UnreadableProjectFile: It cannot be read.
    """
    found = LOCK_FILES[path][1](folder, path)
    versioned = (each for each in found if _VERSION.fullmatch(each.version))
    return list(islice(versioned, MOST_LOCKED))


LOCK_FILES: Mapping[str, tuple[Ecosystem, Callable[[ProjectFolder, str], Iterator[Locked]]]] = {
    "uv.lock": ("python", _python),
    "poetry.lock": ("python", _python),
    "pylock.toml": ("python", _pylock),
    "package-lock.json": ("javascript", _npm),
    "npm-shrinkwrap.json": ("javascript", _npm),
    "pnpm-lock.yaml": ("javascript", _pnpm),
    "yarn.lock": ("javascript", _yarn),
    "Cargo.lock": ("rust", _cargo),
    "composer.lock": ("php", _composer),
    "Gemfile.lock": ("ruby", _bundler),
}
"""The lock files by name, those that count first before others of their ecosystem."""

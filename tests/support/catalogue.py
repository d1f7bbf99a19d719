"""The libraries of the stand-in, and their look-up by name or id.

Pure: values and look-ups, no HTTP. The default content lies beside this file in `catalogue.toml`;
a test with wishes of its own builds a `Catalogue` from `Library` values.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FEWEST_LETTERS = 3


@dataclass(frozen=True, kw_only=True)
class CodeSnippet:
    """One example: a title, prose, and one or more fenced blocks (language, code)."""

    title: str
    path: str
    description: str
    blocks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class InfoSnippet:
    """One piece of prose below a breadcrumb title."""

    title: str
    path: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library with its documentation; with a `key`, only requests that carry it see it."""

    id: str
    title: str
    description: str
    language: str = "text"
    total_snippets: int = 100
    trust: float | None = None
    benchmark: float = 0
    stars: int = -1
    versions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    key: str | None = None
    code: tuple[CodeSnippet, ...] = ()
    info: tuple[InfoSnippet, ...] = ()


def default_libraries() -> tuple[Library, ...]:
    text = Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")
    return tuple(_library(raw) for raw in tomllib.loads(text)["library"])


@dataclass(frozen=True)
class Catalogue:
    """Libraries by id, searchable by name."""

    libraries: tuple[Library, ...] = field(default_factory=default_libraries)

    def find(self, name: str, key: str | None) -> list[Library]:
        """The libraries that match a name, best first."""
        scored = [(_closeness(name, library), library) for library in self._visible(key)]
        hits = [pair for pair in scored if pair[0]]
        ranked = sorted(hits, key=lambda pair: (-pair[0], -pair[1].benchmark))
        return [library for _, library in ranked]

    def get(self, library_id: str, key: str | None) -> Library | None:
        """The library with exactly this id (no version)."""
        return next((each for each in self._visible(key) if each.id == library_id), None)

    def _visible(self, key: str | None) -> Iterable[Library]:
        return (each for each in self.libraries if each.key in (None, key))


def split_id(library_id: str) -> tuple[str, str | None]:
    """`/org/project/version` and `/org/project@version` as id and version."""
    match = re.fullmatch(r"(/[^/]+/[^/@]+)(?:[/@]([^/]+))?", library_id)
    return (match[1], match[2]) if match else (library_id, None)


def _library(raw: dict[str, Any]) -> Library:
    code = tuple(CodeSnippet(**snippet | {"blocks": _blocks(snippet)}) for snippet in raw["code"])
    info = tuple(InfoSnippet(**snippet) for snippet in raw.get("info", ()))
    lists = {name: tuple(raw.get(name, ())) for name in ("versions", "names")}
    return Library(**raw | lists | {"code": code, "info": info})


def _blocks(snippet: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((language, code.strip()) for language, code in snippet["blocks"])


def _closeness(name: str, library: Library) -> int:
    wanted = _letters(name)
    names = [_letters(each) for each in (library.title, *library.names, library.id)]
    if not wanted or wanted in names:
        return 3 if wanted else 0
    if len(wanted) >= FEWEST_LETTERS and any(wanted in each for each in names):
        return 2
    return int(any(_letters(word) in names for word in name.split()))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
